"""Files of measured rows in, the rows out; what two measurements of one thing have in common."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
HERE = Path(__file__).parent

_SAME = (
    *("case", "length", "longest", "texts", "precision", "device", "gpu"),
    *("documents", "batch_tokens", "order", "threads"),
)


def rows_of(path: Path) -> list[Row]:
    """Read the measured rows; a file that is absent has none.

    Raises:
        ValueError: a line is no row.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            raise ValueError(f"{path}, line {number} is no row: take it out ({error})") from error
    return rows


def latest(rows: Sequence[Row]) -> list[Row]:
    """Keep the last of measurements of the same thing, in the order of the first ones."""
    return list({_measured(row): row for row in rows}.values())


def settings(row: Row) -> tuple[object, ...]:
    """Return what two rows have in common whose models can be compared."""
    host = row["machine"]
    return (*(row[name] for name in _SAME), host["processor"], host["cores"])


def _measured(row: Row) -> tuple[object, ...]:
    """Return what two measurements have in common if one may stand for the other."""
    models = ((name, tuple(facts["runtimes"])) for name, facts in row["models"].items())
    return (*settings(row), *sorted(models))
