"""Rows of the benchmarks of embedding and search in, tables out."""

from collections.abc import Sequence
from typing import Any

from benchmarks.cells import NOTHING, machine, mebibytes, ratio, table

EMBEDDED = (
    "model",
    "weights",
    "texts",
    "tokens a text (quartiles)",
    "precision",
    "beside",
    "tokens/s here",
    "ratio (quartiles)",
    "peak MiB above the weights, here / there",
    "machine",
)
SCORED = (
    "queries x tokens",
    "documents x tokens",
    "dimensions",
    "beside",
    "milliseconds here",
    "ratio (quartiles)",
    "machine",
)
SEARCHED = (
    "vectors x dimensions",
    "kept as",
    "exact, ms (quartiles)",
    "approximate, ms (quartiles)",
    "of the exact ten",
    "opens in, ms",
    "MiB of vectors, of the graph",
    "seconds to make the graph",
    "machine",
)


def embedding_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench embedding` out, a line for each other side."""
    if not rows:
        return NOTHING.format("embedding MODEL")
    return table(EMBEDDED, (_embedded(row, name) for row, name in _others(rows)))


def maxsim_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench maxsim` out, a line for each other side."""
    if not rows:
        return NOTHING.format("maxsim")
    return table(SCORED, (_scored(row, name) for row, name in _others(rows)))


def search_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench search` out, in the order they were measured."""
    return table(SEARCHED, map(_searched, rows)) if rows else NOTHING.format("search")


def _others(rows: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    return [(row, name) for row in rows for name in row["sides"] if name != "modernbert"]


def _embedded(row: dict[str, Any], name: str) -> tuple[str, ...]:
    here, there = row["sides"]["modernbert"], row["sides"][name]
    texts = row["texts"] if row["case"] == "given" else f"{row['case']}, {row['texts']}"
    return (
        row["model"],
        f"{row['weights'] / 1e6:.1f}M",
        f"{row['documents']} of {texts}",
        ", ".join(map(str, row["length_quartiles"])),
        row["precision"],
        name,
        f"{row['ours_tokens_per_second']:.0f}",
        ratio(there),
        f"{mebibytes(here)} / {mebibytes(there)}",
        machine(row),
    )


def _scored(row: dict[str, Any], name: str) -> tuple[str, ...]:
    return (
        f"{row['queries']} x {row['query_tokens']}",
        f"{row['documents']} x {row['shortest']} to {row['longest']}",
        str(row["dim"]),
        name,
        f"{1e3 * row['sides']['modernbert']['seconds']:.1f}",
        ratio(row["sides"][name]),
        machine(row),
    )


def _searched(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['vectors']} x {row['dim']} {row['given'] or 'drawn'}",
        row["numbers"],
        _milliseconds(row["exact_ms"]),
        _milliseconds(row["approximate_ms"]),
        f"{row['recall']:.1%}",
        f"{row['open_ms']:.1f}",
        f"{row['vector_bytes'] / 2**20:.0f}, {row['graph_bytes'] / 2**20:.0f}",
        f"{row['graph_seconds']:.0f}",
        machine(row),
    )


def _milliseconds(quartiles: Sequence[float]) -> str:
    low, middle, high = quartiles
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
