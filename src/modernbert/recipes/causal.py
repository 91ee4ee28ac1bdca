"""A run in, the same run beginning with next tokens out."""

import math
from collections.abc import Callable
from dataclasses import replace

from modernbert.base.errors import ConfigError
from modernbert.optim.schedule import BatchWarmup, LengthWarmup
from modernbert.train.config import RunConfig


def begun_causally(config: RunConfig, share: float) -> RunConfig:
    """Return a run that guesses next tokens for this share of its tokens, and then goes on masked.

    25% and then masked beats masked alone at equal cost (arXiv 2507.00994). The first phase is
    divided in two, and the first part keeps its warm-ups.

    Raises:
        ConfigError: the share is none, or the first phase cannot be divided there.
    """
    first = config.phases[0]
    tokens = round(share * config.tokens) if 0 < share <= 1 else 0
    climbs = (first.schedule, first.batch_warmup, first.length_warmup)
    least = max(1, *(climb.warmup_tokens for climb in climbs))
    most = first.tokens - max(1, first.schedule.decay_tokens)
    if not least <= tokens <= most:
        raise ConfigError(
            f"a causal share of {share:g} is {tokens} of {config.tokens} tokens: it must hold all "
            f"warm-ups of phase {first.name} and end before that phase's fall, so give "
            f"{_rounded(least / config.tokens, math.ceil)} to "
            f"{_rounded(most / config.tokens, math.floor)}"
        )
    causal = replace(
        first,
        name="causal",
        tokens=tokens,
        objective="causal",
        schedule=replace(first.schedule, decay_tokens=0),
    )
    masked = replace(
        first,
        tokens=first.tokens - tokens,
        schedule=replace(first.schedule, warmup_tokens=0),
        batch_warmup=BatchWarmup(),
        length_warmup=LengthWarmup(),
    )
    return replace(config, phases=(causal, masked, *config.phases[1:]))


def _rounded(share: float, to_whole: Callable[[float], int]) -> str:
    """Return a share in three digits, to the side on which it is still possible."""
    return f"{to_whole(share * 1000) / 1000:g}"
