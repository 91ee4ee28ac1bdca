"""Rows of benchmarks/forward.jsonl in, benchmarks/forward.svg out: `python -m benchmarks.plots`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from benchmarks.tables import RUNTIMES, latest, rows_of

HERE = Path(__file__).parent
OURS = "modernbert"
MIB = 2**20


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw, for each case, every runtime's speed as a share of ours, and its memory."""
    # The same rows give the same file.
    mpl.rcParams["svg.hashsalt"] = "forward"
    cases = [
        f"{row['model']}\n{row['documents']} of {row['case']}\n{row['precision']}" for row in rows
    ]
    names = [name for name in (OURS, *RUNTIMES) if any(_timed(row, name) for row in rows)]
    size = (2 + 1.8 * len(rows), 7)
    figure, (speed, memory) = plt.subplots(2, 1, figsize=size, layout="constrained")
    for number, name in enumerate(names):
        at = [case + 0.8 * (number + 0.5) / len(names) - 0.4 for case in range(len(rows))]
        found = [_timed(row, name) for row in rows]
        width = 0.8 / len(names)
        speed.bar(
            at, [1 / each["ours_is_faster"] if each else 0 for each in found], width, label=name
        )
        peaks = [(each or {}).get("peak_bytes") or 0 for each in found]
        memory.bar(at, [peak / MIB for peak in peaks], width, label=name)
    speed.axhline(1, color="grey", linewidth=0.8)
    speed.set(
        title="Speed on a CPU, this package = 1; no bar: failed or left out",
        xticks=range(len(rows)),
    )
    memory.set(title="Peak memory above the weights, MiB", xticks=range(len(rows)), yscale="log")
    for axis in (speed, memory):
        axis.set_xticklabels(cases)
    figure.legend(*speed.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _timed(row: dict[str, Any], name: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = row["runtimes"].get(name)
    return None if found is None or "failed" in found else found


if __name__ == "__main__":
    draw(latest(rows_of(HERE / "forward.jsonl")), HERE / "forward.svg")
