"""What may be asked of an index: how documents are read and kept, and how they are searched."""

from dataclasses import dataclass
from typing import Literal, get_args

from modernbert.base.errors import ConfigError
from modernbert.base.records import one_of
from modernbert.infer.told import Runtime
from modernbert.retrieval.index_files import CHUNK_TOKENS, Long, Numbers, Reading

APPROXIMATE_ABOVE = {"dense": 200_000, "late": 5_000_000}
"""Vectors beyond which a graph is made and used: where comparing all takes longer than a person
notices, see docs/guides/search.md."""

Mode = Literal["hybrid", "dense", "words"]
RerankBy = Literal["score", "sum"]
_RERANKED = 50
_COMPRESSIONS: dict[str, Numbers] = {"float16": "float16", "int8": "int8"}
_MOST_POOLED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """How documents are read and kept."""

    long: Long = "whole"
    """How a document is read: whole, cut where the model ends; in late-chunks, read together and
    then divided; or in chunks that are read alone. Its score is its best chunk's."""
    chunk_tokens: int = 0
    """Tokens of a chunk at most; 0 takes 256."""
    max_length: int = 0
    """Tokens that are read of a document at most (of a chunk with --long chunks, which reads all of
    them); 0 takes what the model's folder says."""
    compress: tuple[str, ...] = ()
    """float16 or int8: what vectors are kept in; pool:2 to pool:16: of late interaction, one vector
    for so many tokens."""
    approximate_above: int = 0
    """Vectors beyond which a graph of neighbours is made and used; 0 takes what is usual."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    runtime: Runtime = "torch"
    """What computes: torch; int8, the same with matrices in 8 bits on a CPU; or a graph of a folder
    that `modernbert export` wrote."""

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        if min(self.chunk_tokens, self.max_length, self.approximate_above) < 0:
            raise ConfigError(
                "--chunk-tokens, --max-length and --approximate-above cannot be negative"
            )
        one_of("--long", self.long, get_args(Long))
        if self.chunk_tokens and self.long == "whole":
            raise ConfigError(
                "--chunk-tokens divides documents that are read whole: say --long chunks or "
                "late-chunks too, or leave it out"
            )
        self.reading()

    def reading(self) -> Reading:
        """Return what decides the vectors.

        Raises:
            ConfigError: a way of compressing is unknown.
        """
        numbers: Numbers = "float32"
        pool = 1
        sorts = [each.partition(":")[0] == "pool" for each in self.compress]
        if len({*sorts}) < len(sorts):
            raise ConfigError(
                f"--compress {' '.join(self.compress)} names one thing twice: give float16 or "
                "int8, and one pool:N"
            )
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
            chunk_tokens=self.chunk_tokens or CHUNK_TOKENS,
            max_length=self.max_length,
            numbers=numbers,
            pool=pool,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How an index is searched."""

    number: int = 10
    """Documents to find for each query."""
    mode: Mode = "hybrid"
    """By the model's vectors (dense), by BM25 (words), or by both together."""
    filter: tuple[str, ...] = ()
    """Conditions on metadata that all must hold, such as "year>=2020" or "lang=en|de"."""
    reranker: str = ""
    """Folder or hub id of a cross-encoder, or of a late-interaction model; it orders the best of
    what was found."""
    rerank: int = 0
    """Documents of each query that it reads; 0 reads 50."""
    rerank_by: RerankBy = "score"
    """What these are ordered by: its score alone, or the sum of that and the search's, each less
    its mean over its standard deviation, which is safer where it has learned from little."""
    exact: bool = False
    """Compare all vectors, even where the index has a graph of neighbours. With filters all that
    meet them are compared in any case."""
    approximate: bool = False
    """Refuse an index that has no graph of neighbours."""

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        if self.number < 1:
            raise ConfigError(f"--number is {self.number}: give 1 or more")
        one_of("--mode", self.mode, get_args(Mode))
        one_of("--rerank-by", self.rerank_by, get_args(RerankBy))
        check_rerank(self.reranker, self.rerank)
        if self.rerank_by == "sum" and not self.reranker:
            raise ConfigError("--rerank-by sum adds a model's score: name --reranker")
        if self.reranker and self.num_reranked < self.number:
            raise ConfigError(
                f"--rerank is {self.num_reranked} and --number {self.number}: let it read as many "
                "as are to be found, or ask for fewer"
            )
        if self.exact and self.approximate:
            raise ConfigError("--exact and --approximate contradict each other: leave one out")
        if self.mode == "words" and (self.exact or self.approximate):
            raise ConfigError(
                "--mode words compares no vectors: leave --exact and --approximate out"
            )

    @property
    def num_reranked(self) -> int:
        """How many documents of a query a reranker reads; none without one."""
        return (self.rerank or _RERANKED) if self.reranker else 0


def check_rerank(reranker: str, number: int) -> None:
    """Refuse a number of documents that nobody could read.

    Raises:
        ConfigError: it is negative, or there is no reranker.
    """
    if number < 0:
        raise ConfigError(f"--rerank is {number}: give 1 or more")
    if number and not reranker:
        raise ConfigError(
            "--rerank says how much a model reads, and there is none: name --reranker"
        )
