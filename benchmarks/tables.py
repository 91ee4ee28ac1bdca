"""Rows of benchmarks/*.jsonl in, the tables between two comments of README.md out.

Run it from anywhere after a measurement: `python benchmarks/tables.py`.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

ROOT = Path(__file__).parents[1]
NOTHING = "No row was measured yet. `modernbert bench {}` adds one."
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
    return _table(HEAD, map(_cells, rows)) if rows else NOTHING.format("training --corpus corpus")


def forward_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench forward` out: how many times as fast this package is."""
    if not rows:
        return NOTHING.format("forward")
    names = [name for name in RUNTIMES if any(name in row["runtimes"] for row in rows)]
    head = (*FORWARD, *names, "of the products' rate", MEMORY, "machine")
    return _table(head, (_forward_cells(row, names) for row in latest(rows)))


def accelerate_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench accelerate` out, in the order they were measured."""
    if not rows:
        return NOTHING.format("accelerate --model run/model")
    return _table(ACCELERATED, map(_accelerated_cells, rows))


def finetuning_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench finetuning` out, a line for each way of using Trainer."""
    if not rows:
        return NOTHING.format("finetuning run/model --train FILE")
    pairs = ((row, name) for row in rows for name in row["sides"] if name != "modernbert")
    return _table(FINETUNED, (_finetuned_cells(row, name) for row, name in pairs))


def latest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the last of measurements of the same thing, in the order of the first ones."""
    return list({_measured(row): row for row in rows}.values())


def _measured(row: dict[str, Any]) -> tuple[object, ...]:
    """Return what two measurements have in common if one may stand for the other."""
    host, threads = row["machine"], row["threads"]
    case = (row[name] for name in ("model", "case", "precision", "documents", "batch_tokens"))
    return (*case, *sorted(row["runtimes"]), host["processor"], host["cores"], threads)


def replaced(page: str, name: str, table: str) -> str:
    """Return the page with the table between the two comments of that name."""
    start, stop = f"<!-- {name}: start -->", f"<!-- {name}: stop -->"
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(stop)
    return f"{before}{start}\n{table}\n{stop}{after}"


def tables() -> dict[str, str]:
    """Return every table of README.md by the name in its comments."""
    found = {what: rows_of(ROOT / "benchmarks" / f"{what}.jsonl") for what in TABLES}
    return {f"{what} speed": TABLES[what](rows) for what, rows in found.items()}


def _table(head: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    lines = [head, ("---",) * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _forward_cells(row: dict[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    found = row["runtimes"]
    return (
        row["model"],
        f"{row['documents']} of {row['case']}",
        str(row["tokens"]),
        row["precision"],
        f"{found['modernbert']['tokens_per_second']:.0f}",
        *(_ratio(found.get(name)) for name in names),
        f"{row['share_of_products_rate']:.0%}",
        f"{_mebibytes(found['modernbert'])} / {_mebibytes(found.get('transformers'))}",
        _machine(row),
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
        _machine(row),
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
        _ratio(there),
        f"{there['real_share']:.0%}" if is_there else "-",
        f"{_mebibytes(here)} / {_mebibytes(there)}",
        _machine(row),
    )


def _scores(found: dict[str, Any]) -> str:
    low, high = min(found["scores"]), max(found["scores"])
    return f"{found['score']:.3f} ({low:.3f} to {high:.3f})"


def _machine(row: dict[str, Any]) -> str:
    host = row["machine"]
    return f"{host['processor']}, {host['cores']} cores, torch {row['versions']['torch']}"


def _ratio(found: dict[str, Any] | None) -> str:
    if found is None or "failed" in found:
        return "-" if found is None else f"failed: {shorten(found['failed'], 48)}"
    low, high = found["quartiles"]
    return f"{found['ours_is_faster']:.2f} ({low:.2f} to {high:.2f})"


def _mebibytes(found: dict[str, Any] | None) -> str:
    return f"{found['peak_bytes'] / 2**20:.0f}" if found and found.get("peak_bytes") else "-"


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
        _machine(row),
    )


TABLES = {
    "training": training_table,
    "forward": forward_table,
    "accelerate": accelerate_table,
    "finetuning": finetuning_table,
}


def main() -> None:
    """Rewrite README.md."""
    readme = ROOT / "README.md"
    page = readme.read_text(encoding="utf-8")
    for name, table in tables().items():
        page = replaced(page, name, table)
    readme.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
