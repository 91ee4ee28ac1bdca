"""Series of numbers in, an SVG picture out: enough for a run report, without a plotting library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from modernbert.evals.chart_marks import LANE, Mark, look, meanings, signs
from modernbert.evals.style import PICTURE

WIDTH, HEIGHT = 720, 240
_SIDE, _ABOVE, _LINE = 440, 12, 18
"""Of a picture: the square with the chart, the edge, and a line of text."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 12, 22, 26
_MOST_POINTS = 600
_LEAST_ROOM = 0.01
"""Above and below, as a share of the highest value: what hardly changes is drawn as flat."""
_DASH = '<polyline class="{}" points="0,5 26,5"/>'
_LETTER = 9
"""Width of a letter where the page shows the text large, on a phone."""
_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or dots, of a chart."""

    name: str
    """Stands in the legend; empty for dots that belong to a line."""
    x: Sequence[float]
    y: Sequence[float]
    is_dots: bool = False
    look: int = -1
    """Which of the colours and dashes; by default that of its place among the others."""


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of the x axis with a name."""

    name: str
    start: float
    end: float


def chart(
    title: str,
    series: Sequence[Series],
    bands: Sequence[Band] = (),
    unit: str = "",
    most: float = math.inf,
    marks: Sequence[Mark] = (),
) -> str:
    """Draw a chart; its colours come from the page's style, so it follows light and dark.

    `most` is the highest value there can be, where there is one: the y axis ends there.
    """
    lanes = 1 + max((mark.lane for mark in marks), default=-1)
    height = HEIGHT + lanes * LANE
    frame = _Frame.around(series, bands, most, (WIDTH, height), _BOTTOM + lanes * LANE)
    inside = [mark for mark in marks if mark.x <= frame.high_x]
    drawn = [
        frame.bands(bands),
        frame.grid(unit),
        frame.signs(inside),
        *(frame.mark(each, _look(each, i)) for i, each in enumerate(series)),
    ]
    return (
        f"<figure><figcaption>{escape(title)} {_legend(series)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(drawn)}</svg>{meanings(inside)}</figure>"
    )


def picture(title: str, series: Sequence[Series], across: str, up: str) -> str:
    """Draw shares against shares as a file of its own, which brings its colours."""
    top = _ABOVE + _LINE * (len(series) + 1)
    frame = _Frame.around(series, (), most=1.0, size=(_SIDE, _SIDE))
    names = [(title, "title"), *((_named(each), f"s{i}") for i, each in enumerate(series))]
    lines = "".join(
        f'<text x="{_ABOVE}" y="{_ABOVE + _LINE * (i + 0.5):.0f}" class="{kind}">{name}</text>'
        for i, (name, kind) in enumerate(names)
    )
    height = top + _SIDE + _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {height}" role="img" '
        f'aria-label="{escape(title)}"><style>{PICTURE}</style>'
        f'<rect width="{_SIDE}" height="{height}"/>{lines}<g transform="translate(0 {top})">'
        f"{frame.grid('')}{''.join(frame.mark(each, f's{i}') for i, each in enumerate(series))}"
        f'<text x="{_LEFT}" y="{_TOP - 8}">{escape(up)}</text>'
        f'<text x="{_SIDE - _RIGHT}" y="{_SIDE + _LINE // 2}" class="end">'
        f"{escape(across)}</text>"
        "</g></svg>\n"
    )


def _named(series: Series) -> str:
    return f"{'●' if series.is_dots else '━'} {escape(series.name)}"


def _legend(series: Sequence[Series]) -> str:
    """Name the series, where there is more than the one that the title names."""
    named = [(each, _look(each, i)) for i, each in enumerate(series) if each.name]
    if len(named) < 2:
        return ""
    return " ".join(
        f'<span class="key">{_swatch(each, kind)}&nbsp;{escape(each.name)}</span>'
        for each, kind in named
        if each.x
    )


def _swatch(series: Series, kind: str) -> str:
    drawn = '<circle class="{}" cx="13" cy="5" r="4"/>' if series.is_dots else _DASH
    return (
        '<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true">'
        + drawn.format(kind)
        + "</svg>"
    )


def _look(series: Series, place: int) -> str:
    return look(place if series.look < 0 else series.look)


@dataclass(frozen=True, slots=True)
class _Frame:
    low_x: float
    high_x: float
    low_y: float
    high_y: float
    width: int
    height: int
    below: int
    """Height of what stands under the plot."""

    @classmethod
    def around(
        cls,
        series: Sequence[Series],
        bands: Sequence[Band],
        most: float,
        size: tuple[int, int],
        below: int = _BOTTOM,
    ) -> "_Frame":
        xs = [x for each in series for x in each.x] + [b.end for b in bands]
        ys = [y for each in series for y in each.y if math.isfinite(y)]
        low, high = min(ys, default=0.0), max(ys, default=1.0)
        room = max((high - low) * 0.06, abs(high) * _LEAST_ROOM) or 1.0
        bottom = max(low - room, 0.0) if low >= 0 else low - room
        top = min(high + room, max(most, high))
        return cls(0.0, max(xs, default=1.0), bottom, top, *size, below)

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.low_x) / (self.high_x - self.low_x or 1.0)
        up = (y - self.low_y) / (self.high_y - self.low_y or 1.0)
        return (
            _LEFT + across * (self.width - _LEFT - _RIGHT),
            self.height - self.below - up * (self.height - _TOP - self.below),
        )

    def signs(self, marks: Sequence[Mark]) -> str:
        return signs(marks, lambda x: self.at(x, 0)[0], _TOP, self.height - self.below)

    def mark(self, series: Series, kind: str) -> str:
        every = max(1, len(series.x) // _MOST_POINTS)
        pairs = zip(series.x[::every], series.y[::every], strict=True)
        points = [self.at(x, y) for x, y in pairs if math.isfinite(y)]
        if series.is_dots or len(points) == 1:
            return "".join(
                f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points
            )
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polyline class="{kind}" points="{path}"/>'

    def bands(self, bands: Sequence[Band]) -> str:
        drawn = []
        middles = _spread([(self._middle(band), len(band.name) * _LETTER) for band in bands])
        for number, (band, middle) in enumerate(zip(bands, middles, strict=True)):
            left, right = self.at(band.start, 0)[0], self.at(band.end, 0)[0]
            drawn.append(
                f'<rect class="b{number % 2}" x="{left:.1f}" y="{_TOP}" '
                f'width="{right - left:.1f}" height="{self.height - _TOP - self.below}"/>'
                f'<text x="{middle:.1f}" y="{_TOP - 6}" class="middle">'
                f"{escape(band.name)}</text>"
            )
        return "".join(drawn)

    def _middle(self, band: Band) -> float:
        return self.at((band.start + band.end) / 2, 0)[0]

    def grid(self, unit: str) -> str:
        lines = []
        for value, label in _labelled(_ticks(self.low_y, self.high_y)):
            x, y = self.at(self.low_x, value)
            lines.append(
                f'<line x1="{x:.1f}" x2="{self.width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="end">{label}{unit}</text>'
            )
        for value, label in _labelled(_ticks(self.low_x, self.high_x)):
            x = self.at(value, 0)[0]
            lines.append(f'<text x="{x:.1f}" y="{self.height - 8}" class="middle">{label}</text>')
        return "".join(lines)


def _spread(labels: Sequence[tuple[float, float]]) -> list[float]:
    """Move labels, each a middle and a width, to the left until none covers the next."""
    middles, limit = [], float(WIDTH)
    for middle, width in reversed(labels):
        middles.append(min(middle, limit - width / 2))
        limit = middles[-1] - width / 2 - _LETTER
    return middles[::-1]


def _ticks(low: float, high: float) -> list[float]:
    """Return four to ten round numbers inside a range."""
    span = high - low
    if span <= 0:
        return [low]
    step = 10.0 ** math.floor(math.log10(span))
    step *= next(part for part in (1.0, 0.5, 0.2, 0.1) if span / (step * part) >= 4)
    first = math.ceil(low / step)
    return [step * i for i in range(first, math.floor(high / step) + 1)]


def _labelled(ticks: Sequence[float]) -> list[tuple[float, str]]:
    """Spell the ticks of an axis in one scale, with as many digits as tell them apart."""
    most = max(map(abs, ticks), default=0.0)
    scale, suffix = _scale(most)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else most
    digits = max(0, -math.floor(math.log10(step / scale) + 1e-9)) if step else 0
    return [(tick, f"{tick / scale:.{digits}f}{suffix}" if tick else "0") for tick in ticks]


def _scale(most: float) -> tuple[float, str]:
    if 0 < most < 1e-3:
        power = math.floor(math.log10(most) + 1e-9)
        return 10.0**power, f"e{power}"
    return next((each for each in _SCALES if most >= each[0]), (1.0, ""))
