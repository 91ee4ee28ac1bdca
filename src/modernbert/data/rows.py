"""Examples and a number of a step in, its packed micro-batches out: each example once an epoch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from modernbert.base import rng
from modernbert.base.errors import DataError
from modernbert.data.chunks import Rows
from modernbert.data.order import permuted
from modernbert.data.packing import SHARE_TOKENS, best_fit, even_shares
from modernbert.data.tokenizer import Ids

Ints = NDArray[np.int64]

_LOCKED_TOKENS = 150
"""What a narrow model computes in the time that a pass has Python's lock: shares wait for it."""


@final
class ExampleSet:
    """Examples of token ids by number, in memory: 4 bytes a token.

    An example is a document, or some documents that must not be parted.
    """

    def __init__(
        self, documents: Iterable[Ids], where: Sequence[str], counts: Sequence[int] = ()
    ) -> None:
        """Keep documents with where each example stands, for messages.

        `counts` are the documents of each example, in order; empty, each has one.

        Raises:
            DataError: there is none.
        """
        kept = [ids.astype(np.uint32) for ids in documents]
        if not kept:
            raise DataError("there is no example: give at least one")
        self.where = tuple(where)
        self._ids = np.concatenate(kept)
        self._documents = np.array([len(ids) for ids in kept], dtype=np.int64)
        self._counts = np.array(counts or [1] * len(kept), dtype=np.int64)
        self._firsts = _starts(self._counts)
        self._starts = _starts(self._documents)[self._firsts]
        self.lengths: Ints = np.diff(self._starts)
        """Tokens of each example."""

    def __len__(self) -> int:
        return len(self.lengths)

    def ids(self, number: int) -> NDArray[np.uint32]:
        """Return the tokens of one example."""
        return self._ids[self._starts[number] : self._starts[number + 1]]

    def rows(self, numbers: Ints, samples: Ints) -> Rows:
        """Lay examples end to end; `samples` are the addresses of their randomness."""
        parts = [self.ids(number) for number in numbers.tolist()]
        lengths = [self._documents[self._firsts[i] : self._firsts[i + 1]] for i in numbers.tolist()]
        return Rows(
            np.concatenate(parts).astype(np.int64),
            tuple(np.concatenate(lengths).tolist()),
            np.repeat(samples, self._counts[numbers]),
        )


def _starts(sizes: Ints) -> Ints:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])


@dataclass(frozen=True, slots=True, eq=False)
class Micro:
    """One micro-batch: examples end to end, and which they are."""

    rows: Rows
    numbers: Ints
    """Number of each example in its set."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What one step is made of, on one rank."""

    micros: tuple[Micro, ...]
    """This rank's micro-batches."""
    num_tokens: int
    """Over all ranks."""
    num_examples: int
    """Over all ranks."""


@final
class ExampleStream:
    """An endless order of examples, epoch after epoch, each its own shuffle. It has no state."""

    def __init__(
        self,
        examples: ExampleSet,
        *,
        batch_size: int,
        row_tokens: int,
        seed: int,
        shares: int = 1,
    ) -> None:
        """Serve steps of `batch_size` examples in micro-batches of at most `row_tokens` tokens.

        Longer examples than a micro-batch are one by themselves. A step that would be one
        micro-batch is dealt out evenly into as many as `shares`, to be computed side by side.
        """
        self._examples = examples
        self._shares = shares
        self._batch_size, self._row_tokens = batch_size, row_tokens
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        """Steps that take every example once; the last one of an epoch may be smaller."""
        return -(-len(self._examples) // self._batch_size)

    def take(self, step: int, rank: int = 0, world_size: int = 1) -> Taken:
        """Return the examples of a step, steps counted from 0.

        Rank r gets micro-batches r, r + world_size, and so on. Costs the same for every step.
        """
        epoch, within = divmod(step, self.steps_per_epoch)
        size = len(self._examples)
        first = within * self._batch_size
        places = np.arange(first, min(first + self._batch_size, size))
        numbers = permuted(places, size, rng.key(self._seed, "examples", epoch))
        lengths = self._examples.lengths[numbers]
        capacity = max(self._row_tokens, int(lengths.max()))
        packed: Sequence[Sequence[int]] = best_fit(lengths.tolist(), capacity).rows
        shares = _shares(min(self._shares, len(lengths)), int(lengths.sum()))
        if len(packed) == 1 and shares > 1:
            packed = even_shares(lengths.tolist(), shares)
        mine = [np.array(row, dtype=np.int64) for row in packed[rank::world_size]]
        samples = epoch * size + places
        return Taken(
            tuple(
                Micro(self._examples.rows(numbers[row], samples[row]), numbers[row]) for row in mine
            ),
            int(lengths.sum()),
            len(numbers),
        )


def _shares(most: int, tokens: int) -> int:
    """Return into how many shares so many tokens are dealt out."""
    for number in range(most, 1, -1):
        waited = number * (number - 1) * _LOCKED_TOKENS
        if tokens >= max(number * SHARE_TOKENS, waited):
            return number
    return 1


def in_order(examples: ExampleSet, row_tokens: int) -> Iterable[Micro]:
    """Yield all examples in micro-batches, the longest first, to predict or to evaluate."""
    order = np.argsort(-examples.lengths, kind="stable")
    lengths = examples.lengths[order]
    capacity = max(row_tokens, int(lengths[0]))
    # A thousand at a time, so that alike lengths stand together and packing stays quick.
    for start in range(0, len(order), 1000):
        part = order[start : start + 1000]
        for row in best_fit(examples.lengths[part].tolist(), capacity).rows:
            numbers = part[list(row)]
            yield Micro(examples.rows(numbers, numbers), numbers)
