"""A trained model to another domain, as BioClinical ModernBERT went (arXiv 2506.10896)."""

import dataclasses

from modernbert.model.presets import PRESETS
from modernbert.optim.schedule import Schedule
from modernbert.train.config import Phase, RunConfig


def continued() -> RunConfig:
    """Return 160B tokens at a steady rate, then 8.2B of decay that hide half as many.

    Tokens, length, masks and base's rate are theirs (large's is 5e-5); batch and rows are those of
    ModernBERT's second phase. The climb is this project's: a model folder brings no moments, and a
    whole rate on moments of nothing spoils what was learned. Thetas stay the model's. It starts
    from `--init-from MODEL`, whose shape takes the place of the one here; that of the end of a
    stable phase is better than one whose rate has fallen already.
    """
    steady = Phase(
        name="steady",
        tokens=160_000_000_000,
        context_length=8192,
        batch_tokens=576 * 8192,
        row_tokens=12 * 8192,
        peak_lr=3e-4,
        weight_decay=1e-5,
        schedule=Schedule(warmup_tokens=1_600_000_000),
        global_rope_theta=0.0,
        local_rope_theta=0.0,
    )
    decay = dataclasses.replace(
        steady,
        name="decay",
        tokens=8_200_000_000,
        schedule=Schedule(decay_tokens=8_200_000_000),
        mask_rate=0.15,
    )
    return RunConfig(
        model=dataclasses.replace(PRESETS["modernbert-base"], attention_out_dropout=0.1),
        phases=(steady, decay),
        save_every_tokens=4000 * 576 * 8192,
        evaluate_every_tokens=4000 * 576 * 8192,
    )
