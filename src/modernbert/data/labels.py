"""What rows say of their labels in, what a model learns out: a number, several, or a value."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from modernbert.base.errors import DataError
from modernbert.data.said import (
    Said,
    is_fraction,
    is_gap,
    is_number,
    label_of,
    labels_of,
    marks_of,
    num_places,
    number_of,
    unlabelled,
)

Problem = Literal["single_label", "multi_label", "regression"]

_SHOWN = 8
_MOST_CLASSES = 1000
_COMMA = re.compile(r"[+-]?\d+,\d+")
_FEW_CLASSES = 10
"""So many may come once each: small files are written to try things out."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """What can be said of a text."""

    problem: Problem
    names: tuple[str, ...]
    """In the order of the classifier's rows; of a regression, the name of the column."""
    class_names: tuple[str, ...] = ()
    """Names of labels that files write as numbers, where a folder says them."""
    is_by_place: bool = False
    """Whether a row is a list of 0 and 1 with a place for each label, not a list of its labels."""

    def number(self, said: Said) -> int:
        """Return the row of a text's one label.

        Raises:
            DataError: the label is empty, or none of these.
        """
        return self._row(label_of(said, self.class_names), said)

    def marks(self, said: Said) -> list[float]:
        """Return 1 for each label that a text has, else 0, in the order of the names.

        Raises:
            DataError: a label is none of these, or a list by place is not of 0 and 1 for each.
        """
        if self.is_by_place:
            return marks_of(said, len(self.names))
        marks = [0.0] * len(self.names)
        for name in labels_of(said, self.class_names):
            marks[self._row(name, said)] = 1.0
        return marks

    def value(self, said: Said) -> float:
        """Return a text's number.

        Raises:
            DataError: it is none, or not finite.
        """
        return number_of(said)

    def _row(self, name: str, said: Said) -> int:
        if name not in self.names:
            raise DataError(
                f"{said.where} has the label {name!r}, which training has not: known are "
                f"{_listed(self.names)}"
            )
        return self.names.index(name)


def learn(
    said: Iterable[Said], column: str, problem: Problem | None, class_names: Sequence[str] = ()
) -> LabelSet:
    """Say what the labels of training rows are; without a `problem` their form decides.

    Numbers with a fraction are values; lists, texts with bars between labels that come again, and
    several columns are several labels; all else is one label, 0.0 and 1.0 too, which is how tables
    with gaps spell 0 and 1. Whole numbers are sorted as numbers, words as words. Lists of 0 and 1
    that are all of one length, and of which one repeats a value, have a place for each label.

    Raises:
        DataError: a label is missing, all are the same, or they are not of this problem.
    """
    rows = list(said)
    is_guessed = problem is None
    problem = problem or _guessed(rows, bool(class_names))
    if problem == "regression":
        if len({number_of(row) for row in rows}) < 2:
            raise DataError(f"{column} has one value in all rows: there is nothing to learn")
        return LabelSet("regression", (column,))
    named = tuple(class_names)
    places = num_places(rows) if problem == "multi_label" else 0
    if places:
        names = named if len(named) == places else tuple(map(str, range(places)))
        found = Counter(names[n] for row in rows for n, mark in enumerate(row.value) if mark)
    elif problem == "multi_label":
        found = Counter(name for row in rows for name in labels_of(row, named))
        columns = rows[0].value if isinstance(rows[0].value, Mapping) else {}
        names = named or tuple(columns) or _ordered(found)
    else:
        found = Counter(label_of(row, named) for row in rows)
        _check_gaps(found, rows)
        names = named or _ordered(found)
    _check(found, column, problem)
    if is_guessed and problem == "single_label" and not named:
        _check_commas(found, column)
        _check_that_they_repeat(found, column)
    return LabelSet(problem, names, () if places else named, bool(places))


def gaps(names: Sequence[str]) -> list[int]:
    """Return the whole numbers that are missing between labels that are all whole numbers."""
    if not names or not all(name.isdecimal() for name in names):
        return []
    present = {int(name) for name in names}
    if max(present) > _MOST_CLASSES:
        return []
    return [number for number in range(max(present)) if number not in present and number >= 0]


def _check_gaps(found: Counter[str], rows: Sequence[Said]) -> None:
    """Refuse `nan` between numbers: there it is a gap, between words it may be a word."""
    gaps = {name for name in found if name.lower() == "nan"}
    if gaps and all(name.isdecimal() for name in found if name not in gaps):
        raise unlabelled(next(row for row in rows if str(row.value).strip() in gaps))


def _check(found: Counter[str], column: str, problem: Problem) -> None:
    if problem == "single_label" and len(found) < 2:
        raise DataError(
            f"{column} says {next(iter(found))!r} in all rows: there is nothing to tell apart, so "
            "give rows of two labels or more"
        )
    if not found:
        raise DataError(f"{column} says no label in any row: there is nothing to learn")
    if len(found) > _MOST_CLASSES:
        raise DataError(
            f"{column} says {len(found)} different labels, such as {_listed([*found])}: name "
            "another column, or say that it holds numbers with --problem regression"
        )


def _check_commas(found: Counter[str], column: str) -> None:
    """Refuse numbers with a comma for a point, as many spreadsheets write them."""
    if all(_COMMA.fullmatch(name) or is_number(name) for name in found):
        shown = next((name for name in found if _COMMA.fullmatch(name)), None)
        if shown is not None:
            raise DataError(
                f"{column} says {shown!r}: write {shown.replace(',', '.')}, or say that these are "
                "labels with --problem single_label"
            )


def _check_that_they_repeat(found: Counter[str], column: str) -> None:
    """Refuse a label of its own for most rows: it is a text, a number or the name of a row."""
    number, rows = len(found), found.total()
    if number > _FEW_CLASSES and number > rows / 2:
        raise DataError(
            f"{column} says {number} different labels in {rows} rows, such as {_listed([*found])}: "
            "name another column, say that it holds numbers with --problem regression, or that "
            "these are labels with --problem single_label"
        )


def _guessed(rows: Sequence[Said], has_names: bool) -> Problem:
    # A gap between numbers with a fraction is a number that is missing, not a text without a label.
    values = [row.value for row in rows if not is_gap(row.value)]
    if any(isinstance(value, list | Mapping) for value in values) or _have_bars(values):
        return "multi_label"
    is_value = any(is_fraction(value) for value in values) and all(map(is_number, values))
    is_mark = is_value and {float(value) for value in values} == {0.0, 1.0}
    return "regression" if is_value and not is_mark and not has_names else "single_label"


def _have_bars(values: Sequence[Any]) -> bool:
    """Return whether bars part labels that are fewer than the texts which they are parts of."""
    whole = {value.strip() for value in values if isinstance(value, str)}
    parts = {part.strip() for text in whole for part in text.split("|") if part.strip()}
    return any("|" in text for text in whole) and len(parts) < len(whole)


def _ordered(found: Iterable[str]) -> tuple[str, ...]:
    names = {*found}
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ... ({len(names)} in all)"
