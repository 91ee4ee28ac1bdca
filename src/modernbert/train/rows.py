"""A run's files of rows in, their whole rows out."""

import json
from pathlib import Path
from typing import Any

from modernbert.base import files

METRICS, EVALUATIONS, PROBES = "metrics.jsonl", "evaluations.jsonl", "probes.jsonl"


def steps_in(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, oldest first; none where there is no file.

    A kill or a full disk may cut the last one off, or leave bytes that are none: these are left
    out.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    found = (_row(line) for line in lines if line.endswith("\n"))
    return [row for row in found if row is not None]


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def truncate(folder: Path, step: int) -> None:
    """Drop the rows of steps that will be taken again, and what a kill cut off."""
    for name in (METRICS, EVALUATIONS, PROBES):
        path = folder / name
        if path.exists():
            kept = [json.dumps(row) + "\n" for row in steps_in(path) if row["step"] <= step]
            with files.whole_file(path) as aside:
                aside.write_text("".join(kept), encoding="utf-8")
