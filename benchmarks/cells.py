"""Facts of a measured row in, what a cell of a table says out."""

from collections.abc import Iterable, Sequence
from textwrap import shorten
from typing import Any

NOTHING = "No row was measured yet. `modernbert bench {}` adds one."


def table(head: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Lay lines of cells out as Markdown."""
    lines = [head, ("---",) * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(row: dict[str, Any]) -> str:
    """Say where a row was measured, and with which torch."""
    host = row["machine"]
    where = row.get("gpu") or f"{host['processor']}, {host['cores']} cores"
    return f"{where}, torch {row['versions']['torch']}"


def ratio(found: dict[str, Any] | None) -> str:
    """Say how many times as fast ours is, with quartiles, or why that is not known."""
    if found is None or "failed" in found:
        return "-" if found is None else f"failed: {shorten(found['failed'], 96)}"
    low, high = found["quartiles"]
    return f"{found['ours_is_faster']:.2f} ({low:.2f} to {high:.2f})"


def mebibytes(found: dict[str, Any] | None) -> str:
    """Say the largest memory of a side."""
    return f"{found['peak_bytes'] / 2**20:.0f}" if found and found.get("peak_bytes") else "-"


def number(found: dict[str, Any] | None, key: str) -> str:
    """Say a whole number that was measured, or that it was not."""
    return f"{found[key]:.0f}" if found and key in found else "-"
