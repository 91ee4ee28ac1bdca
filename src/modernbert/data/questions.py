"""Rows of questions about texts in, each with the answers that stand in its text out.

SQuAD's own files (articles of paragraphs of questions), and rows of a table with a context, a
question and answers.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from modernbert.base.errors import DataError
from modernbert.data.columns import Columns
from modernbert.data.examples import texts_in
from modernbert.data.table import Row, open_table
from modernbert.data.table_files import Part

_CONTEXTS = ("context", "passage", "paragraph", "document", "article", "text", "content", "body")
_QUESTIONS = ("question", "query")
_ANSWERS = ("answers", "answer", "answer_text", "label")
_STARTS = ("answer_start", "answer_starts", "start")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the text that may answer it, and where it does."""

    text: str
    context: str
    answers: tuple[tuple[int, int], ...]
    """Where each answer begins and ends, in characters of the context; none where it has none."""
    where: str
    num_moved: int = 0
    """Answers that stand elsewhere than their `answer_start` says."""


def read_questions(path: Path, part: Part, given: Columns) -> Iterator[Question]:
    """Yield the questions of a file or folder, in order.

    `given` names the columns of contexts (text), questions (pair) and answers (label), where they
    cannot be told by their names.

    Raises:
        DataError: a row lacks something, or an answer is not in its context.
    """
    table = open_table(path, part)
    first = list(islice(question_rows(table), 1))
    if not first:
        raise DataError(f"{path} holds no row: give a file with examples")
    columns = asked_columns(given, first[0])
    label = (*columns.label, *_named(first[0], _ANSWERS))[:1]
    if not label:
        raise DataError(
            f"{path} has the columns {', '.join(first[0].values)}, and none is seen to hold "
            "answers: name it with --label"
        )
    for row in question_rows(table):
        context, question = texts_in(row, columns)
        placed = list(_answers(row, label[0], context))
        answers = tuple(dict.fromkeys((begin, end) for begin, end, _ in placed))
        num_moved = sum(is_moved for *_, is_moved in placed)
        yield Question(question, context, answers, row.where, num_moved)


def question_rows(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield one row a question, also of SQuAD's nested articles."""
    for row in rows:
        if "paragraphs" in row.values:
            yield from _of_article(row)
        else:
            yield row


def asked_columns(given: Columns, row: Row) -> Columns:
    """Fill in which columns hold contexts (text) and questions (pair).

    Raises:
        DataError: a named column is not there, or none is seen to be meant.
    """
    for name in (given.text, given.pair, *given.label):
        if name and name not in row.values:
            raise DataError(
                f"{row.where} has no column {name!r} (it has {', '.join(row.values)}): name one of "
                "these"
            )
    text = given.text or next(iter(_named(row, _CONTEXTS)), "")
    question = given.pair or next(iter(_named(row, _QUESTIONS)), "")
    if not (text and question):
        raise DataError(
            f"{row.where} has the columns {', '.join(row.values)}, and none is seen to hold "
            f"{'questions' if text else 'contexts'}: name both, with --text CONTEXT --pair QUESTION"
        )
    return Columns(text, question, given.label)


def _of_article(row: Row) -> Iterator[Row]:
    paragraphs = row.values["paragraphs"]
    if not isinstance(paragraphs, list):
        raise DataError(f"{row.where}: its paragraphs are no list: give SQuAD's form")
    for number, paragraph in enumerate(paragraphs, start=1):
        where = f"{row.where}, paragraph {number}"
        asked = paragraph.get("qas") if isinstance(paragraph, dict) else None
        if not isinstance(asked, list) or not all(isinstance(each, dict) for each in asked):
            raise DataError(f"{where} has no list of qas: give SQuAD's form")
        for count, each in enumerate(asked, start=1):
            rest = {"context": paragraph.get("context"), "answers": []}
            yield Row({**rest, **each}, f"{where}, question {count}")


def _named(row: Row, names: Sequence[str]) -> list[str]:
    found = {name.strip().lower(): name for name in reversed(list(row.values))}
    return [found[name] for name in names if name in found]


def _answers(row: Row, name: str, context: str) -> Iterator[tuple[int, int, bool]]:
    """Yield where answers stand, blanks around them left out, and whether not where they say."""
    if row.values.get("is_impossible") is True:
        return
    for text, start in _spelled(row, name):
        if not text.strip():
            continue
        at = _found(text, start, context)
        if at is None:
            raise DataError(
                f"{row.where}: the answer {text[:60]!r} is not in its context: answers are copied "
                "from it letter by letter, and no answer is an empty list"
            )
        begin = at + len(text) - len(text.lstrip())
        yield begin, begin + len(text.strip()), start is not None and start != at


def _spelled(row: Row, name: str) -> Iterator[tuple[str, int | None]]:
    """Yield an answer's text and where it is said to begin, from any of the usual forms."""
    value = row.values.get(name)
    if isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start")
        texts = [texts] if isinstance(texts, str) else list(texts or [])
        starts = [starts] if isinstance(starts, int) else list(starts or [None] * len(texts))
        pairs = list(zip(texts, starts, strict=False))
    elif isinstance(value, list):
        pairs = [
            (each.get("text"), each.get("answer_start")) if isinstance(each, dict) else (each, None)
            for each in value
        ]
    else:
        begin = next(iter(_named(row, _STARTS)), None)
        pairs = [("" if value is None else value, row.values.get(begin) if begin else None)]
    for text, start in pairs:
        if not isinstance(text, str):
            raise DataError(
                f"{row.where}: {name!r} is {str(value)[:60]!r}: give a text, a list of them, or "
                '{"text": [...], "answer_start": [...]}'
            )
        yield text, _whole(start)


def _whole(start: Any) -> int | None:
    """Read a place from a number, or from a cell of a .csv."""
    try:
        value = float(start)
    except (TypeError, ValueError):
        return None
    return int(value) if math.isfinite(value) else None


def _found(text: str, start: int | None, context: str) -> int | None:
    """Return where an answer begins: where it is said to, else the nearest place that has it."""
    if start is None:
        at = context.find(text)
        return at if at >= 0 else None
    if context[start : start + len(text)] == text and start >= 0:
        return start
    before, after = context.rfind(text, 0, start + len(text)), context.find(text, max(start, 0))
    places = [at for at in (before, after) if at >= 0]
    return min(places, key=lambda at: abs(at - start)) if places else None
