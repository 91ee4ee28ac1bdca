"""A split cut for a context length: chunk numbers in, their lengths, places and tokens out."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import ConfigError
from modernbert.data.corpus import Corpus

Ints = NDArray[np.int64]

AROUND = 2
"""[CLS] before a chunk, [SEP] after it."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One micro-batch: chunks end to end."""

    ids: Ints
    """All tokens, [CLS] and [SEP] of every chunk among them."""
    lengths: tuple[int, ...]
    """Tokens of each chunk, in order."""
    samples: Ints
    """Position of each chunk in the order: the address of its randomness."""


@final
class ChunkTable:
    """Every document in as few chunks as the context allows: full ones, then what is left.

    Full chunks fill rows without a gap, since a row holds a whole number of them. Needs 16 bytes
    a document; no chunk is stored.
    """

    def __init__(
        self, corpus: Corpus, split: str, context_length: int, long_tokens: int = 0
    ) -> None:
        """Number the chunks; with `long_tokens`, a source's long documents after its others."""
        if context_length <= AROUND:
            raise ConfigError(
                f"a context of {context_length} tokens has no room for text "
                f"between [CLS] and [SEP]: give at least {AROUND + 1}"
            )
        self._corpus, self._split = corpus, split
        self._tokens = corpus.lengths(split)
        documents = np.array([*corpus.document_counts(split).values()], dtype=np.int64)
        self._order: Ints | None = None
        parts = documents
        if long_tokens:
            sources = np.repeat(np.arange(len(documents)), documents)
            part = 2 * sources + (self._tokens >= long_tokens)
            self._order = np.argsort(part, kind="stable")
            self._tokens = self._tokens[self._order]
            parts = np.bincount(part, minlength=2 * len(documents))
        self._room = context_length - AROUND
        counts = -(-self._tokens // self._room)
        self._starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
        self.source_starts: Ints = self._starts[np.cumsum([0, *documents])]
        """First chunk of each source, then the number of all chunks."""
        self.part_starts: Ints = self._starts[np.cumsum([0, *parts])]
        """The same of each part: a source, or its short documents and then its long ones."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    def place(self, chunks: Ints) -> tuple[Ints, Ints, Ints]:
        """Return each chunk's document and where it starts and stops in it."""
        documents = np.searchsorted(self._starts, chunks, side="right") - 1
        start = (chunks - self._starts[documents]) * self._room
        stop = np.minimum(start + self._room, self._tokens[documents])
        return documents if self._order is None else self._order[documents], start, stop

    def lengths(self, chunks: Ints) -> Ints:
        """Return each chunk's tokens, [CLS] and [SEP] among them."""
        _, start, stop = self.place(chunks)
        return stop - start + AROUND

    def rows(self, chunks: Ints, samples: Ints) -> Rows:
        """Read chunks and lay them end to end.

        Raises:
            DataError: a document was altered on disk.
        """
        tokenizer = self._corpus.tokenizer
        places = zip(*(column.tolist() for column in self.place(chunks)), strict=True)
        bodies = self._corpus.read_many(self._split, places)
        lengths = [len(body) + AROUND for body in bodies]
        ids = np.empty(sum(lengths), dtype=np.int64)
        at = 0
        for body, length in zip(bodies, lengths, strict=True):
            ids[at] = tokenizer.cls_id
            ids[at + 1 : at + length - 1] = body
            ids[at + length - 1] = tokenizer.sep_id
            at += length
        return Rows(ids, tuple(lengths), samples)

    def mean_lengths(self) -> NDArray[np.float64]:
        """Return the mean tokens of each source's chunks, [CLS] and [SEP] among them."""
        documents = np.cumsum([0, *self._corpus.document_counts(self._split).values()])
        tokens = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self._tokens)])
        means = np.diff(tokens[documents]) / np.diff(self.source_starts) + AROUND
        return np.asarray(means, dtype=np.float64)

    def part_tokens(self) -> Ints:
        """Return the tokens of each part's chunks, [CLS] and [SEP] among them."""
        tokens = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self._tokens)])
        first = np.searchsorted(self._starts, self.part_starts)
        found: Ints = np.diff(tokens[first]) + AROUND * np.diff(self.part_starts)
        return found

    def longest(self) -> int:
        """Return the tokens of the longest document."""
        return int(self._tokens.max())

    def name_of(self, chunk: int) -> str:
        """Return a chunk's shard, document and tokens, for messages."""
        document, start, stop = (int(x[0]) for x in self.place(np.array([chunk])))
        where = self._corpus.name_of(self._split, document)
        return f"{where}, tokens {start}-{stop - 1}"
