"""Learning-rate and batch-size schedules: pure functions of tokens seen, never of steps.

A rate that follows tokens is not moved when the batch size changes; a run that stopped finds
its place again from one number.
"""

import math
from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError

DecayShape = Literal["one_minus_sqrt", "linear", "cosine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Climb, hold, then fall: warmup-stable-decay (Hagele et al. 2024, arXiv 2405.18392).

    With no decay it is constant; with a decay over everything after the climb it is the plain
    linear or cosine schedule.
    """

    warmup_tokens: int = 0
    """Tokens over which the rate climbs from 0 to its peak."""
    decay_tokens: int = 0
    """Tokens at the end over which it falls; with 0 the phase stays open for continuation."""
    decay: DecayShape = "one_minus_sqrt"
    """Shape of the fall."""
    floor: float = 0.0
    """Share of the peak that is left at the end of the fall."""

    def __post_init__(self) -> None:
        """Reject negative stretches."""
        if self.warmup_tokens < 0 or self.decay_tokens < 0 or not 0 <= self.floor <= 1:
            raise ConfigError(
                f"warmup_tokens {self.warmup_tokens} and decay_tokens {self.decay_tokens} must "
                f"not be negative, and floor {self.floor} must lie between 0 and 1"
            )

    def at(self, tokens: float, horizon: int) -> float:
        """Return the multiplier of the peak rate after `tokens` of `horizon`.

        Raises:
            ConfigError: the climb and the fall overlap.
        """
        if self.warmup_tokens + self.decay_tokens > horizon:
            raise ConfigError(
                f"a climb of {self.warmup_tokens} and a fall of {self.decay_tokens} tokens do "
                f"not fit into {horizon}: shorten one, or train for longer"
            )
        if tokens < self.warmup_tokens:
            return tokens / self.warmup_tokens
        into_decay = tokens - (horizon - self.decay_tokens)
        if into_decay <= 0 or not self.decay_tokens:
            return 1.0
        left = _fall(self.decay, min(into_decay / self.decay_tokens, 1.0))
        return self.floor + (1.0 - self.floor) * left


def _fall(shape: DecayShape, share: float) -> float:
    if shape == "one_minus_sqrt":
        return 1.0 - math.sqrt(share)
    if shape == "linear":
        return 1.0 - share
    return 0.5 * (1.0 + math.cos(math.pi * share))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWarmup:
    """Grow the batch in equal numbers of steps at each size (ModernBERT paper, table 3)."""

    first_tokens: int = 0
    """Tokens in the first batches; 0 starts at the full size."""
    warmup_tokens: int = 0
    """Tokens over which the batch grows to its full size."""
    by_tokens: int = 0
    """Tokens by which it grows, such as a row on each device; 0 grows by one row."""

    def __post_init__(self) -> None:
        """Reject negative numbers."""
        given = (self.first_tokens, self.warmup_tokens, self.by_tokens)
        if min(given) < 0:
            raise ConfigError(
                f"first_tokens, warmup_tokens and by_tokens of a batch warm-up are {given}: "
                "none may be negative"
            )

    def rows_at(self, tokens: int, row_tokens: int, batch_tokens: int) -> int:
        """Return how many rows of `row_tokens` the next step takes after `tokens`.

        Every size from the first to the full one is used for the same number of steps, so a
        size of n rows lasts n times as many tokens as a size of one.
        """
        full = max(1, round(batch_tokens / row_tokens))
        if tokens >= self.warmup_tokens:
            return full
        reached = 0.0
        for rows, share in self.sizes(row_tokens, batch_tokens):
            reached += share * self.warmup_tokens
            if tokens < reached:
                return rows
        return full

    def sizes(self, row_tokens: int, batch_tokens: int) -> list[tuple[int, float]]:
        """Return the sizes below the full one, in rows, and the share of the warm-up of each."""
        full = max(1, round(batch_tokens / row_tokens))
        first = max(1, round(self.first_tokens / row_tokens)) if self.first_tokens else full
        growing = range(first, full, max(1, round(self.by_tokens / row_tokens)))
        total = sum(growing)
        return [(rows, rows / total) for rows in growing]


_SHORTEST = 3
"""[CLS], a token and [SEP]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthWarmup:
    """Begin with short sequences, twice as long from stage to stage (arXiv 2310.00576).

    Each length lasts for the same number of tokens. Chunks of documents are divided into pieces of
    that length, and no token is left out: the "reshape" of sequence-length warm-up, which keeps
    early training stable at high rates (arXiv 2108.06084).
    """

    first_length: int = 0
    """Most tokens that see each other at first; 0 begins with the phase's context_length."""
    warmup_tokens: int = 0
    """Tokens over which the length grows to context_length."""

    def __post_init__(self) -> None:
        """Reject lengths without text, and one of the two without the other."""
        given = (self.first_length, self.warmup_tokens)
        if given != (0, 0) and not (self.first_length >= _SHORTEST and self.warmup_tokens > 0):
            raise ConfigError(
                f"first_length and warmup_tokens of a length warm-up are {given}: give a length of "
                f"at least {_SHORTEST} and 1 token or more, or 0 and 0 for none"
            )

    def lengths(self, context_length: int) -> list[int]:
        """Return the lengths before the full one."""
        found, length = [], self.first_length
        while 0 < length < context_length:
            found.append(length)
            length *= 2
        return found

    def length_at(self, tokens: int, context_length: int) -> int:
        """Return how many tokens a piece of the next step has at most, after `tokens`."""
        stages = self.lengths(context_length)
        if not stages or tokens >= self.warmup_tokens:
            return context_length
        return stages[tokens * len(stages) // self.warmup_tokens]

    def shares(self, context_length: int, tokens: int) -> list[tuple[int, float]]:
        """Return every length and its share of a phase of so many tokens."""
        stages = self.lengths(context_length)
        each = self.warmup_tokens / len(stages) / tokens if stages else 0.0
        return [*((length, each) for length in stages), (context_length, 1.0 - each * len(stages))]
