"""Documents that wait to be computed in, the next batch out: who is due first, and who fits in.

A document is due when it has waited some times as long as computing it takes, so that a short one
passes those that came a little earlier and are long, and none waits for ever: whoever comes after a
document is due comes later in the line. Later documents of one request count those before them as
their own time, so that a large request does not keep small ones of others waiting.
"""

from bisect import insort
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count
from typing import Generic, TypeVar, final

T = TypeVar("T")

PATIENCE = 4.0
"""How many times as long as computing it takes a document waits before it is due, by default."""
_LOOKED_AT = 256
"""Documents that are tried for what is left of a batch."""


@dataclass(frozen=True, slots=True, order=True)
class Waiting(Generic[T]):
    """A document in the line."""

    due: float
    """Time, in seconds, at which it should be computed by now."""
    number: int
    """Its place in the order of arrival."""
    tokens: int = field(compare=False)
    kind: Hashable = field(compare=False)
    """What is read out; only equal kinds share a batch."""
    item: T = field(compare=False)


def due_times(
    now: float, lengths: Sequence[int], seconds_a_token: float, patience: float = PATIENCE
) -> list[float]:
    """Return when each document of a request is due, one after the other."""
    return [now + patience * seconds_a_token * tokens for tokens in accumulate(lengths)]


def choose(line: Sequence[Waiting[T]], most_tokens: int) -> list[int]:
    """Return the places in the line of the next batch: the first, and others of its kind that fit.

    A document of more tokens than a batch may have is alone.
    """
    chosen, room = [0], most_tokens - line[0].tokens
    for place in range(1, min(len(line), _LOOKED_AT)):
        if room <= 0:
            break
        other = line[place]
        if other.kind == line[0].kind and other.tokens <= room:
            chosen.append(place)
            room -= other.tokens
    return chosen


@final
class Line(Generic[T]):
    """Those who wait, in the order in which they are due."""

    def __init__(self, seconds_a_token: float, patience: float = PATIENCE) -> None:
        """Expect computing to take so long, and documents to wait so many times as long."""
        self._seconds_a_token, self._patience = seconds_a_token, patience
        self._waiting: list[Waiting[T]] = []
        self._numbers = count()
        self.tokens = 0
        """Of all who wait."""

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def join(self, now: float, lengths: Sequence[int], kind: Hashable, items: Sequence[T]) -> None:
        """Let the documents of a request wait, with their lengths in tokens."""
        times = due_times(now, lengths, self._seconds_a_token, self._patience)
        for due, tokens, item in zip(times, lengths, items, strict=True):
            insort(self._waiting, Waiting(due, next(self._numbers), tokens, kind, item))
        self.tokens += sum(lengths)

    def take(self, most_tokens: Callable[[Hashable], int]) -> list[T]:
        """Remove the next batch from the line and return it; a kind may limit its tokens."""
        chosen = choose(self._waiting, most_tokens(self._waiting[0].kind))
        taken = [self._waiting[place] for place in chosen]
        for place in reversed(chosen):
            del self._waiting[place]
        self.tokens -= sum(each.tokens for each in taken)
        return [each.item for each in taken]

    def drop(self, is_gone: Callable[[T], bool]) -> int:
        """Remove those whom nobody waits for any more, and return how many there were."""
        kept = [each for each in self._waiting if not is_gone(each.item)]
        dropped = len(self._waiting) - len(kept)
        self._waiting, self.tokens = kept, sum(each.tokens for each in kept)
        return dropped
