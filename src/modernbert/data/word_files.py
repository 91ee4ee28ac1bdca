"""A file of plain lines in, whether they are words in columns or running text out, and its texts.

Words in columns are those of CoNLL: the word first, its tag last, a blank line after a sentence.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import final

from modernbert.data.formats import Unpacked
from modernbert.data.table import Row, text_lines

COLUMN_FILES = (".conll", ".iob", ".bio", ".txt", ".tsv")
WORDS = ("tokens", "words")
"""Columns of lists of words."""

_START_OF_DOCUMENT = "-DOCSTART-"
_LOOKED_AT = 1000
"""Lines that tell what a file holds."""
_MOST_COLUMNS = 5
"""Columns between blanks; more are running text whose lines happen to have as many words."""
_LONG_WORD = 15
"""Characters."""
# O, B-place, NNP, PRP$ or a full stop: what stands behind a word, and seldom ends a sentence.
_TAG = re.compile(r"[BIOESLUMW](?:-\S+)?|[A-Z0-9_|+$.,:`'\"()#/-]+")


def cells_of(line: str) -> list[str]:
    """Return the columns of a line, none where a sentence ends."""
    if not line.strip():
        return []
    cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
    return [] if cells[0] == _START_OF_DOCUMENT else cells


def is_comment(line: str) -> bool:
    """Return whether a line may be a comment as CoNLL-U has them, or else a word with its tag."""
    return line.startswith("# ")


def is_of_words(path: Path) -> bool:
    """Return whether a file has a word a line, by its name and its first lines.

    A .tsv or .txt has if all lines have equally many columns and no running text in them; a .tsv
    whose first line names its texts is a table.

    Raises:
        DataError: a line is in another encoding.
    """
    if not is_of_lines(path):
        return False
    if is_called_words(path):
        return True
    with Unpacked(path) as file:
        lines = list(islice(text_lines(file, path), _LOOKED_AT))
    names = {*"".join(lines[:1]).strip().lower().split("\t")}
    is_table = _is_called(path, (".tsv",)) and bool(names & {"text", "sentence", *WORDS})
    return not is_table and _are_words(lines)


def is_of_lines(path: Path) -> bool:
    """Return whether a file may have a word a line, by its name."""
    return path.is_file() and _is_called(path, COLUMN_FILES)


def is_called_words(path: Path) -> bool:
    """Return whether a file has a word a line and is nothing else, by its name alone."""
    return is_of_lines(path) and not _is_called(path, (".txt", ".tsv"))


def is_plain_text(path: Path) -> bool:
    """Return whether a file is one of plain text, by its name."""
    return path.is_file() and _is_called(path, (".txt",))


@final
class LineFile:
    """Rows made of the lines of one file; iterate as often as needed."""

    def __init__(self, path: Path, read: Callable[[Unpacked, Path], Iterator[Row]]) -> None:
        """Read the file by a function from it and its path to its rows."""
        self.files = (path,)
        self.bytes_read = 0
        self._read = read

    @property
    def size_bytes(self) -> int:
        """Bytes of the file, as it lies on disk."""
        return self.files[0].stat().st_size

    def __iter__(self) -> Iterator[Row]:
        unpacked = Unpacked(self.files[0])
        for row in self._read(unpacked, self.files[0]):
            self.bytes_read = unpacked.position()
            yield row


def text_file(path: Path) -> LineFile:
    """Return rows of `text` from a file of running text: each line that is not blank is one."""
    return LineFile(path, _texts)


def _texts(unpacked: Unpacked, path: Path) -> Iterator[Row]:
    with unpacked as file:
        for number, line in enumerate(text_lines(file, path), start=1):
            if line.strip():
                yield Row({"text": line.rstrip("\r\n")}, f"{path}, line {number}")


def _is_called(path: Path, ends: tuple[str, ...]) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(ends)


def _are_words(lines: Sequence[str]) -> bool:
    given = [cells_of(line) for line in lines if not is_comment(line)]
    places = [at for at, cells in enumerate(given) if cells]
    rows = [given[at] for at in places]
    if len({len(cells) for cells in rows}) != 1:
        return False
    if any("\t" in line for line in lines):
        # A word may have a blank in it, a tag has none, and rows of a table stand without gaps.
        is_parted = len(places) <= places[-1] - places[0]
        return not any(_has_blank(cells[1:] if is_parted else cells) for cells in rows)
    tags = [cells[-1] for cells in rows]
    if len(rows[0]) == 1:
        # Running text without blanks, as Chinese is written, has lines longer than words are.
        return median(map(len, tags)) <= _LONG_WORD
    is_tagged = all(map(_TAG.fullmatch, tags)) and any(tag[0].isalpha() for tag in tags)
    return is_tagged and len(rows[0]) <= _MOST_COLUMNS


def _has_blank(cells: Sequence[str]) -> bool:
    return any(len(cell.split()) > 1 for cell in cells)
