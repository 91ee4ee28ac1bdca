"""Ettin's six encoders as their authors trained them (arXiv 2507.11412).

Published are the numbers of each size below, lengths, tokens, masks (30%, 30%, 15%), a batch of
4608 documents in all three phases, falls of 1 - sqrt to 0.5 and 0.04 of a phase's rate, and that
the third phase has half of the peak. What follows from these, or from ModernBERT, which they
follow:
- Phase 2 falls from the whole peak over all its tokens, to the half that phase 3 starts from;
  phase 3 falls over all of its own, in the same shape.
- 4608 documents of 7999 tokens are one step, eight times the tokens of one in the first phase.
- The batch grows from a row on each of their four devices, by as much at a time.
- Of phase 2's local theta, the configuration of 17M says 10,000 and the others nothing; by the
  reference code's rule local layers then take the global one. Phase 3 says 160,000 for both.
- A dropout of 0.1 after attention. The seed is this project's.
Checkpoints are 8.5B tokens apart, as those that they published are.
"""

import dataclasses

from modernbert.model.presets import PRESETS
from modernbert.optim.schedule import BatchWarmup, Schedule
from modernbert.train.config import Phase, RunConfig

_BILLION = 1_000_000_000
_DEVICES = 4
"""Those that the authors trained each size on; the batch grows by a row on each."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """What differs from size to size."""

    peak_lr: float
    weight_decay: float
    batch_warmup: int
    """Tokens over which the batch grows."""
    warmup: int
    """Tokens over which the rate climbs."""
    rows: tuple[int, int, int]
    """Documents in a row, for each phase."""
    later: tuple[int, int] = (250 * _BILLION, 50 * _BILLION)
    """Tokens of the second and of the third phase."""
    local_theta: float = 160_000.0
    """Theta of the local layers in the second phase."""


_SIZES = {
    "ettin-17m": _Size(
        peak_lr=3e-3,
        weight_decay=3e-4,
        batch_warmup=125 * _BILLION,
        warmup=4 * _BILLION,
        rows=(144, 24, 12),
        local_theta=10_000.0,
    ),
    "ettin-32m": _Size(
        peak_lr=3e-3,
        weight_decay=3e-4,
        batch_warmup=100 * _BILLION,
        warmup=4 * _BILLION,
        rows=(128, 24, 12),
    ),
    "ettin-68m": _Size(
        peak_lr=3e-3,
        weight_decay=3e-4,
        batch_warmup=75 * _BILLION,
        warmup=3 * _BILLION,
        rows=(96, 18, 8),
    ),
    "ettin-150m": _Size(
        peak_lr=8e-4,
        weight_decay=1e-5,
        batch_warmup=50 * _BILLION,
        warmup=3 * _BILLION,
        rows=(72, 16, 12),
    ),
    "ettin-400m": _Size(
        peak_lr=5e-4,
        weight_decay=1e-5,
        batch_warmup=10 * _BILLION,
        warmup=2 * _BILLION,
        rows=(48, 6, 2),
    ),
    "ettin-1b": _Size(
        peak_lr=5e-4,
        weight_decay=5e-5,
        batch_warmup=3 * _BILLION,
        warmup=2 * _BILLION,
        rows=(24, 2, 2),
        later=(83_300_000_000, 16_700_000_000),
    ),
}


def ettin_17m() -> RunConfig:
    """Return the smallest size, 7 layers of 256."""
    return _ettin("ettin-17m")


def ettin_32m() -> RunConfig:
    """Return 10 layers of 384."""
    return _ettin("ettin-32m")


def ettin_68m() -> RunConfig:
    """Return 19 layers of 512."""
    return _ettin("ettin-68m")


def ettin_150m() -> RunConfig:
    """Return the shape of ModernBERT base."""
    return _ettin("ettin-150m")


def ettin_400m() -> RunConfig:
    """Return the shape of ModernBERT large."""
    return _ettin("ettin-400m")


def ettin_1b() -> RunConfig:
    """Return 28 layers of 1792; its second and third phase are a third as long."""
    return _ettin("ettin-1b")


def _ettin(name: str) -> RunConfig:
    """Return a size: 1.7T tokens at 1024, then 7999 as the rate falls, then half of the rate."""
    size = _SIZES[name]
    first, second, third = size.rows
    by_tokens = _DEVICES * first * 1024
    return RunConfig(
        model=dataclasses.replace(PRESETS[name], attention_out_dropout=0.1),
        phases=(
            Phase(
                name="pretrain",
                tokens=1_700_000_000_000,
                context_length=1024,
                batch_tokens=4608 * 1024,
                row_tokens=first * 1024,
                peak_lr=size.peak_lr,
                weight_decay=size.weight_decay,
                schedule=Schedule(warmup_tokens=size.warmup),
                batch_warmup=BatchWarmup(
                    first_tokens=by_tokens, warmup_tokens=size.batch_warmup, by_tokens=by_tokens
                ),
            ),
            Phase(
                name="context",
                tokens=size.later[0],
                context_length=7999,
                batch_tokens=4608 * 7999,
                row_tokens=second * 7999,
                peak_lr=size.peak_lr,
                weight_decay=size.weight_decay,
                schedule=Schedule(decay_tokens=size.later[0], floor=0.5),
                global_rope_theta=160_000.0,
                local_rope_theta=size.local_theta,
            ),
            Phase(
                name="decay",
                tokens=size.later[1],
                context_length=7999,
                batch_tokens=4608 * 7999,
                row_tokens=third * 7999,
                peak_lr=size.peak_lr / 2,
                weight_decay=size.weight_decay,
                schedule=Schedule(decay_tokens=size.later[1], floor=0.04),
                global_rope_theta=160_000.0,
                local_rope_theta=160_000.0,
                mask_rate=0.15,
            ),
        ),
        save_every_tokens=8_500_000_000,
        evaluate_every_tokens=8_500_000_000,
    )
