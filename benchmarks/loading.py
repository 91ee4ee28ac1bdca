"""Rows of `modernbert bench loading` in, how full rows are and how fast they come out."""

from collections.abc import Sequence
from typing import Any

from benchmarks.cells import NOTHING, machine, table

from modernbert.base.log import count

FILLS = ("corpus, tokens", "sources", "longest chunk", "tokens a row", "fill")
SPEEDS = ("what", "tokens/s", "times the training", "machine")
_SAID = {
    "training": "training `{model}`, a row of {row_tokens:,} a step",
    "loader": "the loader alone, the same rows",
    "loader of large rows": "the loader alone, rows of {large_row_tokens:,}",
    "prepare": "`modernbert prepare`",
}


def fills_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay out how full the rows of each corpus are."""
    if not rows:
        return NOTHING.format("loading --corpus CORPUS")
    return table(FILLS, (_fill_cells(row, fill) for row in rows for fill in row["fills"]))


def loader_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay out how fast text is prepared and read."""
    if not rows:
        return NOTHING.format("loading --corpus CORPUS --texts FOLDER")
    return table(SPEEDS, (_speed_cells(row, what) for row in rows for what in row["speeds"]))


def fed_words(rows: Sequence[dict[str, Any]]) -> str:
    """Say how many devices of the published run one thread of the loader feeds."""
    if not rows:
        return NOTHING.format("loading --corpus CORPUS")
    row = rows[-1]
    return (
        f"One thread of the loader gives what {row['h100s_fed']:.0f} H100s take at the "
        f"{row['published_tokens_per_second'] / 1e3:.0f}k tokens a second each of the paper's "
        "first phase of base."
    )


def _fill_cells(row: dict[str, Any], fill: dict[str, Any]) -> tuple[str, ...]:
    return (
        count(row["corpus_tokens"]),
        str(row["corpus_sources"]),
        f"{fill['context_length']:,}",
        f"{fill['row_tokens']:,}",
        f"{fill['fill']:.2%}",
    )


def _speed_cells(row: dict[str, Any], what: str) -> tuple[str, ...]:
    found = row["speeds"][what]
    times = "-"
    if "of_training" in found:
        low, high = found["quartiles"]
        times = f"{found['of_training']:.0f} ({low:.0f} to {high:.0f})"
    return (
        _SAID[what].format(**row),
        count(round(found["tokens_per_second"])),
        times,
        machine(row),
    )
