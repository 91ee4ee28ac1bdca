"""Rows of benchmarks/*.jsonl in, what stands between two comments of README.md and a page out.

Run it from the top folder after a measurement: `python -m benchmarks.tables`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import NOTHING, machine, mebibytes, ratio, table
from benchmarks.efficiency import (
    batches_table,
    curve_table,
    curve_words,
    families_table,
    pictures,
    published_table,
    runtimes_table,
)
from benchmarks.eight_bits import eight_bits_table
from benchmarks.latency import latency_table
from benchmarks.loading import fed_words, fills_table, loader_table
from benchmarks.planning import (
    checked_table,
    devices_table,
    fitted_words,
    held_table,
    plans_table,
)
from benchmarks.recipes import recipes_table
from benchmarks.rows import HERE, rows_of
from benchmarks.search import embedding_table, maxsim_table, search_table
from benchmarks.serving import beside_table, bound_words, serving_table
from benchmarks.training import training_table

ROOT = Path(__file__).parents[1]
ACCELERATED = (
    "model",
    "weights",
    "texts",
    "tokens a text (quartiles)",
    "order",
    "text in the grids",
    "precision",
    "tokens/s accelerated",
    "tokens/s before",
    "ratio (quartiles)",
    "machine",
)
FINETUNED = (
    "model",
    "weights",
    "examples",
    "tokens an example (quartiles)",
    "epochs x batch",
    "precision",
    "beside",
    "score",
    "here, mean (lowest to highest seed)",
    "there",
    "tokens/s here",
    "tokens/s there",
    "ratio (quartiles)",
    "text in their grids",
    "peak MiB above the weights, here / there",
    "machine",
)


def accelerate_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench accelerate` out, in the order they were measured."""
    if not rows:
        return NOTHING.format("accelerate --model run/model")
    return table(ACCELERATED, map(_accelerated_cells, rows))


def finetuning_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench finetuning` out, a line for each way of using Trainer."""
    if not rows:
        return NOTHING.format("finetuning run/model --train FILE")
    pairs = ((row, name) for row in rows for name in row["sides"] if name != "modernbert")
    return table(FINETUNED, (_finetuned_cells(row, name) for row, name in pairs))


def replaced(page: str, name: str, made: str) -> str:
    """Return the page with the table between the two comments of that name."""
    start, stop = f"<!-- {name}: start -->", f"<!-- {name}: stop -->"
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(stop)
    return f"{before}{start}\n{made}\n{stop}{after}"


def tables() -> dict[str, str]:
    """Return every table of README.md by the name in its comments."""
    found = {what: rows_of(HERE / f"{what}.jsonl") for what in TABLES}
    return {f"{what} speed": TABLES[what](rows) for what, rows in found.items()}


def parts() -> dict[str, str]:
    """Return every generated part of the page on speed by the name in its comments."""
    rows = rows_of(HERE / "efficiency.jsonl")
    made = {name: PARTS[name](rows) for name in PARTS}
    return made | {"published": published_table(rows_of(HERE / "published.jsonl"))}


def of_queries() -> dict[str, str]:
    """Return the generated table of the page on GPUs by the name in its comments."""
    return {"queries": latency_table(rows_of(HERE / "latency.jsonl"))}


def of_rows() -> dict[str, str]:
    """Return the generated parts of the page on packing by the names in their comments."""
    rows = rows_of(HERE / "loading.jsonl")
    return {"fills": fills_table(rows), "loader": loader_table(rows), "fed": fed_words(rows)}


def of_recipes() -> dict[str, str]:
    """Return the generated table of the page on phases by the name in its comments."""
    return {"recipes": recipes_table()}


def of_plans() -> dict[str, str]:
    """Return the generated tables of the guide to plans by the names in their comments."""
    return {
        "checked": checked_table(),
        "fitted": fitted_words(),
        "held": held_table(rows_of(HERE / "training.jsonl")),
        "plans": plans_table(),
        "devices": devices_table(),
    }


def of_servers() -> dict[str, str]:
    """Return the generated parts of the guide to serving by the names in their comments."""
    rows = rows_of(HERE / "serving.jsonl")
    return {
        "load": serving_table(rows),
        "bound": bound_words(rows),
        "beside": beside_table(rows),
    }


def _accelerated_cells(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["ratio_quartiles"]
    return (
        row["model"],
        f"{row['weights'] / 1e6:.1f}M",
        f"{row['documents']} of {row['texts']}",
        ", ".join(map(str, row["length_quartiles"])),
        row["order"],
        f"{row['real_share']:.0%}",
        row["precision"],
        f"{row['ours_tokens_per_second']:.0f}",
        f"{row['theirs_tokens_per_second']:.0f}",
        f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})",
        machine(row),
    )


def _finetuned_cells(row: dict[str, Any], name: str) -> tuple[str, ...]:
    here, there = row["sides"]["modernbert"], row["sides"][name]
    is_there = "failed" not in there
    return (
        row["model"],
        f"{row['weights'] / 1e6:.1f}M",
        f"{row['examples']} of {row['train']}",
        ", ".join(map(str, row["length_quartiles"])),
        f"{row['epochs']} x {row['batch_size']}",
        row["precision"],
        name,
        row["measure"],
        _scores(here),
        _scores(there) if is_there else "-",
        f"{here['tokens_per_second']:.0f}",
        f"{there['tokens_per_second']:.0f}" if is_there else "-",
        ratio(there),
        f"{there['real_share']:.0%}" if is_there else "-",
        f"{mebibytes(here)} / {mebibytes(there)}",
        machine(row),
    )


def _scores(found: dict[str, Any]) -> str:
    low, high = min(found["scores"]), max(found["scores"])
    return f"{found['score']:.3f} ({low:.3f} to {high:.3f})"


TABLES = {
    "training": training_table,
    "efficiency": runtimes_table,
    "accelerate": accelerate_table,
    "finetuning": finetuning_table,
    "embedding": embedding_table,
    "maxsim": maxsim_table,
    "search": search_table,
}


PARTS = {
    "curve in words": curve_words,
    "curve": curve_table,
    "pictures": pictures,
    "runtimes": runtimes_table,
    "eight bits": eight_bits_table,
    "families": families_table,
    "batches": batches_table,
}

PAGES = {
    ROOT / "README.md": tables,
    ROOT / "docs" / "concepts" / "how-fast-and-why.md": parts,
    ROOT / "docs" / "concepts" / "packing.md": of_rows,
    ROOT / "docs" / "concepts" / "phases-and-schedules.md": of_recipes,
    ROOT / "docs" / "guides" / "gpu.md": of_queries,
    ROOT / "docs" / "guides" / "plan-a-run.md": of_plans,
    ROOT / "docs" / "guides" / "serve.md": of_servers,
}
"""What is made anew in which page."""


def main() -> None:
    """Rewrite the pages."""
    for path, made in PAGES.items():
        page = path.read_text(encoding="utf-8")
        for name, part in made().items():
            page = replaced(page, name, part)
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
