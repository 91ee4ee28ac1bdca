"""A file of texts in, the same rows with what a model says of them out, some at a time."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, final

from modernbert.base.errors import ConfigError
from modernbert.base.log import meter, say
from modernbert.data.columns import Columns, guess
from modernbert.data.examples import first_rows, texts_in
from modernbert.data.table import Row, Table
from modernbert.infer.classify import Label, classify, head_of
from modernbert.infer.pretrained import Pretrained

_AT_ONCE = 512
"""Rows that are read, labelled and written together: memory holds no more."""
_LIKELY = 0.5


def predict(
    model: Pretrained, table: Table, given: Columns, *, gives_all: bool
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file with what a model says of them, in their order, at bounded memory.

    `prediction` is the likeliest label, the list of those above one half, or the number, and
    `probability` how sure the model is; `gives_all` adds `probabilities`, of every label.

    Raises:
        ConfigError: the model does not label texts.
        DataError: the file cannot be read, or a row has no text.
    """
    head = head_of(model)
    columns = guess(given, [row.values for row in first_rows(table)], str(table.files[0]))
    say(f"{table.files[0]}: texts from {' and '.join(columns.texts)}")
    with meter("labelling", max(table.size_bytes, 1)) as bar:
        for rows in _groups(table):
            found = classify(model, [texts_in(row, columns) for row in rows])
            for row, labels in zip(rows, found, strict=True):
                yield {**row.values, **_said(labels, head.problem, gives_all=gives_all)}
            bar.at(table.bytes_read)


def _groups(table: Table) -> Iterator[list[Row]]:
    rows = iter(table)
    while group := list(islice(rows, _AT_ONCE)):
        yield group


def _said(labels: list[Label], problem: str, *, gives_all: bool) -> dict[str, Any]:
    everything = {label.name: label.score for label in labels}
    more = {"probabilities": everything} if gives_all else {}
    if problem == "regression":
        return {"prediction": labels[0].score}
    if problem == "multi_label":
        likely = [label for label in labels if label.score > _LIKELY]
        scores = [label.score for label in likely]
        return {"prediction": [each.name for each in likely], "probability": scores, **more}
    return {"prediction": labels[0].name, "probability": labels[0].score, **more}


@final
class Writer:
    """Writes rows as they come, as .jsonl or .csv."""

    def __init__(self, file: IO[str], form: str) -> None:
        self._file, self._is_csv = file, form == "csv"
        self._csv: csv.DictWriter[str] | None = None

    def write(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Write all rows and return how many there were."""
        count = 0
        for row in rows:
            if self._is_csv:
                self._cells(row)
            else:
                self._file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            count += 1
        return count

    def _cells(self, row: Mapping[str, Any]) -> None:
        cells = {key: _cell(value) for key, value in row.items()}
        if self._csv is None:
            self._csv = csv.DictWriter(self._file, list(cells), lineterminator="\n")
            self._csv.writeheader()
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
