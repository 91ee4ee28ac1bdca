"""The recipes and what is published in, the tables of the guide to plans out."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks.cells import NOTHING, machine, table

from modernbert.base.log import count
from modernbert.model.activations import Pass
from modernbert.model.presets import PRESETS
from modernbert.recipes import RECIPES
from modernbert.train.plan import PhasePlan, RunPlan, Setup, plan
from modernbert.train.plan_devices import DEVICES
from modernbert.train.plan_memory import Sharing, memory
from modernbert.train.plan_published import check, usual, worst

DEVICE = DEVICES["h100"]
GPUS = {"tiny": 1, "modernbert-base": 8, "modernbert-large": 8}
"""Devices of the published runs; all others took four."""
HEAD = (
    "recipe",
    "parameters",
    "without the table",
    "devices",
    "phase",
    "MFLOP a token",
    "steps",
    "row, documents",
    "longest that fits",
    "GB on a device",
    "tokens/s",
    "share of the peak",
    "hours",
    "device-hours",
    "kWh at most",
    "checkpoint, GB",
)
CHECKED = (
    "run on H100s",
    "fitted on it",
    "hours of training",
    "hours in all",
    "share of the peak",
    "planned",
    "error",
    "by one share",
    "error",
)
HELD_SIDES = ("packed", "packed recomputed")
MASK_RATE = 0.3
"""Of measured steps."""
HELD = (
    "model",
    "context",
    "tokens a row",
    "precision",
    "layers",
    "planned, GB",
    "held, GB",
    "error",
    "machine",
)
DEVICES_HEAD = (
    "device",
    "what",
    "TFLOP/s, bfloat16",
    "memory, GiB",
    "watts",
    "longest row of base at 1024",
    "of large",
    "of ettin-1b, recomputed",
)


def plans_table() -> str:
    """Lay a plan of every recipe out on H100s, a line for each phase."""
    lines = [
        _phase(name, found, phase) for name, found in _plans().items() for phase in found.phases
    ]
    return table(HEAD, lines)


def checked_table() -> str:
    """Lay published hours out beside planned ones."""
    return table(
        CHECKED,
        (
            (
                each.name,
                "yes" if each.is_fitted else "no",
                f"{each.hours:.1f}",
                f"{each.hours_in_all:.1f}" if each.hours_in_all else "-",
                f"{each.mfu:.1%}",
                f"{each.planned:.1f}",
                f"{each.error:+.0%}",
                f"{each.by_one_share:.1f}",
                f"{each.error_by_one_share:+.0%}",
            )
            for each in check()
        ),
    )


def held_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay the memory of measured training steps out beside the plan's, above the weights."""
    sides = [
        (row, name, row["sides"][name]["peak_bytes"])
        for row in rows
        for name in HELD_SIDES
        if row["sides"].get(name, {}).get("peak_bytes")
    ]
    if not sides:
        return NOTHING.format("training")
    return table(HELD, (_held(row, name, held) for row, name, held in sides))


def fitted_words() -> str:
    """Say the two numbers of the fit, and how far it is off."""
    two, found = usual(DEVICE), check()
    others = sorted((abs(each.error), each.name) for each in found if not each.is_fitted)
    (second, _), (first, worst_name) = others[-2:]
    one_share = max(abs(each.error_by_one_share) for each in found)
    return (
        f"The two numbers are {two.share:.0%} of the peak and {two.seconds_a_token * 1e6:.2f} "
        f"microseconds a token. The runs that they were fitted on are off by "
        f"{worst(found, is_fitted=True):.0%} at most, those they were not by {second:.0%}, but for "
        f"{worst_name} with {first:.0%}: do not trust the hours of the smallest models. With one "
        f"share of the peak for all sizes, as such plans usually have it, hours are off by up to "
        f"{one_share:.0%}."
    )


def devices_table() -> str:
    """Lay the devices out, and the longest rows that fit each."""
    return table(
        DEVICES_HEAD,
        (
            (
                f"`{device.name}`",
                device.title,
                f"{device.bfloat16_flops / 1e12:.4g}",
                f"{device.memory_bytes / 2**30:g}",
                f"{device.watts:g}",
                _longest("modernbert-base", device.name),
                _longest("modernbert-large", device.name),
                _longest("ettin-1b", device.name, recomputes=True),
            )
            for device in DEVICES.values()
        ),
    )


def _held(row: dict[str, Any], name: str, held: int) -> tuple[str, ...]:
    how = Pass(
        precision=row["precision"],
        recomputes=name == HELD_SIDES[1],
        is_cpu=row["device"] == "cpu",
    )
    sharing = Sharing(how=how, gpus=1, parallel="ddp")
    model = dataclasses.replace(PRESETS[row["model"]], vocab_size=row["vocab_size"])
    taken = memory(model, row["row_tokens"], MASK_RATE, sharing)
    planned = taken.total - taken.weights
    return (
        row["model"],
        str(row["context_length"]),
        str(row["row_tokens"]),
        row["precision"],
        name,
        f"{planned / 1e9:.2f}",
        f"{held / 1e9:.2f}",
        f"{planned / held - 1:+.0%}",
        machine(row),
    )


def _plans() -> dict[str, RunPlan]:
    found = {}
    for name, made in RECIPES.items():
        run = made()
        sharing = Sharing(how=Pass(), gpus=GPUS.get(name, 4), parallel="ddp")
        efficiencies = (usual(DEVICE),) * len(run.phases)
        setup = Setup(device=DEVICE, sharing=sharing, efficiencies=efficiencies)
        found[name] = plan(run, setup)
    return found


def _phase(name: str, found: RunPlan, phase: PhasePlan) -> tuple[str, ...]:
    gpus = found.sharing.gpus
    hours = phase.hours * gpus
    return (
        name,
        count(found.parameters),
        count(found.parameters_without_table),
        str(gpus),
        phase.name,
        f"{phase.flops_a_token / 1e6:.1f}",
        f"{phase.steps}",
        f"{phase.row_tokens / phase.context_length:g}",
        f"{phase.longest_row / phase.context_length:g}",
        f"{phase.memory.total / 1e9:.1f}",
        count(phase.tokens_per_second),
        f"{phase.mfu:.1%}",
        _short(phase.hours),
        _short(hours),
        _short(hours * DEVICE.watts / 1000),
        f"{found.checkpoints.size_bytes / 1e9:.2f}",
    )


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _longest(name: str, device: str, *, recomputes: bool = False) -> str:
    """Return how many documents of the first phase a row can hold, were a step one row."""
    run, named = RECIPES[name](), DEVICES[device]
    how = Pass(recomputes=recomputes, is_cpu=named.is_cpu)
    first = dataclasses.replace(run.phases[0], row_tokens=run.phases[0].context_length)
    setup = Setup(
        device=named,
        sharing=Sharing(how=how, gpus=1, parallel="ddp"),
        efficiencies=(usual(named),),
    )
    found = plan(dataclasses.replace(run, phases=(first,)), setup).phases[0]
    return f"{found.longest_row // found.context_length}"
