"""Series of numbers in, an SVG picture out: enough for a run report, without a plotting library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from modernbert.base.log import count

WIDTH, HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 12, 22, 26
_MOST_POINTS = 600


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or dots, of a chart."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    is_dots: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of the x axis with a name."""

    name: str
    start: float
    end: float


def chart(title: str, series: Sequence[Series], bands: Sequence[Band] = (), unit: str = "") -> str:
    """Draw a chart; its colours come from the page's style, so it follows light and dark."""
    frame = _Frame.around(series, bands)
    marks = [
        frame.bands(bands),
        frame.grid(unit),
        *(frame.mark(each, i) for i, each in enumerate(series)),
    ]
    names = " ".join(
        f'<span class="key s{i}">{escape(each.name)}</span>' for i, each in enumerate(series)
    )
    return (
        f"<figure><figcaption>{escape(title)} {names}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(marks)}</svg></figure>"
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    low_x: float
    high_x: float
    low_y: float
    high_y: float

    @classmethod
    def around(cls, series: Sequence[Series], bands: Sequence[Band]) -> "_Frame":
        xs = [x for each in series for x in each.x] + [b.end for b in bands]
        ys = [y for each in series for y in each.y if math.isfinite(y)]
        low, high = min(ys, default=0.0), max(ys, default=1.0)
        room = (high - low or abs(high) or 1.0) * 0.06
        return cls(
            0.0, max(xs, default=1.0), max(low - room, 0.0) if low >= 0 else low - room, high + room
        )

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.low_x) / (self.high_x - self.low_x or 1.0)
        up = (y - self.low_y) / (self.high_y - self.low_y or 1.0)
        return (
            _LEFT + across * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM),
        )

    def mark(self, series: Series, number: int) -> str:
        every = max(1, len(series.x) // _MOST_POINTS)
        pairs = zip(series.x[::every], series.y[::every], strict=True)
        points = [self.at(x, y) for x, y in pairs if math.isfinite(y)]
        if series.is_dots:
            return "".join(
                f'<circle class="s{number}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points
            )
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polyline class="s{number}" points="{path}"/>'

    def bands(self, bands: Sequence[Band]) -> str:
        drawn = []
        for number, band in enumerate(bands):
            left, right = self.at(band.start, 0)[0], self.at(band.end, 0)[0]
            drawn.append(
                f'<rect class="b{number % 2}" x="{left:.1f}" y="{_TOP}" '
                f'width="{right - left:.1f}" height="{HEIGHT - _TOP - _BOTTOM}"/>'
                f'<text x="{(left + right) / 2:.1f}" y="{_TOP - 6}" class="middle">'
                f"{escape(band.name)}</text>"
            )
        return "".join(drawn)

    def grid(self, unit: str) -> str:
        lines = []
        for value in _ticks(self.low_y, self.high_y):
            x, y = self.at(self.low_x, value)
            lines.append(
                f'<line x1="{x:.1f}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="end">{_spelled(value)}{unit}</text>'
            )
        for value in _ticks(self.low_x, self.high_x):
            x = self.at(value, 0)[0]
            lines.append(
                f'<text x="{x:.1f}" y="{HEIGHT - 8}" class="middle">{_spelled(value)}</text>'
            )
        return "".join(lines)


def _ticks(low: float, high: float) -> list[float]:
    """Return four to eight round numbers inside a range."""
    span = high - low
    if span <= 0:
        return [low]
    step = 10.0 ** math.floor(math.log10(span))
    step *= next(part for part in (1.0, 0.5, 0.2, 0.1) if span / (step * part) >= 4)
    first = math.ceil(low / step)
    return [step * i for i in range(first, math.floor(high / step) + 1)]


def _spelled(value: float) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e3:
        return f"{value:.4g}"
    return count(value) if abs(value) >= 1e3 else f"{value:.0e}"
