"""Evaluation sets in, the texts of their examples out, each with where it stands."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modernbert.base.errors import DataError
from modernbert.base.records import nearest
from modernbert.data.documents import Reader, find
from modernbert.data.table import Row, open_table
from modernbert.data.table_files import kind_of

_PACKINGS = ("", ".gz", ".zst")
_BEIR = ("queries.jsonl", "corpus.jsonl")
_IDS = ("_id", "id", "query-id", "corpus-id", "path")


@dataclass(frozen=True, slots=True)
class Example:
    """A text of an evaluation set."""

    where: str
    """File and number, with its id where it has one."""
    text: str


def examples_of(name: str, paths: Sequence[Path], columns: Sequence[str]) -> Iterator[Example]:
    """Yield the texts of a set: queries and documents of a folder in BEIR's layout, else all files.

    Raises:
        DataError: a file cannot be read, lacks a column, or all of them hold no text.
    """
    is_empty = True
    for path in paths:
        for file in _files(path):
            for example in _plain(file) if _is_plain(file) else _rows(file, columns):
                is_empty = False
                yield example
    if is_empty:
        where = ", ".join(map(str, paths))
        raise DataError(
            f"the evaluation set {name!r} holds no text ({where}): give another path, or name its "
            "columns with --columns"
        )


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise DataError(f"{path} does not exist: give a file or a folder with text")
    if path.is_file():
        return [path]
    beir = [path / f"{name}{packing}" for name in _BEIR for packing in _PACKINGS]
    if there := [file for file in beir if file.is_file()]:
        return there
    files = [file for file, _ in find([path]).files]
    return [file for file in files if _is_plain(file) or _is_table(file)]


def _is_plain(path: Path) -> bool:
    return path.name.lower().endswith((".txt", ".txt.gz"))


def _is_table(path: Path) -> bool:
    try:
        return bool(kind_of(path))
    except DataError:
        return False


def _plain(path: Path) -> Iterator[Example]:
    """Yield the paragraphs of a text: what stands between empty lines."""
    reader = Reader([(path, path.name)], invalid_utf8="replace", key="text")
    number = 0
    for document in reader:
        for paragraph in document.text.replace("\r\n", "\n").split("\n\n"):
            if paragraph.strip():
                number += 1
                yield Example(f"{path.name}, paragraph {number}", paragraph)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Example]:
    for number, row in enumerate(open_table(path), start=1):
        named = next((str(row.values[key]) for key in _IDS if key in row.values), "")
        where = f"{path.name}:{number}" + (f" ({named})" if named else "")
        for text in _texts(row, columns):
            if text.strip():
                yield Example(where, text)


def _texts(row: Row, columns: Sequence[str]) -> list[str]:
    values: Mapping[str, object] = row.values
    named = [name for name in columns if name in values]
    if columns and not named:
        raise DataError(
            f"{row.where} has no column {columns[0]!r}: {nearest(columns[0], values)}; --columns "
            "names those that hold the texts of evaluation sets"
        )
    return [value for name in named or values if isinstance(value := values[name], str)]
