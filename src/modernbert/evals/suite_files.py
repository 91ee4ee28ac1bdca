"""A folder with a suite's data in, each task's parts as tables that a fine-tuning reads out.

Known are GLUE's own files, the files of `datasets` on the hub, and CoNLL columns. What is there is
written as OUT/data/TASK/PART.jsonl; a part that is missing is named, never passed over.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.base import files, rng
from modernbert.base.errors import DataError
from modernbert.base.log import say
from modernbert.data.columns import Columns
from modernbert.data.formats import Unpacked
from modernbert.data.order import permuted
from modernbert.data.table import open_table, text_lines
from modernbert.data.tagged import read_tagged
from modernbert.evals.suite import SuiteTask
from modernbert.evals.suite_asked import questions_in

Row = Mapping[str, Any]

_COLUMNS = re.compile(r"\.(tsv|txt)(\.gz|\.zst)?$", re.IGNORECASE)
_KINDS = r"(-\d+-of-\d+)?\.(tsv|txt|conll|iob|bio|parquet|jsonl|csv)(\.gz|\.zst)?"
_CHOSEN = "dev_ids.tsv"
"""In GLUE's MRPC: which of the original training pairs are its dev part."""
_DEPTH = 3
"""Folders of folders in which a task's own is looked for."""
_IDS = ("#1 ID", "#2 ID")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task's parts, as files that a fine-tuning reads."""

    folder: Path
    """Where they came from."""
    rows: dict[str, int]
    """How many examples each part has."""
    paths: dict[str, Path]
    is_pair: bool
    num_left_out: int
    """Rows without a label or a text, which GLUE's own readers leave out too."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a task cannot be measured."""

    reason: str


def prepare(task: SuiteTask, data: Path, target: Path, most_rows: int = 0) -> Prepared | Missing:
    """Find a task's files, and write its parts into a folder; at most so many rows to learn from.

    Raises:
        DataError: a file is broken.
        MachineError: the folder cannot be written.
    """
    folder = _folder(task, data)
    if folder is None:
        return Missing(f"{data} holds no folder {task.name}")
    parts, lacking = _parts(task, folder)
    if lacking:
        return Missing(f"{folder} holds no {lacking} part")
    reader = _READERS[task.learns]
    files.make_folder(target)
    paths, rows, left_out, is_pair = {}, {}, 0, False
    for part, given in parts.items():
        found = [*reader(task, given)]
        kept = [row for row in found if row is not None]
        if not kept:
            return Missing(f"the {part} part in {folder} holds no row with a label")
        left_out += len(found) - len(kept)
        is_pair = "pair" in kept[0]
        kept = _some(kept, most_rows) if part == "train" and most_rows else kept
        limit = f"-{most_rows}" if part == "train" and most_rows else ""
        paths[part], rows[part] = target / f"{part}{limit}.jsonl", len(kept)
        _write(paths[part], kept)
    if left_out:
        say(f"{task.name}: {left_out} rows without a label or a text are left out")
    return Prepared(folder, rows, paths, is_pair, left_out)


@dataclass(frozen=True, slots=True)
class _Given:
    """Files of a part, and which of their rows are meant."""

    files: tuple[Path, ...]
    fold: tuple[str, tuple[str, ...], bool] | None = None
    """A column, values, and whether rows with these values are taken or left."""
    ids: frozenset[tuple[str, str]] = frozenset()
    is_chosen: bool = True
    """Whether rows with these ids are taken or left."""


def _folder(task: SuiteTask, data: Path) -> Path | None:
    names = {plain(name) for name in (task.name, *task.folders)}
    there = chain([data], *(data.glob("/".join("*" * depth)) for depth in range(1, _DEPTH + 1)))
    return next((f for f in sorted(there) if plain(f.name) in names and f.is_dir()), None)


def plain(name: str) -> str:
    """Return a name without case and punctuation: sst2 of SST-2."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _parts(task: SuiteTask, folder: Path) -> tuple[dict[str, _Given], str]:
    """Return the files of each part, and the part that is missing, if one is."""
    train = _named(folder, task.train)
    if not train:
        return {}, "train"
    if task.folds:
        column, *kept = task.folds.column, str(task.folds.dev), str(task.folds.test)
        return {
            "train": _Given(train, (column, tuple(kept), False)),
            "dev": _Given(train, (column, (kept[0],), True)),
            "test": _Given(train, (column, (kept[1],), True)),
        }, ""
    dev = _named(folder, task.dev)
    if not dev and (folder / _CHOSEN).is_file():
        ids = frozenset((row[_IDS[0]], row[_IDS[1]]) for row in _cells(folder / _CHOSEN, True))
        return {"train": _Given(train, None, ids, False), "dev": _Given(train, None, ids)}, ""
    if task.dev and not dev:
        return {}, "dev"
    test = _named(folder, task.test)
    if task.test and not test:
        return {}, "test" if "test" in task.test else "second dev"
    wanted: dict[str, tuple[Path, ...]] = {"train": train, "dev": dev, "test": test}
    return {part: _Given(paths) for part, paths in wanted.items() if paths}, ""


def _named(folder: Path, stems: Iterable[str]) -> tuple[Path, ...]:
    there = sorted(path for path in folder.iterdir() if path.is_file())
    for stem in stems:
        wanted = re.compile(re.escape(stem) + _KINDS, re.IGNORECASE)
        if found := tuple(path for path in there if wanted.fullmatch(path.name)):
            return found
    return ()


def _labelled_rows(task: SuiteTask, given: _Given) -> Iterator[Row | None]:
    for path in given.files:
        rows = _rows(path, task.has_header)
        first = next(rows, None)
        if first is None:
            continue
        columns = _columns(task, first, path)
        for row in chain([first], rows):
            if _is_meant(row, given):
                yield _labelled(task, row, columns)


def _rows(path: Path, has_header: bool) -> Iterator[Row]:
    if _COLUMNS.search(path.name):
        yield from _cells(path, has_header)
    else:
        yield from (row.values for row in open_table(path))


def _cells(path: Path, has_header: bool) -> Iterator[Row]:
    """Yield the rows of one of GLUE's tables: nothing is quoted, and some lines are cut short."""
    names: list[str] = []
    with Unpacked(path) as file:
        for line in text_lines(file, path):
            cells = line.rstrip("\r\n").split("\t")
            is_first, names = (
                not names,
                names or (cells if has_header else [str(n) for n in range(1, len(cells) + 1)]),
            )
            if not (is_first and has_header):
                yield dict(zip(names, cells, strict=False))


def _columns(task: SuiteTask, row: Row, path: Path) -> Columns:
    for columns in task.columns:
        if {*columns.texts, *columns.label} <= row.keys():
            return columns
    raise DataError(
        f"{path} has the columns {', '.join(row)}, which are not those of {task.name}: give the "
        "files as GLUE or the hub has them"
    )


def _is_meant(row: Row, given: _Given) -> bool:
    if given.fold:
        column, values, is_taken = given.fold
        return (str(row.get(column)) in values) == is_taken
    if given.ids:
        return ((row.get(_IDS[0]), row.get(_IDS[1])) in given.ids) == given.is_chosen
    return True


def _labelled(task: SuiteTask, row: Row, columns: Columns) -> Row | None:
    """Return a row as a fine-tuning reads it; None where GLUE's own readers leave it out."""
    texts = [str(row.get(name) or "").strip() for name in columns.texts]
    said = row.get(columns.label[0])
    label = _value(said) if task.is_value() else _name(said, task.labels)
    if label is None or not all(texts):
        return None
    return dict(zip(("text", "pair"), texts, strict=False)) | {"label": label}


def _value(said: Any) -> float | None:
    try:
        return float(said)
    except (TypeError, ValueError):
        return None


def _name(said: Any, labels: Sequence[str]) -> str | None:
    """Return a label's name; the hub numbers labels, and writes -1 where nobody knows."""
    if isinstance(said, int):
        return labels[said] if 0 <= said < len(labels) else None
    return said.strip() if isinstance(said, str) and said.strip() in labels else None


def _tagged_rows(_: SuiteTask, given: _Given) -> Iterator[Row | None]:
    for path in given.files:
        for each in read_tagged(path, "train"):
            words = [each.text[start:stop] for start, stop in each.words or ()]
            yield {"tokens": words, "tags": list(each.tags)}


def _asked_rows(_: SuiteTask, given: _Given) -> Iterator[Row | None]:
    for path in given.files:
        yield from (row for row in questions_in(path) if _is_meant(row, given))


def _some(rows: list[Row], most: int) -> list[Row]:
    """Draw rows, always the same ones; what is said in any row is said in one of these if it fits.

    Otherwise a label or tag that is rare would be unknown when it comes in another part.
    """
    order = permuted(np.arange(len(rows)), len(rows), rng.key(0, "some rows")).tolist()
    known: set[Any] = set()
    first: list[int] = []
    rest: list[int] = []
    for number in order:
        told = {*(rows[number].get("tags") or [rows[number].get("label")])}
        (rest if told <= known else first).append(number)
        known |= told
    return [rows[number] for number in sorted([*first, *rest][:most])]


def _write(path: Path, rows: Iterable[Row]) -> None:
    with files.whole_file(path) as aside, aside.open("w", encoding="utf-8") as target:
        target.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


_READERS: dict[str, Callable[[SuiteTask, _Given], Iterator[Row | None]]] = {
    "classify": _labelled_rows,
    "tokens": _tagged_rows,
    "spans": _asked_rows,
}
"""How the files of what a task learns become rows."""
