"""ModernBERT base as its authors trained it (arXiv 2412.13663, table 3 and appendix A)."""

import dataclasses

from modernbert.model.presets import PRESETS
from modernbert.optim.schedule import BatchWarmup, Schedule
from modernbert.train.config import Phase, RunConfig


def modernbert_base() -> RunConfig:
    """Return base: 1.719T tokens at 1024, 250B at 8192, 50B of decay; eight devices' rows."""
    return RunConfig(
        model=dataclasses.replace(PRESETS["modernbert-base"], attention_out_dropout=0.1),
        phases=(
            Phase(
                name="pretrain",
                tokens=1_719_000_000_000,
                context_length=1024,
                batch_tokens=4608 * 1024,
                row_tokens=96 * 1024,
                peak_lr=8e-4,
                weight_decay=1e-5,
                schedule=Schedule(warmup_tokens=3_000_000_000),
                batch_warmup=BatchWarmup(first_tokens=768 * 1024, warmup_tokens=50_000_000_000),
            ),
            Phase(
                name="context",
                tokens=250_000_000_000,
                context_length=8192,
                batch_tokens=576 * 8192,
                row_tokens=12 * 8192,
                peak_lr=3e-4,
                weight_decay=1e-5,
                global_rope_theta=160_000.0,
            ),
            Phase(
                name="decay",
                tokens=50_000_000_000,
                context_length=8192,
                batch_tokens=576 * 8192,
                row_tokens=12 * 8192,
                peak_lr=3e-4,
                weight_decay=1e-5,
                schedule=Schedule(decay_tokens=50_000_000_000, floor=0.001),
                global_rope_theta=160_000.0,
            ),
        ),
        seed=17,
        save_every_tokens=4000 * 4608 * 1024,
        evaluate_every_tokens=4000 * 4608 * 1024,
    )
