"""Rows of benchmarks/*.jsonl in, the tables between two comments of README.md out.

Run it from anywhere after a measurement: `python benchmarks/tables.py`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START, STOP = "<!-- training speed: start -->", "<!-- training speed: stop -->"
NOTHING = "No row was measured yet. `modernbert bench training --corpus corpus` adds one."
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


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read the measured rows; a file that is absent has none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.strip()]


def training_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay rows of `modernbert bench training` out as Markdown, in the order they were measured."""
    if not rows:
        return NOTHING
    lines = [HEAD, ("---",) * len(HEAD), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replaced(page: str, table: str) -> str:
    """Return the page with the table between its two comments."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(STOP)
    return f"{before}{START}\n{table}\n{STOP}{after}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["ratio_quartiles"]
    host = row["machine"]
    return (
        row["model"],
        str(row["vocab_size"]),
        str(row["context_length"]),
        str(row["row_tokens"]),
        f"{row['padded_real_share']:.0%}",
        f"{row['ours_tokens_per_second']:.0f}",
        f"{row['theirs_tokens_per_second']:.0f}",
        f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})",
        f"{host['processor']}, {host['cores']} cores, torch {row['versions']['torch']}",
    )


def main() -> None:
    """Rewrite README.md."""
    readme = ROOT / "README.md"
    table = training_table(rows_of(ROOT / "benchmarks" / "training.jsonl"))
    readme.write_text(replaced(readme.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
