"""What may be asked of an index: how documents are read and kept, and how they are searched."""

from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.retrieval.index_files import Long, Numbers, Reading

APPROXIMATE_ABOVE = {"dense": 200_000, "late": 5_000_000}
"""Vectors beyond which a graph is made and used: where comparing all takes longer than a person
notices, see docs/guides/search.md."""

_COMPRESSIONS: dict[str, Numbers] = {"float16": "float16", "int8": "int8"}
_MOST_POOLED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """How documents are read and kept."""

    long: Long = "whole"
    """How a document is read: whole, cut where the model ends; in late-chunks, read together and
    then divided; or in chunks that are read alone. Its score is its best chunk's."""
    chunk_tokens: int = 256
    """Tokens of a chunk at most."""
    max_length: int = 0
    """Tokens that are read of a document at most; 0 takes what the model's folder says."""
    compress: tuple[str, ...] = ()
    """float16 or int8: what vectors are kept in; pool:2 to pool:16: of late interaction, one vector
    for so many tokens."""
    approximate_above: int = 0
    """Vectors beyond which a graph of neighbours is made and used; 0 takes what is usual."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        if self.chunk_tokens < 1:
            raise ConfigError(f"--chunk-tokens is {self.chunk_tokens}: give 1 or more")
        if min(self.max_length, self.approximate_above) < 0:
            raise ConfigError("--max-length and --approximate-above cannot be negative")
        self.reading()

    def reading(self) -> Reading:
        """Return what decides the vectors.

        Raises:
            ConfigError: a way of compressing is unknown.
        """
        numbers: Numbers = "float32"
        pool = 1
        for each in self.compress:
            name, _, factor = each.partition(":")
            if each in _COMPRESSIONS:
                numbers = _COMPRESSIONS[each]
            elif name == "pool" and factor.isdecimal() and 1 < int(factor) <= _MOST_POOLED:
                pool = int(factor)
            else:
                raise ConfigError(
                    f"--compress {each} is unknown: give float16, int8, or pool:2 to "
                    f"pool:{_MOST_POOLED}"
                )
        return Reading(
            long=self.long,
            chunk_tokens=self.chunk_tokens,
            max_length=self.max_length,
            numbers=numbers,
            pool=pool,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How an index is searched."""

    number: int = 10
    """Documents to find for each query."""
    mode: Literal["hybrid", "dense", "words"] = "hybrid"
    """By the model's vectors (dense), by BM25 (words), or by both together."""
    filter: tuple[str, ...] = ()
    """Conditions on metadata that all must hold, such as "year>=2020" or "lang=en|de"."""
    reranker: str = ""
    """Folder or hub id of a model that scores pairs; it orders the best of what was found."""
    rerank: int = 50
    """Documents of each query that it reads."""
    exact: bool = False
    """Compare all vectors, even where the index has a graph of neighbours. With filters all that
    meet them are compared in any case."""
    approximate: bool = False
    """Refuse an index that has no graph of neighbours."""

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        if self.number < 1:
            raise ConfigError(f"--number is {self.number}: give 1 or more")
        if self.rerank < 1:
            raise ConfigError(f"--rerank is {self.rerank}: give 1 or more")
        if self.reranker and self.rerank < self.number:
            raise ConfigError(
                f"--rerank is {self.rerank} and --number {self.number}: let it read as many as are "
                "to be found, or ask for fewer"
            )
        if self.exact and self.approximate:
            raise ConfigError("--exact and --approximate contradict each other: leave one out")
        if self.mode == "words" and (self.exact or self.approximate):
            raise ConfigError(
                "--mode words compares no vectors: leave --exact and --approximate out"
            )
