"""Rows of `modernbert bench efficiency --precision int8` in, their table out."""

from collections.abc import Sequence

from benchmarks.cells import NOTHING, machine, mebibytes, number, ratio, table
from benchmarks.rows import Row, latest

HEAD = (
    "model",
    "documents",
    "runtime",
    "tokens/s",
    "this package in 8 bits is faster (quartiles)",
    "largest difference",
    "peak MiB above the weights",
    "machine",
)


def eight_bits_table(rows: Sequence[Row]) -> str:
    """Lay every way to multiply in 8 bits out, and float32 and bfloat16 beside, a line each."""
    found = [
        (row, model, name)
        for row in latest(rows)
        if row["precision"] == "int8"
        for model, facts in row["models"].items()
        for name in facts["runtimes"]
    ]
    none = NOTHING.format("efficiency --precision int8")
    return table(HEAD, (_cells(*each) for each in found)) if found else none


def _cells(row: Row, model: str, name: str) -> tuple[str, ...]:
    found = row["models"][model]["runtimes"][name]
    differs = found.get("largest_difference")
    return (
        model,
        f"{row['documents']} of {row['case']}",
        name,
        number(found, "tokens_per_second"),
        ratio(found),
        "-" if differs is None else f"{differs:.2g}",
        mebibytes(found),
        machine(row),
    )
