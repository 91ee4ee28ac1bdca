"""A plan in, the lines a person reads out."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from modernbert.base.log import count
from modernbert.train.plan import PhasePlan, RunPlan
from modernbert.train.plan_published import Checked, worst

if TYPE_CHECKING:
    from modernbert.bench.plan_here import Here

Cell = Callable[[PhasePlan], str]

_MEMORY: tuple[tuple[str, str], ...] = (
    ("weights", "weights, float32"),
    ("gradients", "gradients"),
    ("moments", "moments"),
    ("gathered", "whole while in use"),
    ("copies", "copies in bfloat16"),
    ("activations", "activations of a row"),
    ("decoder", "decoder's gradient"),
    ("working", "logits, layer gradients"),
)


def lines(named: str, plan: RunPlan) -> list[str]:
    """Write a plan."""
    sharing, phases = plan.sharing, plan.phases
    many = f"{sharing.gpus} x {plan.device.title}, {sharing.parallel}"
    alone = f"1 x {plan.device.title}"
    again = ", layers recomputed" if sharing.how.recomputes else ""
    found = [
        f"{named} on {many if sharing.gpus > 1 else alone}, {sharing.how.precision}{again}",
        f"{plan.parameters:,} parameters, {plan.parameters_without_table:,} without the table of "
        "tokens",
        "",
    ]
    found += columns([["", *(phase.name for phase in phases)], *_rows(plan)])
    return [*found, "", *_whole(plan)]


def columns(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lay cells out, the first of each line to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    laid = []
    for first, *rest in cells:
        right = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        laid.append("  ".join([first.ljust(widths[0]), *right]).rstrip())
    return laid


def _rows(plan: RunPlan) -> Iterable[list[str]]:
    shown: list[tuple[str, Cell]] = [
        ("tokens", lambda phase: count(phase.tokens)),
        ("documents of", lambda phase: f"{phase.context_length}"),
        ("steps", lambda phase: f"{phase.steps:,}"),
        ("rows a step and device", lambda phase: f"{phase.rows_a_step}"),
        ("MFLOP a token", lambda phase: f"{phase.flops_a_token / 1e6:.1f}"),
        ("memory of one device, GB", lambda _: ""),
    ]
    for part, said in _MEMORY:
        if any(_bytes(phase, part) for phase in plan.phases):
            shown.append((f"  {said}", partial(_part, part)))
    shown += [
        ("  in all", lambda phase: _gigabytes(phase.memory.total)),
        ("  there is room for", lambda _: _gigabytes(plan.device.usable_bytes)),
        ("row, tokens", lambda phase: f"{phase.row_tokens:,}"),
        ("  fits", lambda phase: "yes" if phase.fits else "NO"),
        ("  longest that fits", lambda phase: f"{phase.longest_row:,}"),
        ("  longest that divides a step", lambda phase: f"{phase.even_row:,}"),
        ("tokens a second", lambda phase: count(phase.tokens_per_second)),
        ("share of the peak", lambda phase: f"{phase.mfu:.1%}"),
        ("hours", lambda phase: _hours(phase.hours)),
    ]
    for said, cell in shown:
        yield [said, *(cell(phase) for phase in plan.phases)]


def _whole(plan: RunPlan) -> list[str]:
    saved = plan.checkpoints
    energy = (
        f"at most {plan.kilowatt_hours:,.4g} kWh, {plan.device.watts:.0f} W a device and nothing "
        "else of its machine"
        if plan.device.watts
        else "not known: nobody said what this machine draws"
    )
    cost = f"{plan.cost:,.2f} at {plan.price:g} a device and hour" if plan.price else "give --price"
    made = [
        ["in all", f"{_hours(plan.hours)} hours, {_hours(plan.device_hours)} device-hours"],
        ["energy", energy],
        ["cost", cost],
        [
            "checkpoints",
            f"{saved.written} of {_gigabytes(saved.size_bytes)} GB are written, "
            f"{_gigabytes(saved.disk_bytes)} GB of disk hold the {saved.kept} there can be",
        ],
    ]
    sources = dict.fromkeys(phase.efficiency.source for phase in plan.phases)
    made += [["speed" if not at else "", source] for at, source in enumerate(sources)]
    width = max(len(first) for first, _ in made) + 2
    return [
        *(f"{first.ljust(width)}{rest}" for first, rest in made),
        *(f"{phase.name}: {_advice(phase, plan)}" for phase in plan.phases if not phase.fits),
    ]


def _advice(phase: PhasePlan, plan: RunPlan) -> str:
    number = [each.name for each in plan.phases].index(phase.name)
    if not phase.even_row:
        return "no row fits that divides a step: change its batch, or --checkpoint-activations"
    return (
        f"its row does not fit; with --phases.{number}.row-tokens {phase.even_row} it does, and a "
        "step has as many tokens"
    )


def here_lines(here: "Here") -> list[str]:
    """Write what was measured on this machine beside what was planned for it."""
    speed = here.planned_tokens_per_second, here.measured_tokens_per_second
    held = here.measured_bytes
    cells = [
        ["a few steps here", "planned", "measured", "error"],
        [
            "tokens a second",
            f"{speed[0]:.1f}",
            f"{speed[1]:.1f}",
            f"{speed[0] / speed[1] - 1:+.0%}",
        ],
        [
            "memory, GB",
            _gigabytes(here.planned_bytes),
            _gigabytes(held) if held else "-",
            f"{here.planned_bytes / held - 1:+.0%}" if held else "-",
        ],
    ]
    return [*columns(cells), ""]


def check_lines(found: Sequence[Checked]) -> list[str]:
    """Write published hours beside planned ones."""
    head = ["run, on H100s", "hours", "in all", "of peak", "planned", "error", "one share", "error"]
    cells = [
        [
            f"{each.name}{' *' if each.is_fitted else ''}",
            f"{each.hours:.1f}",
            f"{each.hours_in_all:.1f}" if each.hours_in_all else "-",
            f"{each.mfu:.1%}",
            f"{each.planned:.1f}",
            f"{each.error:+.0%}",
            f"{each.by_one_share:.1f}",
            f"{each.error_by_one_share:+.0%}",
        ]
        for each in found
    ]
    return [
        *columns([head, *cells]),
        "",
        "* the two numbers of `planned` and the one of `one share` were fitted on these six alone.",
        f"Largest error of those: {worst(found, is_fitted=True):.0%}; of the others, which say "
        f"whether the plan can be trusted: {worst(found, is_fitted=False):.0%}.",
    ]


def _part(part: str, phase: PhasePlan) -> str:
    return _gigabytes(_bytes(phase, part))


def _bytes(phase: PhasePlan, part: str) -> int:
    return int(getattr(phase.memory, part))


def _gigabytes(number: float) -> str:
    return f"{number / 1e9:.2f}"


def _hours(number: float) -> str:
    return f"{number:,.1f}" if number >= 1 else f"{number:.3g}"
