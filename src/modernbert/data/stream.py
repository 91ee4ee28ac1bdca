"""A corpus and a cursor in, packed micro-batches out: the same ones on any number of ranks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from modernbert.base import rng
from modernbert.base.errors import ConfigError, DataError
from modernbert.data import mixture
from modernbert.data.chunks import ChunkTable, Rows
from modernbert.data.corpus import Corpus
from modernbert.data.order import permuted
from modernbert.data.packing import best_fit

__all__ = ["Rows", "Step", "Stream", "StreamConfig", "StreamState"]

Ints = NDArray[np.int64]

# What a step looks at beyond its capacity: a share of it, and some chunks. More choice fills rows
# better but carries more; these fill 99.9% of rows of 98,304 tokens and 99.2% of rows of 8,192.
_LOOK_AHEAD = 0.1
_LOOK_AHEAD_CHUNKS = 192


@dataclass(frozen=True, slots=True)
class StreamState:
    """Where a stream stands."""

    cursor: int = 0
    """Positions of the order that were looked at."""
    carried: tuple[int, ...] = ()
    """Positions before the cursor that found no room yet, oldest first."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """What a stream reads, and in which order."""

    context_length: int
    """Most tokens of a chunk, [CLS] and [SEP] among them."""
    micro_batch_tokens: int
    """Most tokens of a micro-batch."""
    seed: int
    purpose: str
    """Part of the address of all randomness: phases with other names see other orders."""
    weights: Mapping[str, float] | None = None
    """Share of the tokens that each source gives; without, every chunk comes once an epoch."""
    split: str = "train"
    long_tokens: int = 0
    """Tokens from which on a document is long; 0 treats all alike."""
    long_boost: float = 1.0
    """Times that a long document comes as often as a short one of its source."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One rank's part of a step, and what all ranks know of it."""

    rows: tuple[Rows, ...]
    """This rank's micro-batches."""
    num_tokens: int
    """Tokens over all ranks."""
    capacity: int
    """Tokens that all micro-batches could hold."""
    state: StreamState
    """Where the stream stands after the step."""


@final
class Stream:
    """An endless order of chunks. It has no state: `take` is a pure function."""

    def __init__(self, corpus: Corpus, config: StreamConfig) -> None:
        """Index the chunks of a split.

        Raises:
            ConfigError: the context is longer than a micro-batch or has no room for text, the
                weights do not fit the corpus, or no document is as long as the boost asks for.
            DataError: the split has no document.
        """
        if config.context_length > config.micro_batch_tokens:
            raise ConfigError(
                f"a chunk may have {config.context_length} tokens, but a micro-batch holds "
                f"{config.micro_batch_tokens}: raise micro_batch_tokens or shorten the context"
            )
        self._config = config
        self._names = corpus.sources(config.split)
        if not self._names:
            raise DataError(f"{corpus.place} has no document in the split {config.split!r}")
        self._chunks = ChunkTable(corpus, config.split, config.context_length, config.long_tokens)
        means = self._chunks.mean_lengths()
        if config.long_tokens:
            self._groups = self._chunks.part_starts
            shares = self._shares_by_length(means)
        elif config.weights is None:
            # All sources are one: every chunk comes once before any comes again.
            self._groups = self._chunks.source_starts[[0, -1]]
            shares = np.ones(1)
        else:
            self._groups = self._chunks.source_starts
            shares = mixture.chunk_shares(config.weights, self._names, means)
        self._mixture = mixture.interleave(shares)
        self._mean_tokens = float(means.mean())

    def _shares_by_length(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return shares of a source's short documents, then of its long ones, and so on."""
        config, tokens = self._config, self._chunks.part_tokens()
        pairs = {
            name: (int(short), int(long))
            for name, (short, long) in zip(self._names, tokens.reshape(-1, 2), strict=True)
        }
        weights = config.weights
        if weights is None:
            weights = {name: float(sum(pair)) for name, pair in pairs.items()}
        else:
            mixture.chunk_shares(weights, self._names, means)
        if not any(pairs[name][1] for name, weight in weights.items() if weight):
            raise ConfigError(
                f"no document of the mixture has long_tokens {config.long_tokens}; the longest of "
                f"the corpus has {self._chunks.longest()}: lower long_tokens, or leave it out"
            )
        parts = mixture.length_weights(weights, pairs, config.long_boost)
        chunks = np.diff(self._groups)
        # A part without documents has no weight, whatever its mean.
        part_means = np.where(chunks > 0, tokens / np.maximum(chunks, 1), 1.0)
        return mixture.chunk_shares(parts, tuple(parts), part_means)

    @property
    def chunks_per_epoch(self) -> int:
        """Chunks of the split, over all sources."""
        return len(self._chunks)

    def take(self, state: StreamState, num_rows: int, rank: int = 0, world_size: int = 1) -> Step:
        """Pack the next micro-batches; rank r gets rows r, r + world_size, and so on.

        Costs the same wherever the stream stands. All ranks pack all rows, from lengths alone,
        and read the tokens of their own.

        Raises:
            DataError: a document was altered on disk.
        """
        assert 0 <= rank < world_size
        assert num_rows > 0
        capacity = num_rows * self._config.micro_batch_tokens
        positions, chunks, lengths = self._candidates(state, capacity)
        packing = best_fit(
            lengths.tolist(),
            self._config.micro_batch_tokens,
            num_rows,
            first=len(state.carried),
        )
        mine = [np.array(row, dtype=np.int64) for row in packing.rows[rank::world_size]]
        left = positions[list(packing.left)]
        cursor = state.cursor + len(positions) - len(state.carried)
        return Step(
            rows=tuple(self._chunks.rows(chunks[row], positions[row]) for row in mine),
            num_tokens=int(lengths.sum() - lengths[list(packing.left)].sum()),
            capacity=capacity,
            state=StreamState(cursor, tuple(left.tolist())),
        )

    def name_of(self, position: int) -> str:
        """Return which tokens stand at a position, for messages."""
        chunk = self._chunks_at(np.array([position], dtype=np.int64))
        return self._chunks.name_of(int(chunk[0]))

    def _candidates(self, state: StreamState, capacity: int) -> tuple[Ints, Ints, Ints]:
        """Return what may go into the rows: the carried, then enough new ones to choose from."""
        wanted = capacity * (1 + _LOOK_AHEAD) + _LOOK_AHEAD_CHUNKS * self._mean_tokens
        positions = np.array(state.carried, dtype=np.int64)
        chunks = self._chunks_at(positions)
        lengths = self._chunks.lengths(chunks)
        cursor = state.cursor
        while (missing := wanted - lengths.sum()) > 0:
            count = int(missing / self._mean_tokens) + 1
            more = np.arange(cursor, cursor + count)
            more_chunks = self._chunks_at(more)
            positions = np.concatenate([positions, more])
            chunks = np.concatenate([chunks, more_chunks])
            lengths = np.concatenate([lengths, self._chunks.lengths(more_chunks)])
            cursor += count
        return positions, chunks, lengths

    def _chunks_at(self, positions: Ints) -> Ints:
        """Return the chunk at each position of the order."""
        groups, places = self._mixture.at(positions)
        sizes = np.diff(self._groups)[groups]
        epochs, places = np.divmod(places, sizes)
        chunks = np.empty_like(positions)
        by_epoch = np.lexsort((epochs, groups))
        is_new = (np.diff(groups[by_epoch]) != 0) | (np.diff(epochs[by_epoch]) != 0)
        for chosen in np.split(by_epoch, np.flatnonzero(is_new) + 1):
            if chosen.size:
                group, epoch = int(groups[chosen[0]]), int(epochs[chosen[0]])
                key = rng.key(self._config.seed, self._config.purpose, "order", group, epoch)
                shuffled = permuted(places[chosen], int(sizes[chosen[0]]), key)
                chunks[chosen] = self._groups[group] + shuffled
        return chunks
