"""Files of words with tags, or of texts with spans, in; texts with the spans in them out.

Words in columns (CoNLL: the word first, its tag last, a blank line after a sentence), or rows of a
table with `tokens` and `tags`, or with `text` and `spans`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernbert.base.errors import DataError
from modernbert.data.examples import check_unicode, checked_text
from modernbert.data.formats import Unpacked
from modernbert.data.table import Row, open_table, text_lines
from modernbert.data.table_files import Part
from modernbert.data.tags import OUTSIDE, TagSpan, bio, is_chunked, spans_of
from modernbert.data.word_files import COLUMN_FILES, WORDS, LineFile, cells_of, is_comment

_TAGS = ("tags", "ner_tags", "chunk_tags", "pos_tags", "labels")
_SPANS = ("spans", "entities", "labels", "label")


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text, the words that are labelled one by one, and their tags."""

    text: str
    words: tuple[tuple[int, int], ...] | None
    """Where each word begins and ends, in characters; None where the text was not cut."""
    tags: tuple[str, ...]
    """A tag a word."""
    spans: tuple[TagSpan, ...]
    """Where the text was not cut: spans of characters."""
    where: str


def read_tagged(path: Path, part: Part) -> Iterator[Tagged]:
    """Yield the sentences or texts of a file or folder, in order.

    Raises:
        DataError: a line or row is broken, or has no tags.
    """
    if path.is_file() and path.name.lower().removesuffix(".gz").endswith(COLUMN_FILES):
        yield from _sentences(path)
        return
    table = open_table(path, part)
    for row in table:
        yield _of_row(row, table.class_names)


def from_words(words: Sequence[str], tags: Sequence[str], where: str) -> Tagged:
    """Join words by blanks, as running text has them."""
    places, at = [], 0
    for word in words:
        places.append((at, at + len(word)))
        at += len(word) + 1
    return Tagged(" ".join(words), tuple(places), tuple(tags), (), where)


def in_one_scheme(given: Sequence[Tagged]) -> list[Tagged]:
    """Return the same with tags as BIO, where they say spans at all."""
    if not is_chunked(tag for each in given for tag in each.tags):
        return list(given)
    return [
        Tagged(
            each.text,
            each.words,
            tuple(bio(spans_of(each.tags), len(each.tags))),
            each.spans,
            each.where,
        )
        for each in given
    ]


def word_file(path: Path) -> LineFile:
    """Return rows of `tokens`, and `tags` where they are told, from a file of words in columns."""
    return LineFile(path, _words)


def _words(unpacked: Unpacked, path: Path) -> Iterator[Row]:
    for first, lines in _grouped(unpacked, path, fewest=1):
        values = {"tokens": [cells[0] for cells in lines]}
        if len(lines[0]) > 1:
            values["tags"] = [cells[-1].strip() for cells in lines]
        yield Row(values, f"{path}, line {first}")


def words_in(row: Row) -> list[str] | None:
    """Return the words of a row that was cut already, None where it was not.

    Raises:
        DataError: a word holds what is no character.
    """
    name = _first(row, WORDS)
    words = row.values[name] if name else None
    if name is None or not isinstance(words, list):
        return None
    found = [str(word) for word in words]
    check_unicode(" ".join(found), name, row.where)
    return found


def _sentences(path: Path) -> Iterator[Tagged]:
    for first, lines in _grouped(Unpacked(path), path, fewest=2):
        words, tags = [cells[0] for cells in lines], [cells[-1].strip() for cells in lines]
        yield from_words(words, tags, f"{path}, line {first}")


def _grouped(file: Unpacked, path: Path, *, fewest: int) -> Iterator[tuple[int, list[list[str]]]]:
    """Yield the lines of each sentence, cut into columns, with the number of the first."""
    lines: list[list[str]] = []
    first = 0
    for number, cells in _cells(file, path, fewest):
        if cells:
            first = first if lines else number
            lines.append(cells)
        elif lines:
            yield first, lines
            lines = []


def _cells(unpacked: Unpacked, path: Path, fewest: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the columns of each line, none where a sentence ends and behind the last one."""
    columns = number = 0
    with unpacked as file:
        for number, line in enumerate(text_lines(file, path), start=1):
            cells = cells_of(line)
            if not cells:
                yield number, []
            elif len(cells) == columns or not is_comment(line):
                columns = columns or len(cells)
                _check(cells, max(columns, fewest), f"{path}, line {number}")
                yield number, cells
        yield number, []


def _check(cells: list[str], columns: int, where: str) -> None:
    if len(cells) != columns:
        raise DataError(
            f"{where} has {len(cells)} columns, not {columns}: a line is a word, then its tag "
            "behind it, as in all others; running text goes into a .jsonl with a column text"
        )
    if not cells[0]:
        raise DataError(f"{where} has a tag without a word: complete it, or remove the line")
    if columns > 1:
        _check_tag(cells[-1], where)


def _of_row(row: Row, class_names: Mapping[str, Sequence[str]]) -> Tagged:
    words = _first(row, WORDS)
    if words is not None:
        return _of_words(row, words, class_names)
    text, name = row.values.get("text"), _first(row, _SPANS)
    if not isinstance(text, str) or name is None:
        raise DataError(
            f"{row.where} has {', '.join(row.values)}: give `tokens` and `tags`, or `text` and "
            "`spans`"
        )
    listed = row.values[name] or []
    spans = [_span(each, text, row.where) for each in listed] if isinstance(listed, list) else None
    if spans is None:
        raise DataError(f"{row.where}: {name!r} is no list of spans")
    checked_text(text, "text", row.where)
    return Tagged(text, None, (), tuple(sorted(spans)), row.where)


def _of_words(row: Row, name: str, class_names: Mapping[str, Sequence[str]]) -> Tagged:
    words, tags_name = row.values[name], _first(row, _TAGS)
    tags = row.values[tags_name] if tags_name else None
    if not isinstance(words, list) or not isinstance(tags, list) or len(words) != len(tags):
        raise DataError(f"{row.where}: {name!r} and its tags are no two lists of one length")
    names = class_names.get(tags_name or "", ())
    spelled = [_spelled(tag, names, row.where) for tag in tags]
    found = from_words([str(word) for word in words], spelled, row.where)
    checked_text(found.text, name, row.where)
    return found


def _spelled(tag: Any, names: Sequence[str], where: str) -> str:
    if isinstance(tag, int) and not isinstance(tag, bool) and names:
        if not 0 <= tag < len(names):
            raise DataError(f"{where} has label {tag}, and the folder names {len(names)}")
        return names[tag]
    _check_tag(tag, where)
    return str(tag).strip()


def _check_tag(tag: Any, where: str) -> None:
    """Refuse a gap, NaN among them: tables have it where nothing was."""
    is_nan = isinstance(tag, float) and math.isnan(tag)
    if tag is None or is_nan or not str(tag).strip():
        raise DataError(f"{where} has a word without a tag: complete it, {OUTSIDE} is none")


def _span(given: Any, text: str, where: str) -> TagSpan:
    """Read {"start", "end", "label"}, or a list of these three."""
    if isinstance(given, Mapping):
        label = next((given[key] for key in ("label", "type", "tag") if key in given), None)
        given = [given.get("start"), given.get("end"), label]
    is_known = isinstance(given, list) and len(given) == 3
    is_whole = is_known and all(type(place) is int for place in given[:2])
    is_named = is_known and isinstance(given[2], str | int) and str(given[2]).strip()
    if not is_whole or not is_named or not 0 <= given[0] < given[1] <= len(text):
        raise DataError(
            f"{where} has the span {given!r}: give start, end and label, places in the text's "
            f"{len(text)} characters"
        )
    return TagSpan(given[0], given[1], str(given[2]))


def _first(row: Row, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in row.values), None)
