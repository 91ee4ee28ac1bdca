"""A model in, what it says of texts out: one object for every kind of vector and every head."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar, final

import numpy as np
from numpy.typing import NDArray

from modernbert.base.device import choose_device
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
from modernbert.infer.work import Work, computed
from modernbert.tasks.spans import MAX_ANSWER_TOKENS

G = TypeVar("G")
R = TypeVar("R")

AT_ONCE = 512
"""Items that are read and computed together when there may be more than memory holds."""


@final
class Engine:
    """A model on its device; each method asks one kind of head, and says how to get one."""

    def __init__(self, model: Pretrained) -> None:
        """Take a model as it is, on the device where it is."""
        self.model = model

    @classmethod
    def load(
        cls,
        path_or_hub_id: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        device: str = "auto",
        runtime: Runtime = "torch",
    ) -> "Engine":
        """Open a model folder or one of the hub, see `load`, on a device: "auto", "cpu", "cuda".

        `runtime` "int8" keeps matrices in 8 bits, for a CPU; others name a graph of a folder that
        `modernbert export` wrote, such as "onnx-int8".

        Raises:
            CheckpointError: the folder is not a ModernBERT, or the hub does not give it.
            ConfigError: what is given is no name.
            DataError: there is no tokenizer.
            MachineError: the device is not there.
        """
        opened = load(path_or_hub_id, revision=revision, token=token, runtime=runtime)
        return cls(opened.to(choose_device(device)))

    @property
    def abilities(self) -> tuple[Ability, ...]:
        """What the model was made for, its main use first; each is a method here."""
        return abilities_of(self.model)

    def run(self, work: Work[R]) -> R:
        """Do some work in the calling thread.

        Raises:
            NumbersError: the model gives NaN or Inf.
        """
        return computed(self.model, work)

    def stream(
        self, ask: Callable[[Sequence[G]], Iterable[R]], items: Iterable[G], at_once: int = AT_ONCE
    ) -> Iterator[R]:
        """Yield the answer to each of any number of items, in their order, at bounded memory.

        `ask` is a method such as `engine.embed`; so many items are read and computed together.
        """
        rest = iter(items)
        while group := list(islice(rest, at_once)):
            yield from ask(group)

    def embed(
        self,
        texts: Sequence[Given],
        *,
        prompt: str | None = None,
        normalize: bool = False,
        dimensions: int | None = None,
        numbers: Numbers = "float32",
    ) -> Array:
        """Return one vector a text, [S N], as sentence-transformers computes it from the folder.

        `prompt` names one of the folder's prompts; without it the folder's default is used, "" is
        none. `dimensions` keeps the first so many numbers. `numbers` "int8" gives each vector by a
        scale of its own, for cosines; "binary" gives signs, eight in a byte. A text may be given
        in the ids of its tokens. Longer ones than the folder reads are cut.

        Raises:
            ConfigError: the model gives no such vectors, or there is no prompt of this name.
            DataError: a text holds what is no character, or an id stands for no token.
            NumbersError: the model gives NaN, Inf or nothing but zeros.
        """
        read = Reading(prompt=prompt)
        vectors = Vectors(normalize=normalize, dimensions=dimensions, numbers=numbers)
        return self.run(embedding(self.model, texts, read, vectors))

    def token_vectors(self, texts: Sequence[Given], *, is_query: bool) -> list[NDArray[np.float32]]:
        """Return for each text the vectors of its tokens that count in late interaction, [T N].

        Raises:
            ConfigError: the model gives a vector a text.
            DataError: a text holds what is no character.
        """
        return self.run(token_embedding(self.model, texts, is_query=is_query))

    def sparse(self, texts: Sequence[Given], *, prompt: str | None = None) -> list[Sparse]:
        """Return for each text the words of the vocabulary that it calls for, with their weights.

        Raises:
            ConfigError: the model gives no sparse vectors, or has no prompt of this name.
            DataError: a text holds what is no character.
        """
        return self.run(sparse_embedding(self.model, texts, Reading(prompt=prompt)))

    def rerank(self, query: str, documents: Sequence[str], *, is_raw: bool = False) -> list[Ranked]:
        """Return all documents in the order in which they fit a query, the best first.

        The score of a cross-encoder goes through a sigmoid; that of late interaction is the mean
        over the query's tokens of their best cosine. Raw ones are as the model gives them.

        Raises:
            ConfigError: the model has neither a head with one score nor a vector a token.
            DataError: the query is empty, or a text holds what is no character.
        """
        return self.run(reranking(self.model, query, documents, is_raw=is_raw))

    def fill(self, texts: Sequence[str], *, top: int = 5) -> list[list[list[Guess]]]:
        """Return for each text, for each of its [MASK]s, the likeliest tokens, the best first.

        Raises:
            ConfigError: the model has no masked-LM head, or `top` is less than 1.
            DataError: a text has no [MASK], or is longer than the model reads.
        """
        return self.run(filling(self.model, texts, top))

    def classify(self, texts: Sequence[Text]) -> list[list[Label]]:
        """Return for each text, or pair of texts, every label with its score, the likeliest first.

        Where one label is right, the scores of a text sum to 1; where any number is, each label
        has a probability of its own; of a regression the score is the number itself. Longer texts
        than the model reads are cut.

        Raises:
            ConfigError: the model has no head that labels texts.
            DataError: a text holds what is no character, or texts and pairs are mixed.
        """
        return self.run(classifying(self.model, texts))

    def tag(self, texts: Sequence[Untagged]) -> list[list[Entity]]:
        """Return the spans found in each text, or list of words, in the order of the text.

        Longer texts than the model reads are read in windows.

        Raises:
            ConfigError: the model has no head that tags words.
            DataError: a text holds what is no character.
        """
        return self.run(tagging(self.model, texts))

    def answer(
        self,
        asked: Sequence[tuple[str, str]],
        *,
        number: int = 1,
        can_be_none: bool = False,
        max_tokens: int = MAX_ANSWER_TOKENS,
    ) -> list[list[Answer]]:
        """Return for each (question, text) the likeliest answers that stand in it, the best first.

        Longer texts than the model reads are read in windows. `can_be_none` lets "" be an answer.

        Raises:
            ConfigError: the model has no head that finds answers, or none is asked for.
            DataError: a question or text is empty, or holds what is no character.
        """
        work = answering(
            self.model, asked, number=number, can_be_none=can_be_none, max_tokens=max_tokens
        )
        return self.run(work)

    def choose(
        self, questions: Sequence[Text], options: Sequence[Sequence[str]]
    ) -> list[list[Option]]:
        """Return for each question its options with their scores, the likeliest first.

        A question may have two parts: the second one then begins each option. Numbers of options
        may differ.

        Raises:
            ConfigError: the model has no head that chooses.
            DataError: questions and options are not as many, one is empty, or has fewer than two.
        """
        return self.run(choosing(self.model, questions, options))
