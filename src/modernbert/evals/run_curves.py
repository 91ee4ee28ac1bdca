"""Runs in, their charts out: every run a colour, phases and events marked."""

import bisect
import dataclasses
from collections.abc import Callable, Sequence
from itertools import groupby

from modernbert.base.log import count
from modernbert.evals.chart import Band, Series, chart
from modernbert.evals.chart_marks import NAMES, Mark
from modernbert.evals.run_summary import share
from modernbert.evals.seen_run import SeenRun

_SMOOTH = 1 / 200
"""A point of a line is a mean of the steps before it, over about this share of the run."""
_MOST_SOURCES = 8
_UNITS = ((2.0, "hours", 1), (1 / 30, "minutes", 60), (0.0, "seconds", 3600))
"""From so many hours on a time is told in this unit, of which an hour has so many."""
_OF_ROWS = (
    ("Learning rate", "lr", False),
    ("Tokens in a step", "batch_tokens", False),
    ("Gradient norm", "grad_norm", False),
    ("Packing fill", "fill", True),
    ("Tokens a second", "tokens_per_second", False),
    ("Share of the device's matrix speed (MFU)", "mfu", True),
)
"""Charts of one number of the rows: title, key, whether it is a share."""
_PLANNED = ("lr", "batch_tokens")
"""Numbers that are drawn as they are; measured ones are smoothed."""


def curves(runs: Sequence[SeenRun]) -> list[str]:
    """Draw all charts of runs, of which at least one has taken a step."""
    bands, marks = _shared_bands(runs), _all_marks(runs)
    accuracy = _both(runs, "masked_accuracy", 100)
    drawn = [
        chart("Loss, nats a hidden token", _both(runs, "loss"), bands, marks=marks),
        _against_time(runs, marks),
        *_heldout(runs, bands),
        chart("Masked accuracy", accuracy, bands, unit="%", most=100),
    ]
    for title, key, is_share in _OF_ROWS:
        lines = [_line(run, i, key, 100 if is_share else 1) for i, run in enumerate(runs)]
        if is_share:
            drawn.append(chart(title, lines, bands, unit="%", most=100))
        else:
            drawn.append(chart(title, lines, bands))
    return drawn


def smoothed(values: Sequence[float]) -> list[float]:
    """Return means over what came before each value; what is no number does not count."""
    kept = 1 - 1 / max(1.0, len(values) * _SMOOTH)
    smooth, weight, out = 0.0, 0.0, []
    for value in values:
        if value == value:
            smooth = kept * smooth + (1 - kept) * value
            weight = kept * weight + (1 - kept)
        out.append(smooth / weight if weight else value)
    return out


def _both(runs: Sequence[SeenRun], key: str, factor: float = 1) -> list[Series]:
    """Return what was measured in training as lines, and on held-out text as dots."""
    if len(runs) == 1:
        line = dataclasses.replace(_line(runs[0], 0, key, factor), name="training")
        return [line, dataclasses.replace(_dots(runs[0], 1, key, factor), name="held out")]
    every = range(len(runs))
    lines = [_line(runs[i], i, key, factor) for i in every]
    return lines + [_dots(runs[i], i, key, factor) for i in every]


def _line(run: SeenRun, look: int, key: str, factor: float = 1) -> Series:
    values = run.column(key) if key in _PLANNED else smoothed(run.column(key))
    return Series(run.name, run.column("tokens"), [factor * v for v in values], look=look)


def _dots(run: SeenRun, look: int, key: str, factor: float = 1) -> Series:
    means = _means(run)
    y = [factor * float(each[key]) for each in means]
    return Series("", [float(each["tokens"]) for each in means], y, is_dots=True, look=look)


def _means(run: SeenRun, source: str = "all") -> list[dict[str, float]]:
    return [each for each in run.evaluations if each["source"] == source]


def _heldout(runs: Sequence[SeenRun], bands: Sequence[Band]) -> list[str]:
    """Draw held-out loss by itself: of several runs its mean, of one its sources."""
    if len(runs) > 1:
        lines = [_evaluated(run, "all", run.name, i) for i, run in enumerate(runs)]
    else:
        sources = dict.fromkeys(str(each["source"]) for each in runs[0].evaluations)
        chosen = ["all", *(each for each in sources if each != "all")][:_MOST_SOURCES]
        lines = [_evaluated(runs[0], each, each, i) for i, each in enumerate(chosen)]
    if not any(line.x for line in lines):
        return []
    return [chart("Held-out loss, nats a hidden token", lines, bands)]


def _evaluated(run: SeenRun, source: str, name: str, look: int) -> Series:
    found = _means(run, source)
    return Series(name, [e["tokens"] for e in found], [e["loss"] for e in found], look=look)


def _against_time(runs: Sequence[SeenRun], marks: Sequence[Mark]) -> str:
    most = max(run.hours[-1] for run in runs if run.rows)
    unit, factor = next((unit, factor) for least, unit, factor in _UNITS if most >= least)
    clocks = [_clock(run, factor) for run in runs]
    # Lines come first, then dots, in the order of the runs.
    series = [
        dataclasses.replace(each, x=[clocks[i % len(runs)](x) for x in each.x])
        for i, each in enumerate(_both(runs, "loss"))
    ]
    placed = [dataclasses.replace(mark, x=clocks[mark.lane](mark.x)) for mark in marks]
    bands = [
        Band(band.name, clocks[0](band.start), clocks[0](band.end))
        for band in (_bands(runs[0]) if len(runs) == 1 else ())
    ]
    return chart(f"Loss, against {unit} of steps", series, bands, marks=placed)


def _clock(run: SeenRun, factor: float) -> Callable[[float], float]:
    """Return what tells, of a number of tokens, when the run had seen so many."""
    tokens = [0.0, *run.column("tokens")]
    times = [0.0, *(hours * factor for hours in run.hours)]
    return lambda x: times[min(bisect.bisect_left(tokens, x), len(times) - 1)]


def _bands(run: SeenRun) -> list[Band]:
    bands, start = [], 0.0
    for name, group in groupby(run.rows, key=lambda row: str(row["phase"])):
        end = float(list(group)[-1]["tokens"])
        bands.append(Band(name, start, end))
        start = end
    return bands


def _shared_bands(runs: Sequence[SeenRun]) -> list[Band]:
    """Return the phases as bands, where all runs have the same plan."""
    longest = max(runs, key=lambda run: run.rows[-1]["tokens"] if run.rows else 0)
    return _bands(longest) if share(runs, lambda run: run.planned) else []


def _all_marks(runs: Sequence[SeenRun]) -> list[Mark]:
    marks = [mark for i, run in enumerate(runs) for mark in _events(run, i)]
    if share(runs, lambda run: run.planned):
        return marks
    begins = [
        Mark("phase", band.start, i, f"{run.name}: phase {band.name} begins")
        for i, run in enumerate(runs)
        for band in _bands(run)
    ]
    return marks + begins


def _events(run: SeenRun, lane: int) -> list[Mark]:
    reached = run.rows[-1]["tokens"] if run.rows else 0
    return [
        Mark(
            kind,
            float(event["tokens"]),
            lane,
            f"{run.name}: {NAMES[kind]}, step {event['step']}, {count(event['tokens'])} tokens",
        )
        for event in run.events
        for kind in [str(event["kind"])]
        if kind in NAMES and event["tokens"] <= reached
    ]
