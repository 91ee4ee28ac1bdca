"""Rows of the benchmark of servers in, tables out."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.cells import NOTHING, machine, ratio, table

LOADED = (
    "model",
    "server",
    "clients",
    "texts/s",
    "tokens/s",
    "ours is faster (quartiles)",
    "all, p50 / p95 / p99 ms",
    "queries, p50 / p95 / p99 ms",
    "passages, p50 / p95 / p99 ms",
    "documents, p50 / p95 / p99 ms",
    "machine",
)
BESIDE = (
    "model",
    "server",
    "queries alone, p50 / p95 ms",
    "beside documents, p50 / p95 ms",
    "p95 over that alone",
    "machine",
)
_KINDS = ("all", "query", "passage", "document")


def serving_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench serving` out, a line for each server and number of clients."""
    if not rows:
        return NOTHING.format("serving MODEL")
    return table(
        LOADED,
        (
            (
                row["model"],
                name,
                number,
                f"{point['texts_per_second']:.0f}",
                f"{point['tokens_per_second']:,.0f}",
                ratio(point) if name != "modernbert" else "-",
                *(_times(point, kind, 3) for kind in _KINDS),
                machine(row),
            )
            for row, name, side in _sides(rows)
            for number, point in side["points"].items()
        ),
    )


def beside_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay out what queries waited alone, and beside documents that come without a pause."""
    if not rows:
        return NOTHING.format("serving MODEL")
    return table(
        BESIDE,
        (
            (
                row["model"],
                name,
                _times(side["short"]["idle"], "query", 2),
                _times(side["short"]["beside"], "query", 2),
                f"{side['short']['p95_over_idle_p95']:.2f}",
                machine(row),
            )
            for row, name, side in _sides(rows)
        ),
    )


def bound_words(rows: Sequence[dict[str, Any]]) -> str:
    """Say how much more the package computes than the best other server, no slower for anybody."""
    said = []
    for row in rows:
        peer, ours = row["best_peer"], row["sides"]["modernbert"]["within_bound"]
        theirs = row["sides"][peer]["within_bound"]
        said.append(
            f"{row['model']}: {peer} computes most with {theirs['clients']} clients, "
            f"{theirs['tokens_per_second']:,.0f} tokens/s at a p95 of {row['bound_ms']:,.0f} ms. "
            f"Within that p95 modernbert computes {ours['tokens_per_second']:,.0f}, "
            f"{ratio(theirs)} times as many."
        )
    return "\n".join(said) or NOTHING.format("serving MODEL")


def _sides(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for row in rows:
        for name, side in row["sides"].items():
            if "failed" not in side:
                yield row, name, side


def _times(point: dict[str, Any], kind: str, number: int) -> str:
    found = point["latency_ms"].get(kind)
    return " / ".join(f"{each:,.3g}" if each < 100 else f"{each:,.0f}" for each in found[:number])
