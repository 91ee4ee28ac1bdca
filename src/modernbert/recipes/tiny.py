"""A small encoder through all three phases, for a laptop."""

from modernbert.model.presets import PRESETS
from modernbert.optim.schedule import Schedule
from modernbert.train.config import Phase, RunConfig


def tiny() -> RunConfig:
    """Return 60M tokens in the paper's three phases and proportions of context and rate."""
    return RunConfig(
        model=PRESETS["tiny"],
        phases=(
            Phase(
                name="pretrain",
                tokens=48_000_000,
                context_length=512,
                batch_tokens=16_384,
                row_tokens=16_384,
                peak_lr=3e-3,
                weight_decay=1e-5,
                schedule=Schedule(warmup_tokens=1_500_000),
            ),
            Phase(
                name="context",
                tokens=6_000_000,
                context_length=4096,
                batch_tokens=16_384,
                row_tokens=16_384,
                peak_lr=1.5e-3,
                weight_decay=1e-5,
                global_rope_theta=160_000.0,
            ),
            Phase(
                name="decay",
                tokens=6_000_000,
                context_length=4096,
                batch_tokens=16_384,
                row_tokens=16_384,
                peak_lr=1.5e-3,
                weight_decay=1e-5,
                schedule=Schedule(decay_tokens=6_000_000, floor=0.001),
                global_rope_theta=160_000.0,
            ),
        ),
        save_every_tokens=5_000_000,
        evaluate_every_tokens=10_000_000,
        evaluate_tokens=30_000,
    )
