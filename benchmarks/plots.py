"""Rows of benchmarks/efficiency.jsonl in, pictures of speed and memory by length out.

Run it from the top folder after a measurement: `python -m benchmarks.plots`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from benchmarks.efficiency import PRODUCTS, by_curve
from benchmarks.rows import HERE, Row, rows_of

MIB = 2**20
Points = list[tuple[int, float]]


def draw(rows: Sequence[Row], folder: Path) -> None:
    """Draw a picture of speed and one of memory, a part for each model, precision and machine."""
    found = by_curve(rows)
    if not found:
        return
    speed = {name: _lines(curve, "tokens_per_second", 1) for name, curve in found.items()}
    memory = {name: _lines(curve, "peak_bytes", MIB) for name, curve in found.items()}
    _picture(speed, "tokens a second", folder / "speed-by-length.svg")
    _picture(memory, "peak memory above the weights, MiB", folder / "memory-by-length.svg")


def _lines(curve: Sequence[tuple[Row, str]], key: str, unit: float) -> dict[str, Points]:
    """Return for each runtime its points: the length, and what was measured there."""
    lines: dict[str, Points] = {}
    for row, model in curve:
        for name, facts in row["models"][model]["runtimes"].items():
            if facts.get(key) and name != PRODUCTS:
                lines.setdefault(name, []).append((row["length"], facts[key] / unit))
    return lines


def _picture(parts: Mapping[str, Mapping[str, Points]], what: str, path: Path) -> None:
    # The same rows give the same file.
    mpl.rcParams["svg.hashsalt"] = "efficiency"
    size = (6.5, 4 * len(parts) + 0.5)
    figure, axes = plt.subplots(len(parts), 1, figsize=size, layout="constrained", squeeze=False)
    names = list(dict.fromkeys(name for lines in parts.values() for name in lines))
    colours: dict[str, Any] = {name: f"C{number % 10}" for number, name in enumerate(names)}
    for axis, (title, lines) in zip(axes.flat, parts.items(), strict=True):
        for name, points in lines.items():
            axis.plot(*zip(*points, strict=True), marker="o", label=name, color=colours[name])
        axis.set(title=title, xlabel="tokens a document", ylabel=what)
        axis.set_xscale("log", base=2)
        lengths = sorted({length for points in lines.values() for length, _ in points})
        axis.set_xticks(lengths, map(str, lengths))
        axis.set_yscale("log")
        axis.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(rows_of(HERE / "efficiency.jsonl"), HERE)
