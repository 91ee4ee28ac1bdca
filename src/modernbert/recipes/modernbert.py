"""ModernBERT base and large as their authors trained them (arXiv 2412.13663, table 3, appendix C).

Rows are the micro-batches of their eight devices, and the batch grows by one on each. No number
here depends on how many devices there are. Checkpoints are as far apart as theirs: 4000 steps,
which they made 1000 in the last phase.

Large, at a rate of 5e-4, stood still for some hundred billion tokens, so they went back to their
checkpoint at 900B and went on at 5e-5, with a tenth of the weight decay. Here that is a phase of
its own, `pretrain-lower`: whoever continues a run from the end of `pretrain` does what they did.
Their text says 900B and 800B tokens, their table and configuration 1.719T; the sum of the latter
is taken, so that phase has 819B.
"""

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
                batch_warmup=BatchWarmup(
                    first_tokens=768 * 1024, warmup_tokens=50_000_000_000, by_tokens=768 * 1024
                ),
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


def modernbert_large() -> RunConfig:
    """Return large: as base, in rows of 56 documents, its rate lowered on the way.

    Theirs began with base's weights at the end of its first phase, tiled from the middle (section
    2.2.3). `modernbert grow BASE START --preset large --depth-map paper --width paper --noise 0`
    writes such a model, and `--init-from START` begins with it; else weights are drawn by the seed.
    """
    return RunConfig(
        model=dataclasses.replace(PRESETS["modernbert-large"], attention_out_dropout=0.1),
        phases=(
            Phase(
                name="pretrain",
                tokens=900_000_000_000,
                context_length=1024,
                batch_tokens=4928 * 1024,
                row_tokens=56 * 1024,
                peak_lr=5e-4,
                weight_decay=1e-5,
                schedule=Schedule(warmup_tokens=2_000_000_000),
                batch_warmup=BatchWarmup(
                    first_tokens=448 * 1024, warmup_tokens=10_000_000_000, by_tokens=448 * 1024
                ),
            ),
            Phase(
                name="pretrain-lower",
                tokens=819_000_000_000,
                context_length=1024,
                batch_tokens=4928 * 1024,
                row_tokens=56 * 1024,
                peak_lr=5e-5,
                weight_decay=1e-6,
            ),
            Phase(
                name="context",
                tokens=250_000_000_000,
                context_length=8192,
                batch_tokens=616 * 8192,
                row_tokens=7 * 8192,
                peak_lr=5e-5,
                weight_decay=1e-6,
                global_rope_theta=160_000.0,
            ),
            Phase(
                name="decay",
                tokens=50_000_000_000,
                context_length=8192,
                batch_tokens=624 * 8192,
                row_tokens=6 * 8192,
                peak_lr=5e-5,
                weight_decay=1e-6,
                schedule=Schedule(decay_tokens=50_000_000_000, floor=0.001),
                global_rope_theta=160_000.0,
            ),
        ),
        seed=314,
        save_every_tokens=4000 * 4928 * 1024,
        evaluate_every_tokens=4000 * 4928 * 1024,
    )
