"""A case in, which runtimes run which models out; whoever cannot take part, and why."""

from modernbert.base.errors import ConfigError
from modernbert.base.records import nearest
from modernbert.bench.efficiency_case import EfficiencyCase, Work
from modernbert.bench.runtimes import OURS, RUNTIMES, Target
from modernbert.bench.shapes import OWN, SHAPES


def members(case: EfficiencyCase, work: Work) -> dict[str, tuple[str, ...] | str]:
    """Return the runtimes of each model, or why it is left out.

    The ModernBERT of a model's size runs too, by this package: it is what others are divided by.

    Raises:
        ConfigError: a model or runtime is unknown or cannot run like that, or no model reads
            documents of this length.
    """
    if not case.models:
        raise ConfigError("no model is named: leave --models out, or name some")
    for model in case.models:
        if model not in SHAPES:
            raise ConfigError(f"there is no model {model!r}: {nearest(model, SHAPES)}")
    target = Target(work.precision, work.device)
    known = [name for name in RUNTIMES if RUNTIMES[name].can(target, ours=True)]
    for name in case.runtimes:
        if name not in known:
            raise ConfigError(
                f"there is no runtime {name!r} for {work.precision} on {work.device}: "
                f"{nearest(name, known)}"
            )
    beside = dict.fromkeys(SHAPES[model].beside for model in case.models)
    names = dict.fromkeys([*beside, *case.models])
    found = {model: _runtimes(model, case, work, known) for model in names}
    if all(isinstance(found[model], str) for model in case.models):
        reasons = "; ".join(f"{model}: {found[model]}" for model in case.models)
        raise ConfigError(f"no model can encode these documents: {reasons}")
    return found


def _runtimes(
    model: str, case: EfficiencyCase, work: Work, known: list[str]
) -> tuple[str, ...] | str:
    shape, longest = SHAPES[model], max(work.lengths)
    if longest > shape.longest:
        return f"it reads {shape.longest} tokens, the longest document has {longest}"
    if model not in case.models:
        return (OURS,)
    is_ours = shape.kind == OWN
    target = Target(work.precision, work.device)
    asked = case.runtimes or [name for name in known if not RUNTIMES[name].is_asked]
    return tuple(
        name
        for name in known
        if RUNTIMES[name].can(target, ours=is_ours) and (name in asked or name == OURS)
    )
