"""Rows of `modernbert bench training` in, their table out: a line for each side of each row."""

from collections.abc import Sequence
from typing import Any

from benchmarks.cells import NOTHING, machine, mebibytes, ratio, table

HEAD = (
    "model",
    "vocabulary",
    "context",
    "documents",
    "tokens a step",
    "precision",
    "side",
    "tokens/s",
    "packed is faster (quartiles)",
    "utilisation",
    "peak MiB above the weights",
    "text in the grids",
    "machine",
)


def training_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay the rows out as Markdown, in the order they were measured."""
    if not rows:
        return NOTHING.format("training")
    return table(HEAD, (_cells(row, name) for row in rows for name in row["sides"]))


def _cells(row: dict[str, Any], name: str) -> tuple[str, ...]:
    found = row["sides"][name]
    is_there, is_packed = "failed" not in found, name.startswith("packed")
    return (
        row["model"],
        str(row["vocab_size"]),
        str(row["context_length"]),
        row["lengths"],
        str(row["row_tokens"]),
        row["precision"],
        name,
        f"{found['tokens_per_second']:.0f}" if is_there else "-",
        "1" if name == "packed" else ratio(found),
        f"{found['utilisation']:.1%}" if "utilisation" in found else "-",
        mebibytes(found),
        "-" if is_packed else f"{row['padded_real_share']:.0%}",
        machine(row),
    )
