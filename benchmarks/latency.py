"""Rows of queries encoded one by one in, their table out: a line for each length and way."""

from collections.abc import Sequence
from typing import Any

from benchmarks.cells import machine, table

HEAD = (
    "model",
    "precision",
    "tokens of the query",
    "launched, ms (quartiles)",
    "replayed, ms (quartiles)",
    "times as fast",
    "machine",
)
LAUNCHED, REPLAYED = "launched", "replayed"


def latency_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay the rows out as Markdown, in the order they were measured."""
    if not rows:
        return "No row was measured yet. `make gpu-bench` adds one."
    lines = ((row, tokens) for row in rows for tokens in row["queries"])
    return table(HEAD, (_cells(row, tokens) for row, tokens in lines))


def _cells(row: dict[str, Any], tokens: str) -> tuple[str, ...]:
    found = row["queries"][tokens]
    launched, replayed = found[LAUNCHED], found.get(REPLAYED)
    gain = launched["milliseconds"] / replayed["milliseconds"] if replayed else None
    return (
        row["model"],
        row["precision"],
        tokens,
        _milliseconds(launched),
        _milliseconds(replayed) if replayed else "-",
        f"{gain:.2f}" if gain else "-",
        machine(row),
    )


def _milliseconds(found: dict[str, Any]) -> str:
    low, high = found["quartiles"]
    return f"{found['milliseconds']:.2f} ({low:.2f} to {high:.2f})"
