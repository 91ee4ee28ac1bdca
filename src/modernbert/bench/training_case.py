"""Which optimizer steps are measured, in which ways; free of torch, for the command line."""

from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError

_SHORTEST = 8
"""Tokens of the shortest document that is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCase:
    """Optimizer steps of one shape on documents of one kind, taken in several ways."""

    model: str = "tiny"
    """Name of a preset."""
    context_length: int = 1024
    """Longest document, in tokens; longer ones of a corpus are cut into chunks."""
    lengths: Literal["mixed", "full"] = "mixed"
    """How long documents are where no corpus is given: of many lengths, half of them shorter than
    half of the longest, or all of the longest."""
    row_tokens: int = 16_384
    """Tokens in one optimizer step."""
    batch_size: int = 16
    """Documents in a padded grid."""
    rounds: int = 9
    """Times that each side is measured: an optimizer step on a CPU, four on CUDA."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products; weights stay float32 on all sides."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    sides: tuple[str, ...] = ()
    """Ways to measure beside `packed`; empty for all that can run here."""

    def __post_init__(self) -> None:
        """Reject sizes that cannot be measured."""
        if self.rounds < 2 or self.batch_size < 1:
            raise ConfigError(
                f"rounds is {self.rounds} and batch_size {self.batch_size}: "
                "a spread needs 2 rounds or more, a batch 1 document or more"
            )
        if not _SHORTEST <= self.context_length <= self.row_tokens:
            raise ConfigError(
                f"context_length is {self.context_length} and row_tokens {self.row_tokens}: "
                f"give a context of {_SHORTEST} tokens or more, and rows that hold one"
            )
