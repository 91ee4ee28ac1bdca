"""Moments of a run in, signs under a chart out: a lane a run, a shape a kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

LANE = 13
"""Height of a lane."""
_APART = 4.0
"""Signs of one kind that lie nearer to each other are drawn as one."""
SHAPES = {
    "phase": "M-1-5h2v10h-2z",
    "checkpoint": "M0-4 4 3-4 3z",
    "resume": "M0-5 5 0 0 5-5 0z",
    "stop": "M-4-4h2v8h-2zM2-4h2v8h-2z",
    "finish": "M-4-4h8v8h-8z",
    "failure": "M-4-4 4 4M4-4-4 4",
}
"""What is drawn for a kind, around the middle of its place."""
NAMES = {
    "phase": "a phase begins",
    "checkpoint": "checkpoint",
    "resume": "resumed",
    "stop": "stopped",
    "finish": "finished",
    "failure": "no finite number",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a place of the x axis."""

    kind: str
    x: float
    lane: int
    """The place of its run among the runs."""
    said: str


def signs(
    marks: Sequence[Mark], across: Callable[[float], float], top: float, height: float
) -> str:
    """Draw lanes below a plot that ends at `height`; a resume is a line through the plot as well.

    `across` turns a place of the x axis into one of the picture.
    """
    drawn = []
    for (lane, kind), group in groupby(sorted(marks, key=_place), key=lambda m: (m.lane, m.kind)):
        last = -_APART
        for mark in group:
            x, y = across(mark.x), height + (lane + 0.6) * LANE
            if x - last < _APART:
                continue
            last = x
            if kind == "resume":
                line = f"M{x:.1f} {top:.1f}V{height:.1f}"
                drawn.append(f'<path class="through {look(lane)}" d="{line}"/>')
            drawn.append(
                f'<path class="{look(lane)}" transform="translate({x:.1f} {y:.1f})" '
                f'd="{SHAPES[kind]}"><title>{escape(mark.said)}</title></path>'
            )
    return "".join(drawn)


def meanings(marks: Sequence[Mark]) -> str:
    """Name the shapes that are drawn."""
    kinds = [kind for kind in SHAPES if any(mark.kind == kind for mark in marks)]
    named = (
        f'<span class="key"><svg class="sign" viewBox="-6 -6 12 12" aria-hidden="true">'
        f'<path class="ink" d="{SHAPES[kind]}"/></svg>&nbsp;{NAMES[kind]}</span>'
        for kind in kinds
    )
    return f'<div class="soft signs">{" ".join(named)}</div>' if kinds else ""


def look(number: int) -> str:
    """Return the classes of a line: a colour of six and dashes of four, so that 24 differ."""
    return f"s{number % 6} d{(number + number // 12) % 4}"


def _place(mark: Mark) -> tuple[int, str, float]:
    return mark.lane, mark.kind, mark.x
