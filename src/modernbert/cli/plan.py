"""`modernbert plan`: a recipe and devices in, what the run will take out, before it is paid for."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.records import to_plain
from modernbert.cli.arguments import spelled_out, tokens_of, value_of
from modernbert.model.config import EncoderConfig
from modernbert.recipes import recipe_or_run
from modernbert.recipes.causal import begun_causally
from modernbert.train.config import Optimizer, Phase, RunConfig

if TYPE_CHECKING:
    from modernbert.bench.plan_here import Here
    from modernbert.train.plan import RunPlan, Setup
    from modernbert.train.plan_devices import Device
    from modernbert.train.plan_memory import Sharing
    from modernbert.train.plan_speed import Efficiency

_EXAMPLES = """
Say what a run takes: memory, the longest row, hours, energy, disk. Nothing is trained.

Examples:
  modernbert plan modernbert-base --gpus 8 --device h100 --price 2.5
  modernbert plan ettin-1b --gpus 4 --device a100-80gb --checkpoint-activations
  modernbert plan run/run.json --gpus 1 --device here    (tries a few steps on this machine)
  modernbert plan --check                                (published hours beside planned ones)

Numbers of the model and of the phases are options, as in `modernbert pretrain`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the command takes."""

    recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")] = "tiny"
    """Name of a recipe, or the run.json of a run."""
    gpus: int = 8
    """Devices; a step's rows are shared out evenly."""
    device: str = "h100"
    """h100, h200, a100-80gb, l4, rtx-4090, b200, mi300x, cpu; here measures this machine."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """ddp holds everything on every device; fsdp shares weights, gradients and moments out."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Precision of the matrix products; auto is bfloat16, and here what a run would choose."""
    checkpoint_activations: bool = False
    """Recompute each layer in the backward pass."""
    optimizer: Optimizer = "stable_adamw"
    """Muon remembers one number of a weight inside layers, the others two."""
    total: str = ""
    """Tokens of all phases together, such as 50M, by which the recipe is scaled; empty keeps its
    own. Numbers given as options are not scaled."""
    causal_share: float = 0.0
    """Share of all tokens that the first phase begins by guessing next tokens; 0 for none."""
    mfu: float = 0.0
    """Share of the peak that training reaches, for all shapes; 0 takes what published hours say."""
    measured: Path | None = None
    """File of rows of `modernbert bench training` on such a device, to take speeds from."""
    price: float = 0.0
    """Of a device and hour, in any currency; there is no default."""
    check: bool = False
    """Print published hours beside planned ones, and nothing else."""
    json: bool = False
    """Print JSON."""
    model: EncoderConfig
    phases: tuple[Phase, ...]


def plan(given: Sequence[str]) -> int:
    """Run the command."""
    named = given[0] if given and not given[0].startswith("-") else "tiny"
    config = recipe_or_run(named)
    if total := value_of("--total", given):
        config = config.scaled_to(tokens_of(total))
    asked = tyro.cli(
        Plan,
        prog="modernbert plan",
        description=_EXAMPLES,
        args=spelled_out(given),
        default=Plan(
            recipe=named,
            precision=config.precision,
            checkpoint_activations=config.checkpoint_activations,
            optimizer=config.optimizer,
            model=config.model,
            phases=config.phases,
        ),
    )
    if asked.check:
        return _check(as_json=asked.json)
    if asked.recipe != named or not given or given[0].startswith("-"):
        raise ConfigError("a recipe comes first: write `modernbert plan modernbert-base ...`")
    config = dataclasses.replace(
        config, model=asked.model, phases=asked.phases, optimizer=asked.optimizer
    )
    if asked.causal_share:
        config = begun_causally(config, asked.causal_share)
    return _planned(named, config, asked)


def _planned(named: str, config: RunConfig, asked: Plan) -> int:
    from modernbert.cli.plan_page import here_lines, lines
    from modernbert.train.plan import plan as plan_of

    setup, here = _setup(config, asked)
    if here and not asked.json:
        # Said first: what was measured holds, whatever the plan finds.
        print("\n".join(here_lines(here)))
    found = plan_of(config, setup)
    if asked.json:
        print(json.dumps(_plain(named, found, here), indent=2))
    else:
        print("\n".join(lines(named, found)))
    return 0


def _check(*, as_json: bool) -> int:
    from modernbert.cli.plan_page import check_lines
    from modernbert.train.plan_published import check

    found = check()
    if as_json:
        plain = [{**to_plain(each), "error": each.error} for each in found]
        print(json.dumps(plain, indent=2))
    else:
        print("\n".join(check_lines(found)))
    return 0


def _setup(config: RunConfig, asked: Plan) -> "tuple[Setup, Here | None]":
    from modernbert.model.activations import Pass
    from modernbert.train.plan import Setup
    from modernbert.train.plan_devices import device_of
    from modernbert.train.plan_memory import Sharing

    if asked.mfu and asked.measured:
        raise ConfigError("both --mfu and --measured say how fast a device is: give one of them")
    precision: Literal["bfloat16", "float32"] = (
        "bfloat16" if asked.precision == "auto" else asked.precision
    )
    how = Pass(precision=precision, recomputes=asked.checkpoint_activations)
    sharing = Sharing(how=how, gpus=asked.gpus, parallel=asked.parallel, optimizer=config.optimizer)
    if asked.device == "here":
        return _here(config, asked, sharing)
    device = device_of(asked.device)
    sharing = dataclasses.replace(sharing, how=dataclasses.replace(how, is_cpu=device.is_cpu))
    efficiencies = _efficiencies(config, asked, device, precision)
    setup = Setup(device=device, sharing=sharing, efficiencies=efficiencies, price=asked.price)
    return setup, None


def _here(config: RunConfig, asked: Plan, sharing: "Sharing") -> "tuple[Setup, Here | None]":
    from modernbert.bench.plan_here import measure
    from modernbert.train.plan import Setup

    if asked.gpus != 1 or asked.measured or asked.mfu:
        raise ConfigError(
            f"--device here measures one device, and --gpus is {asked.gpus}: give --gpus 1, and "
            "neither --mfu nor --measured"
        )
    here = measure(config, sharing, asked.precision)
    setup = Setup(
        device=here.device,
        sharing=here.sharing,
        efficiencies=(here.efficiency,) * len(config.phases),
        price=asked.price,
    )
    return setup, here


def _efficiencies(
    config: RunConfig, asked: Plan, device: "Device", precision: str
) -> tuple["Efficiency", ...]:
    from modernbert.train.plan_measured import efficiencies
    from modernbert.train.plan_published import usual
    from modernbert.train.plan_speed import stated

    if asked.measured:
        side = " ".join(
            word
            for word, is_on in (
                ("packed", True),
                ("compiled", config.compile),
                ("recomputed", asked.checkpoint_activations),
            )
            if is_on
        )
        return efficiencies(asked.measured, config, device, precision, side)
    one = stated(asked.mfu) if asked.mfu else usual(device, precision)
    return (one,) * len(config.phases)


def _plain(named: str, found: "RunPlan", here: "Here | None") -> dict[str, Any]:
    phases = [{**to_plain(phase), "memory_bytes": phase.memory.total} for phase in found.phases]
    return {
        "recipe": named,
        **to_plain(found),
        "phases": phases,
        "hours": found.hours,
        "device_hours": found.device_hours,
        "kilowatt_hours": found.kilowatt_hours if found.device.watts else None,
        "cost": found.cost if found.price else None,
        "checkpoint_disk_bytes": found.checkpoints.disk_bytes,
        "here": to_plain(here) if here else None,
    }
