"""Files of examples in, their rows out: each a mapping of column to value, with where it stands.

Read a row at a time, as often as asked: .csv, .tsv, .jsonl, .json, .parquet, and folders that
`datasets` saved or would load.
"""

import codecs
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Protocol, final

from modernbert.base.errors import DataError, reason_of
from modernbert.data.formats import Unpacked, arrow_rows, parquet_rows
from modernbert.data.table_files import Names, Part, kind_of, part_of

HAS_HEADER: dict[str, bool | None] = {"auto": None, "yes": True, "no": False}
"""What an option says of the first line, as `open_table` takes it."""

_DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 50
"""Rows below the first line that a guess of a header rests on."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Row:
    """One example as it stands in its file."""

    values: Mapping[str, Any]
    where: str
    """File and number of line or row, for sentences about it."""


class RowFiles(Protocol):
    """Rows in files, read as often as asked."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Where they stand."""

    @property
    def bytes_read(self) -> int:
        """Bytes of the files, as they lie on disk, that were read since iteration began."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the files, as they lie on disk."""

    def __iter__(self) -> Iterator[Row]:
        """Yield every row."""


@final
class Table:
    """Rows of one or more files of the same columns; iterate as often as needed.

    Iterating raises DataError where a file is broken, with the number of the line.
    """

    def __init__(self, files: Sequence[Path], *, has_header: bool | None, names: Names) -> None:
        self.files = tuple(files)
        self.class_names = names
        """Names of labels that are written as numbers, by column, where the folder says them."""
        self._has_header = has_header
        self.bytes_read = 0
        """Bytes of the files, as they lie on disk, that were read since iteration began."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the files, as they lie on disk."""
        return sum(path.stat().st_size for path in self.files)

    def columns(self) -> tuple[str, ...]:
        """Name the columns by the first row; those of a file without a header are 1, 2, 3, ...

        Raises:
            DataError: there is no row.
        """
        for row in self:
            return tuple(row.values)
        raise DataError(f"{self.files[0]} holds no row: give a file with examples")

    def __iter__(self) -> Iterator[Row]:
        self.bytes_read = 0
        for path in self.files:
            before = self.bytes_read
            for where, values, position in _READERS[kind_of(path)](path, self._has_header):
                self.bytes_read = before + position
                yield Row(values, where)
            self.bytes_read = before + path.stat().st_size


def open_table(path: Path, part: Part = "train", *, has_header: bool | None = None) -> Table:
    """Open a file, or one part of a folder.

    `has_header` says whether the first line of a .csv or .tsv names the columns; None looks.

    Raises:
        DataError: nothing of a known kind is there.
    """
    files, names = part_of(path, part)
    return Table(files, has_header=has_header, names=names)


_Placed = Iterator[tuple[str, Mapping[str, Any], int]]
"""File and number of line or row, its values, and how many bytes of the file were read."""


def _delimited(path: Path, has_header: bool | None) -> _Placed:
    unpacked = Unpacked(path)
    with unpacked as file:
        rows = _cells(file, path)
        first = next(rows, None)
        if first is None:
            return
        following = list(islice(rows, _LOOKED_AT))
        told = has_header
        if told is None:
            told = _is_header(first[1], [cells for _, cells in following])
        names = _without_gaps(first[1]) if told else [str(n + 1) for n in range(len(first[1]))]
        if len({*names}) < len(names):
            # Who says that there is a header has no use for the other way out.
            way_out = "" if has_header else ", or say --header no if this is an example"
            raise DataError(
                f"{path} names a column twice ({', '.join(names)}): rename one{way_out}"
            )
        for number, cells in chain([] if told else [first], following, rows):
            where = f"{path}, line {number}"
            yield where, _named(names, cells, where), unpacked.position()


def _cells(file: IO[bytes], path: Path) -> Iterator[tuple[int, list[str]]]:
    lines = text_lines(file, path)
    first = next(lines, None)
    if first is None:
        return
    is_tabbed = kind_of(path) == "tsv"
    # Nobody quotes the tables of GLUE, and many of their texts begin with a quotation mark.
    how: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    if not is_tabbed:
        how = {"delimiter": max(_DELIMITERS, key=first.count)}
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(_again(first, lines), strict=not is_tabbed, **how)
    try:
        for cells in reader:
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num} is not as the others ({error}): mend it"
        ) from error


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def text_lines(file: IO[bytes], path: Path) -> Iterator[str]:
    """Yield the lines of a file in UTF-8.

    Raises:
        DataError: a line is in another encoding.
    """
    for number, line in enumerate(file, start=1):
        if number == 1:
            if line.startswith(_UTF16):
                raise DataError(f"{path} is UTF-16: save it as UTF-8")
            if b"\0" in line:
                raise DataError(f"{path} holds zero bytes, as UTF-16 does: save it as UTF-8")
            if b"\r" in line and not line.endswith(b"\n"):
                raise DataError(
                    f"{path} ends its lines with carriage returns alone: save it with line feeds"
                )
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, line {number} is not UTF-8: save the file as UTF-8"
            ) from error


def _named(names: Sequence[str], cells: Sequence[str], where: str) -> dict[str, str]:
    if len(cells) > len(names) and not any(cells[len(names) :]):
        cells = cells[: len(names)]
    if len(cells) != len(names):
        raise DataError(
            f"{where} has {len(cells)} columns and the first line {len(names)}: "
            "mend it (cells with the delimiter inside are quoted in .csv, and cannot be in .tsv)"
        )
    return dict(zip(names, cells, strict=True))


def _without_gaps(cells: Sequence[str]) -> Sequence[str]:
    """Leave out empty cells at the end: spreadsheets write them for columns that were emptied."""
    last = max((at for at, cell in enumerate(cells) if cell.strip()), default=0)
    return cells[: last + 1]


def _is_header(first: Sequence[str], following: Sequence[Sequence[str]]) -> bool:
    """Guess whether a line names columns: it has no number, and no gap but at its very begin.

    There pandas writes the index of its rows, which has no name. What stands below a name again is
    none: it is a label, or a text that comes twice.
    """
    if not any(any(row[len(_without_gaps(first)) :]) for row in following):
        first = _without_gaps(first)
    names = first[1:] if len(first) > 1 and not first[0].strip() else first
    if not all(cell.strip() and not _is_number(cell) for cell in names):
        return False
    return not any(
        cell and cell == name for row in following for name, cell in zip(first, row, strict=False)
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _json_lines(path: Path, _: bool | None) -> _Placed:
    unpacked = Unpacked(path)
    with unpacked as file:
        for number, line in enumerate(text_lines(file, path), start=1):
            if not line.isspace():
                where = f"{path}, line {number}"
                yield where, _json(line, where), unpacked.position()


def _json(line: str, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({reason_of(error)}): mend or remove it") from error
    if not isinstance(value, dict):
        raise DataError(f"{where} is no object with keys: mend or remove it")
    return value


def _json_list(path: Path, _: bool | None) -> _Placed:
    with Unpacked(path) as file:
        data = file.read()
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        if not _is_object(data.partition(b"\n")[0]):
            raise DataError(f"{path} is not JSON ({reason_of(error)}): mend it") from error
        # `datasets` and others write an object a line, whatever the name of the file is.
        yield from _json_lines(path, None)
        return
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} is no list of objects: give one, or an object a line in a .jsonl")
    yield from _numbered(path, rows)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _parquet(path: Path, _: bool | None) -> _Placed:
    yield from _numbered(path, parquet_rows(path))


def _arrow(path: Path, _: bool | None) -> _Placed:
    yield from _numbered(path, arrow_rows(path))


def _numbered(path: Path, rows: Iterable[Mapping[str, Any]]) -> _Placed:
    for number, row in enumerate(rows, start=1):
        yield f"{path}, row {number}", row, 0


_READERS: dict[str, Callable[[Path, bool | None], _Placed]] = {
    "csv": _delimited,
    "tsv": _delimited,
    "lines": _json_lines,
    "json": _json_list,
    "parquet": _parquet,
    "arrow": _arrow,
}
