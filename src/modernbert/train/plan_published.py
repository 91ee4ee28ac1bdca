"""Hours that others published beside the hours that a plan says: how far a plan can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

from modernbert.model.presets import PRESETS
from modernbert.train.plan_devices import DEVICES, Device
from modernbert.train.plan_speed import (
    Efficiency,
    Timed,
    fit,
    fit_share,
    stated,
    token_flops,
    token_seconds,
)

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens of one length of context."""

    tokens: float
    context: int
    mask_rate: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A run on H100s whose hours are known."""

    name: str
    preset: str
    stretches: tuple[Stretch, ...]
    devices: int
    hours: float
    """Of training alone where that was said; else of all."""
    hours_in_all: float | None = None
    """With evaluations and checkpoints."""


# ModernBERT, arXiv 2412.13663, table 3 and appendix: eight H100s, hours in all and of training.
PAPER = tuple(
    Published(
        name=f"modernbert-{size} {phase}",
        preset=f"modernbert-{size}",
        stretches=(Stretch(tokens, context),),
        devices=8,
        hours=hours,
        hours_in_all=in_all,
    )
    for size, phase, tokens, context, hours, in_all in (
        ("base", "pretrain", 1719e9, 1024, 191.1, 194.2),
        ("base", "context", 250e9, 8192, 36.3, 39.9),
        ("base", "decay", 50e9, 8192, 7.5, 11.5),
        ("large", "pretrain", 1719e9, 1024, 420.4, 425.3),
        ("large", "context", 250e9, 8192, 75.1, 80.7),
        ("large", "decay", 50e9, 8192, 15.3, 21.7),
    )
)

# Ettin, arXiv 2507.11412: four H100s, all three phases together.
ETTIN = tuple(
    Published(
        name=preset,
        preset=preset,
        stretches=(
            Stretch(1700e9, 1024),
            Stretch(second, 7999),
            Stretch(third, 7999, 0.15),
        ),
        devices=4,
        hours=hours,
    )
    for preset, second, third, hours in (
        ("ettin-17m", 250e9, 50e9, 141),
        ("ettin-32m", 250e9, 50e9, 212),
        ("ettin-68m", 250e9, 50e9, 300),
        ("ettin-150m", 250e9, 50e9, 470),
        ("ettin-400m", 250e9, 50e9, 950),
        ("ettin-1b", 83.3e9, 16.7e9, 2170),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A published run and what a plan says of it."""

    name: str
    is_fitted: bool
    """Whether the plan's two numbers were taken from it, among others."""
    hours: float
    hours_in_all: float | None
    mfu: float
    """Share of the peak that its hours come to."""
    planned: float
    """Hours by the two numbers."""
    by_one_share: float
    """Hours by one share of the peak, taken from the same runs."""

    @property
    def error(self) -> float:
        """How much longer the plan is, as a share."""
        return self.planned / self.hours - 1

    @property
    def error_by_one_share(self) -> float:
        """The same with one share."""
        return self.by_one_share / self.hours - 1


def check() -> list[Checked]:
    """Return every published run beside its plan."""
    device = DEVICES["h100"]
    peak, two = device.bfloat16_flops, usual(device)
    one = stated(fit_share([timed(run) for run in PAPER], peak))
    return [
        Checked(
            name=run.name,
            is_fitted=run in PAPER,
            hours=run.hours,
            hours_in_all=run.hours_in_all,
            mfu=timed(run).flops / timed(run).seconds / peak,
            planned=_hours(run, peak, two),
            by_one_share=_hours(run, peak, one),
        )
        for run in (*PAPER, *ETTIN)
    ]


def usual(device: Device, precision: str = "bfloat16") -> Efficiency:
    """Return what ModernBERT's published hours say of H100s in bfloat16, carried over to others."""
    share, beside = fit([timed(run) for run in PAPER], DEVICES["h100"].bfloat16_flops)
    source = "fitted on ModernBERT's published hours on H100s"
    if device.name != "h100" or precision != "bfloat16":
        source += f" and carried over: nothing is published of {device.title} in {precision}"
    return Efficiency(share=share, seconds_a_token=beside, source=source)


def timed(run: Published) -> Timed:
    """Return what a token of a run costs on average, and what it took one device."""
    tokens = sum(stretch.tokens for stretch in run.stretches)
    flops = sum(each.tokens * _flops(run, each) for each in run.stretches) / tokens
    return Timed(flops, run.hours * _HOUR * run.devices / tokens)


def _hours(run: Published, peak: float, efficiency: Efficiency) -> float:
    seconds = sum(
        each.tokens * token_seconds(_flops(run, each), peak, efficiency) for each in run.stretches
    )
    return seconds / _HOUR / run.devices


def _flops(run: Published, stretch: Stretch) -> float:
    return token_flops(PRESETS[run.preset], stretch.context, stretch.mask_rate)


def worst(checked: Sequence[Checked], *, is_fitted: bool) -> float:
    """Return the largest error of the runs that were fitted, or of the others."""
    return max(abs(each.error) for each in checked if each.is_fitted == is_fitted)
