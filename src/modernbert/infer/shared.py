"""One model for many who ask at once: awaited calls in, answers out, computed in common batches."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Self, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray

from modernbert.base.device import choose_device
from modernbert.base.permits import Permits
from modernbert.base.threads import alone, readers
from modernbert.infer.abilities import Ability, abilities_of
from modernbert.infer.answer import answering
from modernbert.infer.choose import choosing
from modernbert.infer.classify import classifying
from modernbert.infer.embedding import (
    Reading,
    Vectors,
    embedding,
    sparse_embedding,
    token_embedding,
)
from modernbert.infer.fill import filling
from modernbert.infer.groups import groups_of
from modernbert.infer.lanes import Lanes, Rows, Ticket, Watch
from modernbert.infer.pretrained import Pretrained, load
from modernbert.infer.reading import Given, Text
from modernbert.infer.replies import (
    Answer,
    Array,
    Entity,
    Guess,
    Label,
    Numbers,
    Option,
    Ranked,
    Sparse,
)
from modernbert.infer.reranking import reranking
from modernbert.infer.tag import Untagged, tagging
from modernbert.infer.told import Runtime
from modernbert.infer.tuning import Tuning, tuned
from modernbert.infer.work import Work

G = TypeVar("G")
R = TypeVar("R")

_WAITING = 4096
"""Items that may be on their way at once; whoever asks for more waits."""
NUM_READERS = 2
"""Threads that turn texts into tokens, while others compute."""
_GROUPS = 2
"""Groups of a stream that are on their way at once: one is read while the other is computed."""
_AT_ONCE = 256
_QUICK_CHARACTERS = 1000
_QUICK_TOKENS = 2048
"""What is read, or whose answers are made up, so quickly that to change the thread would take
longer."""


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """An answer, and what it took."""

    answer: R
    num_tokens: int
    tokenization_s: float
    queue_s: float
    inference_s: float


@final
class AsyncEngine:
    """As `Engine`, for one event loop; calls that wait at the same time are computed together.

    A call that is cancelled gives up its place.
    """

    def __init__(
        self,
        model: Pretrained,
        *,
        tuning: Tuning | None = None,
        most_waiting: int = _WAITING,
        watch: Watch | None = None,
    ) -> None:
        """Take a model on its device; without a tuning, measure one, which takes half a second.

        `watch` is told of each batch, in documents and tokens.
        """
        self.model = model
        self.tuning = tuning or tuned(model, torch.get_num_threads())
        self.room = Permits(most_waiting)
        """For items that are on their way."""
        self._lanes = Lanes(model, self.tuning, watch)
        self._readers = readers(NUM_READERS, "reader")

    @classmethod
    def load(
        cls,
        path_or_hub_id: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        device: str = "auto",
        runtime: Runtime = "torch",
    ) -> "AsyncEngine":
        """Open a model, see `Engine.load`, and measure how it is best run here."""

        def opened() -> Pretrained:
            found = load(path_or_hub_id, revision=revision, token=token, runtime=runtime)
            return found.to(choose_device(device))

        return cls(alone(opened, torch.get_num_threads()))

    @property
    def abilities(self) -> tuple[Ability, ...]:
        """What the model was made for, its main use first; each is a method here."""
        return abilities_of(self.model)

    @property
    def main_ability(self) -> Ability:
        """What the model was made for first; of one that gives tokens alone vectors, these."""
        return next(iter(self.abilities), "token_vectors")

    @property
    def waiting(self) -> tuple[int, int]:
        """How many documents wait to be computed, and how many tokens they have."""
        return self._lanes.waiting

    async def __aenter__(self) -> Self:
        """Return the engine itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for all that is on its way, then close it."""
        async with self.room.held(self.room.number):
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Compute what waits, then end all threads."""
        self._lanes.close()
        self._readers.shutdown()

    async def run(self, read: Callable[[], Work[R]], characters: int | None = None) -> Done[R]:
        """Read texts, see them computed, and make up the answer.

        `characters` says how much is to be read: little is read at once, for to change the thread
        would take longer.

        Raises:
            UserError: what `read` raises, the model gives NaN or Inf, or the engine is closed.
        """
        self._lanes.check_open()
        start = time.perf_counter()
        if characters is not None and characters <= _QUICK_CHARACTERS:
            work = read()
        else:
            work = await self.apart(read)
        tokenization_s = time.perf_counter() - start
        found = await self._rows(work)
        num_tokens = work.num_tokens
        if num_tokens <= _QUICK_TOKENS:
            answer = work.finish(found.rows)
        else:
            answer = await self.apart(lambda: work.finish(found.rows))
        return Done(answer, num_tokens, tokenization_s, found.queue_s, found.inference_s)

    async def apart(self, work: Callable[[], R]) -> R:
        """Do something else in one of the threads that read, and wait for it."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def _rows(self, work: Work[R]) -> Rows:
        """Wait until documents are computed, or give up their places."""
        if not work.documents:
            return Rows([], 0.0, 0.0)
        ticket = Ticket(work, asyncio.get_running_loop().create_future())
        self._lanes.submit(ticket)
        try:
            return await ticket.future
        except asyncio.CancelledError:
            self._lanes.forget(ticket)
            raise

    async def stream(
        self,
        ask: Callable[[Sequence[G]], Awaitable[Iterable[R]]],
        items: Iterable[G] | AsyncIterable[G],
        at_once: int = _AT_ONCE,
    ) -> AsyncIterator[R]:
        """Yield the answer to each of any number of items, in their order, at bounded memory.

        `ask` is a method such as `engine.embed`; so many items are read and computed together, and
        the next are read meanwhile.
        """
        on_the_way: deque[asyncio.Future[Iterable[R]]] = deque()
        try:
            async for group in groups_of(items, at_once):
                on_the_way.append(asyncio.ensure_future(ask(group)))
                answers = await on_the_way.popleft() if len(on_the_way) == _GROUPS else ()
                for answer in answers:
                    yield answer
            for last in on_the_way:
                for answer in await last:
                    yield answer
        finally:
            for each in on_the_way:
                each.cancel()

    async def embed(
        self,
        texts: Sequence[Given],
        *,
        prompt: str | None = None,
        normalize: bool = False,
        dimensions: int | None = None,
        numbers: Numbers = "float32",
    ) -> Array:
        """Return one vector a text; see `Engine.embed`."""
        read = Reading(prompt=prompt)
        vectors = Vectors(normalize=normalize, dimensions=dimensions, numbers=numbers)
        return await self._answer(texts, partial(embedding, self.model, texts, read, vectors))

    async def token_vectors(
        self, texts: Sequence[Given], *, is_query: bool
    ) -> list[NDArray[np.float32]]:
        """Return the vectors of each text's tokens; see `Engine.token_vectors`."""
        read = partial(token_embedding, self.model, texts, is_query=is_query)
        return await self._answer(texts, read)

    async def sparse(self, texts: Sequence[Given], *, prompt: str | None = None) -> list[Sparse]:
        """Return the words that each text calls for; see `Engine.sparse`."""
        read = partial(sparse_embedding, self.model, texts, Reading(prompt=prompt))
        return await self._answer(texts, read)

    async def rerank(
        self, query: str, documents: Sequence[str], *, is_raw: bool = False
    ) -> list[Ranked]:
        """Return all documents in the order in which they fit a query; see `Engine.rerank`."""
        read = partial(reranking, self.model, query, documents, is_raw=is_raw)
        return await self._answer(documents, read)

    async def fill(self, texts: Sequence[str], *, top: int = 5) -> list[list[list[Guess]]]:
        """Return the likeliest tokens of each [MASK]; see `Engine.fill`."""
        return await self._answer(texts, partial(filling, self.model, texts, top))

    async def classify(self, texts: Sequence[Text]) -> list[list[Label]]:
        """Return every label of each text with its score; see `Engine.classify`."""
        return await self._answer(texts, partial(classifying, self.model, texts))

    async def tag(self, texts: Sequence[Untagged]) -> list[list[Entity]]:
        """Return the spans found in each text; see `Engine.tag`."""
        return await self._answer(texts, partial(tagging, self.model, texts))

    async def answer(
        self, asked: Sequence[tuple[str, str]], *, number: int = 1, can_be_none: bool = False
    ) -> list[list[Answer]]:
        """Return the likeliest answers to each (question, text); see `Engine.answer`."""
        read = partial(answering, self.model, asked, number=number, can_be_none=can_be_none)
        return await self._answer(asked, read)

    async def choose(
        self, questions: Sequence[Text], options: Sequence[Sequence[str]]
    ) -> list[list[Option]]:
        """Return the options of each question with their scores; see `Engine.choose`."""
        return await self._answer(questions, partial(choosing, self.model, questions, options))

    async def _answer(self, items: Sequence[object], read: Callable[[], Work[R]]) -> R:
        characters = sum(
            len(item) if isinstance(item, str) else _QUICK_CHARACTERS for item in items
        )
        async with self.room.held(len(items)):
            return (await self.run(read, characters)).answer
