"""Rows of benchmarks/*.jsonl in, the tables between two comments of README.md out.

Run it from the top folder after a measurement: `python -m benchmarks.tables`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import NOTHING, machine, mebibytes, ratio, table
from benchmarks.search import embedding_table, maxsim_table, search_table

ROOT = Path(__file__).parents[1]
HEAD = (
    "model",
    "vocabulary",
    "context",
    "tokens a step",
    "text in their grids",
    "tokens/s here",
    "tokens/s there",
    "ratio (quartiles)",
    "machine",
)
FORWARD = ("model", "documents", "tokens", "precision", "tokens/s here")
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
RUNTIMES = (
    "modernbert compiled",
    "transformers",
    "transformers compiled",
    "onnxruntime",
    "openvino",
    "openvino f32",
)
MEMORY = "peak MiB above the weights, here / transformers"


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read the measured rows; a file that is absent has none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.strip()]


def training_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench training` out as Markdown, in the order they were measured."""
    return table(HEAD, map(_cells, rows)) if rows else NOTHING.format("training --corpus corpus")


def forward_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench forward` out: how many times as fast this package is."""
    if not rows:
        return NOTHING.format("forward")
    names = [name for name in RUNTIMES if any(name in row["runtimes"] for row in rows)]
    head = (*FORWARD, *names, "of the products' rate", MEMORY, "machine")
    return table(head, (_forward_cells(row, names) for row in latest(rows)))


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


def latest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the last of measurements of the same thing, in the order of the first ones."""
    return list({_measured(row): row for row in rows}.values())


def _measured(row: dict[str, Any]) -> tuple[object, ...]:
    """Return what two measurements have in common if one may stand for the other."""
    host, threads = row["machine"], row["threads"]
    case = (row[name] for name in ("model", "case", "precision", "documents", "batch_tokens"))
    return (*case, *sorted(row["runtimes"]), host["processor"], host["cores"], threads)


def replaced(page: str, name: str, made: str) -> str:
    """Return the page with the table between the two comments of that name."""
    start, stop = f"<!-- {name}: start -->", f"<!-- {name}: stop -->"
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(stop)
    return f"{before}{start}\n{made}\n{stop}{after}"


def tables() -> dict[str, str]:
    """Return every table of README.md by the name in its comments."""
    found = {what: rows_of(ROOT / "benchmarks" / f"{what}.jsonl") for what in TABLES}
    return {f"{what} speed": TABLES[what](rows) for what, rows in found.items()}


def _forward_cells(row: dict[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    found = row["runtimes"]
    return (
        row["model"],
        f"{row['documents']} of {row['case']}",
        str(row["tokens"]),
        row["precision"],
        f"{found['modernbert']['tokens_per_second']:.0f}",
        *(ratio(found.get(name)) for name in names),
        f"{row['share_of_products_rate']:.0%}",
        f"{mebibytes(found['modernbert'])} / {mebibytes(found.get('transformers'))}",
        machine(row),
    )


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


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["ratio_quartiles"]
    return (
        row["model"],
        str(row["vocab_size"]),
        str(row["context_length"]),
        str(row["row_tokens"]),
        f"{row['padded_real_share']:.0%}",
        f"{row['ours_tokens_per_second']:.0f}",
        f"{row['theirs_tokens_per_second']:.0f}",
        f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})",
        machine(row),
    )


TABLES = {
    "training": training_table,
    "forward": forward_table,
    "accelerate": accelerate_table,
    "finetuning": finetuning_table,
    "embedding": embedding_table,
    "maxsim": maxsim_table,
    "search": search_table,
}


def main() -> None:
    """Rewrite README.md."""
    readme = ROOT / "README.md"
    page = readme.read_text(encoding="utf-8")
    for name, made in tables().items():
        page = replaced(page, name, made)
    readme.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
