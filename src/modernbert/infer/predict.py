"""A file of texts in, the same rows with what a model says of them out, some at a time."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, final

from modernbert.base.errors import ConfigError
from modernbert.base.log import meter, say
from modernbert.data.columns import Columns
from modernbert.data.table import Row, RowFiles
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.sayings import Wishes, saying_of

_AT_ONCE = 512
"""Rows that are read, labelled and written together: memory holds no more."""


def predict(
    model: Pretrained, table: RowFiles, given: Columns, wishes: Wishes
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file with what a model says of them, in their order, at bounded memory.

    What is said is in the columns `prediction` and `probability`, and in more if it is wished;
    where the file has such a column, the model's has `model_` before its name.

    Raises:
        ConfigError: the model has no head that says something of a row.
        DataError: the file cannot be read, or a row has no text.
    """
    saying, names = saying_of(model, table, given, wishes), dict[str, str]()
    with meter("predicting", max(table.size_bytes, 1)) as bar:
        for rows in _groups(saying.rows):
            found = saying.say(rows)
            _rename(names, found[0], rows)
            for row, said in zip(rows, found, strict=True):
                yield {**row.values, **{names[key]: value for key, value in said.items()}}
            bar.at(table.bytes_read)


def _rename(names: dict[str, str], said: Iterable[str], rows: Sequence[Row]) -> None:
    """Give each of the model's columns a name that no row has, and say it where it is another."""
    taken = {key for row in rows for key in row.values}
    for key in said:
        name = before = names.get(key, key)
        while name in taken:
            name = f"model_{name}"
        names[key] = name
        if name != before:
            say(f"the file has a column {before!r}: the model's is called {name!r}")


def _groups(table: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(table)
    while group := list(islice(rows, _AT_ONCE)):
        yield group


@final
class Writer:
    """Writes rows as they come, as .jsonl or .csv."""

    def __init__(self, file: IO[str], form: str) -> None:
        self._file, self._is_csv = file, form == "csv"
        self._csv: csv.DictWriter[str] | None = None
        self._left_out: dict[str, None] = {}
        """Columns that the first line of a .csv could not name, in their order."""

    def write(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Write all rows and return how many there were; say what a .csv cannot hold of them."""
        count = 0
        for row in rows:
            if self._is_csv:
                self._cells(row)
            else:
                self._file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            count += 1
        if self._left_out:
            say(
                f"left out, since the first row does not have them: {', '.join(self._left_out)}; "
                "a .jsonl keeps them"
            )
        return count

    def _cells(self, row: Mapping[str, Any]) -> None:
        cells = {key: _cell(value) for key, value in row.items()}
        if self._csv is None:
            self._csv = csv.DictWriter(self._file, list(cells), lineterminator="\n")
            self._csv.writeheader()
        self._left_out |= dict.fromkeys(key for key in cells if key not in self._csv.fieldnames)
        self._csv.writerow({key: cells.get(key, "") for key in self._csv.fieldnames})


def _cell(value: Any) -> Any:
    """Spell what is no plain cell: lists with bars between, the rest as JSON."""
    if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
        return "|".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def form_of(path: Path) -> str:
    """Tell from a name how predictions are written.

    Raises:
        ConfigError: it is neither .jsonl nor .csv.
    """
    for end in ("jsonl", "csv"):
        if path.name.lower().endswith(f".{end}"):
            return end
    raise ConfigError(f"{path} is neither .jsonl nor .csv: name one of these")
