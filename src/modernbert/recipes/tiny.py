"""A small encoder through all three phases, for a laptop."""

from modernbert.model.presets import PRESETS
from modernbert.optim.schedule import Schedule
from modernbert.train.config import Phase, RunConfig


def tiny() -> RunConfig:
    """Return 40M tokens in three phases, with the paper's order of contexts, thetas and rates.

    Rates and batch sizes are this project's own, found by trials of minutes (lab/LOG.md).
    """
    return RunConfig(
        model=PRESETS["tiny"],
        phases=(
            Phase(
                name="pretrain",
                tokens=32_000_000,
                context_length=512,
                batch_tokens=2048,
                row_tokens=2048,
                peak_lr=4e-3,
                weight_decay=1e-5,
                schedule=Schedule(warmup_tokens=1_600_000),
            ),
            Phase(
                name="context",
                tokens=4_000_000,
                context_length=2048,
                batch_tokens=4096,
                row_tokens=4096,
                peak_lr=3e-3,
                weight_decay=1e-5,
                global_rope_theta=160_000.0,
            ),
            Phase(
                name="decay",
                tokens=4_000_000,
                context_length=2048,
                batch_tokens=4096,
                row_tokens=4096,
                peak_lr=3e-3,
                weight_decay=1e-5,
                schedule=Schedule(decay_tokens=4_000_000, floor=0.001),
                global_rope_theta=160_000.0,
            ),
        ),
        save_every_tokens=2_000_000,
        evaluate_every_tokens=4_000_000,
        evaluate_tokens=30_000,
    )
