"""One request while it is answered: where its models are, what it may take, and what it took."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from modernbert.infer.abilities import Ability
from modernbert.infer.work import Work
from modernbert.serve.metrics import Kind, Metrics
from modernbert.serve.refusals import RefusedError
from modernbert.serve.served import Served, Shelf
from modernbert.serve.settings import Settings

R = TypeVar("R")

_OF_HEADS = ("rerank", "classify", "tag", "answer", "choose", "fill")


@dataclass(slots=True)
class Took:
    """What answering took so far."""

    tokens: int = 0
    characters: int = 0
    items: int = 0
    tokenization_s: float = 0.0
    queue_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class House:
    """What all requests share."""

    settings: Settings
    shelf: Shelf
    metrics: Metrics
    is_draining: Callable[[], bool]
    """Whether the server was told to end."""


@dataclass(slots=True, eq=False)
class Call:
    """A request; handlers run their work by it."""

    house: House
    id: str
    path: Mapping[str, str] = field(default_factory=dict)
    """What its address names."""
    model: str = ""
    """Which one answers."""
    kind: Kind | None = None
    """What was asked of it last."""
    took: Took = field(default_factory=Took)

    def saw(self, texts: Iterable[object]) -> None:
        """Count the characters of what was asked; an id counts as one."""
        self.took.characters += sum(map(_size, texts))

    async def run(
        self, model: Served, ability: Ability, num_items: int, read: Callable[[], Work[R]]
    ) -> R:
        """Take permits for all items at once, read them, see them computed.

        Raises:
            RefusedError: there are too many items or tokens (413), or too much is on its way (429).
            UserError: a text cannot be read, or the model gives what is no number.
        """
        settings, room, took = self.house.settings, model.engine.room, self.took
        self.model = model.name
        # What could never be let in is not asked to come again.
        check_items(num_items, min(settings.max_items, room.number))
        if not room.take(num_items):
            raise self._busy(model)
        self.kind = kind = _kind_of(ability)
        took.items += num_items
        self.house.metrics.items[kind].inc(num_items)
        try:
            done = await model.engine.run(
                lambda: _checked(read(), settings.max_request_tokens), took.characters or None
            )
        finally:
            room.give_back(num_items)
        took.tokens += done.num_tokens
        took.tokenization_s += done.tokenization_s
        took.queue_s += done.queue_s
        took.inference_s += done.inference_s
        self.house.metrics.spent(kind, done.tokenization_s, done.queue_s, done.inference_s)
        self.house.metrics.answers[kind].inc(num_items)
        return done.answer

    def _busy(self, model: Served) -> RefusedError:
        """Say when to come again: once half of what waits is computed."""
        _, tokens = model.engine.waiting
        seconds = max(1, math.ceil(tokens * model.engine.tuning.seconds_a_token / 2))
        return RefusedError(
            429,
            "Overloaded",
            f"{model.name} has {model.engine.room.taken} texts on their way, and "
            f"{model.engine.room.number} are let in: ask again in {seconds} s",
            "overloaded",
            {"Retry-After": str(seconds)},
        )


def _size(text: object) -> int:
    if isinstance(text, str):
        return len(text)
    return sum(map(_size, text)) if isinstance(text, list | tuple) else 1


def _kind_of(ability: Ability) -> Kind:
    return "predict" if ability in _OF_HEADS else "embed"


def check_items(number: int, most: int) -> None:
    """Refuse more texts than a request may have, and none.

    Raises:
        RefusedError: there are more (413), or none (400).
    """
    if not number:
        raise RefusedError(400, "Empty", "there is no text: give at least one")
    if number > most:
        raise RefusedError(
            413,
            "Validation",
            f"the request has {number} texts, and {most} are let in: send fewer at a time",
            "batch_size",
        )


def check_tokens(number: int, most: int) -> None:
    """Refuse more tokens than a request may have.

    Raises:
        RefusedError: there are more (413).
    """
    if number > most:
        raise RefusedError(
            413,
            "Validation",
            f"the request has {number:,} tokens, and {most:,} are let in: send fewer texts at a "
            "time",
            "batch_size",
        )


def _checked(work: Work[R], most: int) -> Work[R]:
    check_tokens(work.num_tokens, most)
    return work
