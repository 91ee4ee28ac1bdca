"""What `modernbert evaluate` is asked to do, as data; importing it costs nothing."""

from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.infer.told import Runtime
from modernbert.retrieval.options import check_rerank

_RERANKED = 100
SEEDS = (19, 8364, 717, 10536, 90166, 1618, 42, 6033, 3145)
"""In this order; five of ModernBERT's authors, then those of their ablations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """How the tasks of a suite are learned."""

    quick: bool = False
    """Take the published best settings of each task; without it a grid is searched."""
    tasks: tuple[str, ...] = ()
    """Tasks to measure; all where it is left out."""
    seeds: int = 1
    """Seeds that the best settings of each task are run with; several give an interval."""
    sweep: tuple[str, ...] = ()
    """Values of options, for all tasks, in place of the grid's: peak-lr=1e-4,3e-4 epochs=2."""
    max_train_rows: int = 0
    """Most examples of each task to learn from; 0 takes all."""
    baselines: bool = False
    """Measure too what needs no pretraining: frequencies, TF-IDF, the same shape from random."""
    jobs: int = 0
    """Runs at a time; 0 takes one on a CPU, and one a GPU elsewhere."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        if not 1 <= self.seeds <= len(SEEDS):
            raise ConfigError(f"--seeds is {self.seeds}: give 1 to {len(SEEDS)}")
        if min(self.jobs, self.max_train_rows) < 0:
            raise ConfigError("--jobs and --max-train-rows cannot be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalOptions:
    """How judged sets are searched."""

    split: str = "test"
    """Name of the judgements: a file qrels/SPLIT.tsv."""
    max_length: tuple[int, ...] = ()
    """Tokens at which documents are cut, one number or several; without any, the folder's."""
    number: int = 100
    """Documents kept for each query."""
    bm25: bool = True
    """Search by words too, and by both together (the sum of their standardised scores)."""
    reranker: str = ""
    """Folder or hub id of a cross-encoder, or of a late-interaction model; it orders the best of
    what was found."""
    rerank: int = 0
    """Documents of each query that it reads; 0 reads 100."""
    distractors: int = 0
    """Others among which each right document is ranked too, as CodeSearchNet does with 999."""
    ignore_identical_ids: bool = False
    """Leave a document out that has its query's own id, as ArguAna and Quora want it."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    runtime: Runtime = "torch"
    """What computes: torch; int8, the same with matrices in 8 bits on a CPU; or a graph of a folder
    that `modernbert export` wrote. Rerankers are always computed by torch."""

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        if self.number < 100:
            raise ConfigError(f"--number is {self.number}: recall is of the first 100, give more")
        check_rerank(self.reranker, self.rerank)
        if self.distractors < 0:
            raise ConfigError("--distractors cannot be negative")
        if len({*self.max_length}) < len(self.max_length):
            raise ConfigError("--max-length names a number twice: give each once")

    @property
    def num_reranked(self) -> int:
        """How many documents of a query a reranker reads."""
        return self.rerank or _RERANKED
