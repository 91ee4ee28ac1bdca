"""Which models encode which documents by which runtimes, and how often; free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.bench.lengths import LENGTHS, Batches, Numbers, grouped, lengths_of

EfficiencyName = Literal["queries", "short", "short-fixed", "long", "long-fixed", "fixed", "text"]
DeviceName = Literal["cpu", "cuda"]

_BATCH_TOKENS: dict[DeviceName, int] = {"cpu": 8192, "cuda": 262_144}
"""On CUDA what the paper takes: 512 documents of 512 tokens, or 32 of 8192."""
_MORE_ON_CUDA = 64
_FIXED_TOKENS = 8192
"""That documents of one length have together, so that rows by length can be compared."""
_TEXTS = 32
_LEAST = {"rounds": 2, "documents": 0, "batch_tokens": 0, "length": 0, "longest": 1}
_OF_SEARCH = ("largest_batch_limit", "largest_batch_minutes", "largest_batch_gib")


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficiencyCase:
    """Documents encoded by models of several shapes, each with its runtimes."""

    case: EfficiencyName = "short"
    """How long the documents are: queries of about 24 tokens, short ones of about 256 or of 512,
    long ones of about 4096 or of 8192, all of `length`, or as long as those of a text file."""
    length: int = 0
    """Tokens of every document where the case is fixed."""
    longest: int = 8192
    """Tokens that those of a text file are cut to."""
    models: tuple[str, ...] = ("modernbert-base",)
    """Names of presets and of other shapes, such as bert-base; their weights are random."""
    runtimes: tuple[str, ...] = ()
    """Runtimes to measure beside this package; empty for all that are installed."""
    precision: Numbers = "float32"
    """What matrices are multiplied in; int8 is for a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    documents: int = 0
    """How many; 0 takes the case's own number. The paper takes 8192."""
    batch_tokens: int = 0
    """Most tokens in a batch, padding not counted; 0 takes 8192 on a CPU and 262144 on CUDA."""
    order: Literal["sorted", "drawn"] = "sorted"
    """Whether documents are sorted by length first; the paper's are not."""
    rounds: int = 5
    """Times that every runtime encodes all documents."""
    largest_batch: bool = False
    """Search the largest batch of each runtime too, in processes of their own."""
    largest_batch_limit: int = 4096
    """Documents beyond which is not searched."""
    largest_batch_minutes: float = 5.0
    """Time for the search of each runtime."""
    largest_batch_gib: float = 0.0
    """Memory that a process may take then; 0 takes three quarters of the machine's, or the GPU's
    whole."""

    def __post_init__(self) -> None:
        """Reject sizes that cannot be measured."""
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}: give {least} or more")
        if (self.case == "fixed") != (self.length > 0):
            raise ConfigError(
                f"case is {self.case} and length {self.length}: the case fixed has a length of 1 "
                "or more (or several, by --lengths alone), and no other has one"
            )
        if self.precision == "int8" and self.device == "cuda":
            raise ConfigError("precision is int8 and device cuda: 8 bits are multiplied on a CPU")
        self._check_search()

    def _check_search(self) -> None:
        is_sound = self.largest_batch_minutes > 0 and self.largest_batch_gib >= 0  # NaN is not
        if self.largest_batch_limit <= 0 or not is_sound:
            raise ConfigError(
                f"largest_batch_limit is {self.largest_batch_limit}, largest_batch_minutes "
                f"{self.largest_batch_minutes} and largest_batch_gib {self.largest_batch_gib}: "
                "give limit and minutes above 0, and no negative memory"
            )
        usual = {each.name: each.default for each in fields(self)}
        for name in _OF_SEARCH:
            if not self.largest_batch and getattr(self, name) != usual[name]:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, and no largest batch is searched: give "
                    "--largest-batch too"
                )

    @property
    def document_length(self) -> int | None:
        """Tokens of every document; None where they differ."""
        fixed = {"fixed": self.length, "short-fixed": 512, "long-fixed": 8192}
        return fixed.get(self.case)

    def num_documents(self, device: DeviceName) -> int:
        """How many documents are encoded there."""
        if self.case == "fixed":
            own = max(1, _FIXED_TOKENS // self.length)
        else:
            own = _TEXTS if self.case == "text" else LENGTHS[self.case].documents
        return self.documents or own * (_MORE_ON_CUDA if device == "cuda" else 1)


@dataclass(frozen=True, slots=True)
class Work:
    """What every runtime of a row is given."""

    batches: Batches
    precision: Numbers
    device: DeviceName

    @property
    def lengths(self) -> list[int]:
        """Tokens of every document."""
        return [length for batch in self.batches for length in batch]


def work_of(case: EfficiencyCase, device: DeviceName, texts: Sequence[int] = ()) -> Work:
    """Draw a case's lengths and group them; the same on every machine.

    `texts` are the lengths of real texts, for the case of that name.
    """
    number = case.num_documents(device)
    if case.case == "text":
        lengths = list(texts)
    elif case.case == "fixed":
        lengths = [case.length] * number
    else:
        lengths = lengths_of(case.case, number)
    if case.order == "sorted":
        lengths.sort()
    batch_tokens = case.batch_tokens or _BATCH_TOKENS[device]
    return Work(grouped(lengths, batch_tokens), case.precision, device)


def checked_of(work: Work, most: int = 16_384) -> Batches:
    """Return documents to compare the runtimes by: all, or so many tokens from all over them."""
    lengths = sorted(work.lengths, reverse=True)
    step = -(-sum(lengths) // most)
    if step == 1:
        return work.batches
    chosen = lengths[::step]
    budget = max(map(sum, work.batches))
    return grouped(chosen[::-1], budget)
