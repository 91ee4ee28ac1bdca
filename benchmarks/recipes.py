"""The recipes in, a table out: a line for each of their phases."""

from collections.abc import Mapping

from benchmarks.cells import table

from modernbert.base.log import count
from modernbert.recipes import RECIPES
from modernbert.train.config import Phase, RunConfig

HEAD = (
    "recipe",
    "phase",
    "tokens",
    "context",
    "documents a step",
    "documents a row",
    "batch grows",
    "peak rate",
    "rate climbs over",
    "rate falls to",
    "weight decay",
    "theta global / local",
    "hidden",
)


def recipes_table(recipes: Mapping[str, RunConfig] | None = None) -> str:
    """Lay the phases of recipes out as Markdown, of all recipes if none are given."""
    shown = recipes or {name: made() for name, made in RECIPES.items()}
    return table(HEAD, (_cells(name, phase) for name, run in shown.items() for phase in run.phases))


def _cells(recipe: str, phase: Phase) -> tuple[str, ...]:
    schedule = phase.schedule
    return (
        recipe,
        phase.name,
        count(phase.tokens),
        str(phase.context_length),
        f"{phase.batch_tokens / phase.context_length:g}",
        f"{phase.row_tokens / phase.context_length:g}",
        _growth(phase),
        f"{phase.peak_lr:g}",
        count(schedule.warmup_tokens) if schedule.warmup_tokens else "-",
        f"{schedule.floor:g}, {schedule.decay}" if schedule.decay_tokens else "-",
        f"{phase.weight_decay:g}",
        " / ".join(
            f"{theta:g}" if theta else "the model's"
            for theta in (phase.global_rope_theta, phase.local_rope_theta)
        ),
        f"{phase.mask_rate:.0%}",
    )


def _growth(phase: Phase) -> str:
    growth = phase.batch_warmup
    if not growth.first_tokens:
        return "-"
    first, by = (x / phase.context_length for x in (growth.first_tokens, growth.by_tokens))
    return f"from {first:g} by {by:g} over {count(growth.warmup_tokens)}"
