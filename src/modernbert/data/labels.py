"""Labels as files spell them in, what a model learns out: a number, several, or a value."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from modernbert.base.errors import DataError

Problem = Literal["single_label", "multi_label", "regression"]

_SHOWN = 8
_MOST_CLASSES = 1000
_FEW_CLASSES = 10
"""So many may come once each: small files are written to try things out."""
_FEWEST_PLACES = 2
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no", "")


@dataclass(frozen=True, slots=True)
class Said:
    """What one row says of its label."""

    value: Any
    """As the file has it; for several columns, a mapping of their names to their values."""
    where: str


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
        return self._row(_spelled(said, self.class_names), said)

    def marks(self, said: Said) -> list[float]:
        """Return 1 for each label that a text has, else 0, in the order of the names.

        Raises:
            DataError: a label is none of these, or a list by place is not of 0 and 1 for each.
        """
        if self.is_by_place:
            return _by_place(said, len(self.names))
        marks = [0.0] * len(self.names)
        for name in _several(said, self.class_names):
            marks[self._row(name, said)] = 1.0
        return marks

    def value(self, said: Said) -> float:
        """Return a text's number.

        Raises:
            DataError: it is none, or not finite.
        """
        return _number(said)

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
        if len({_number(row) for row in rows}) < 2:
            raise DataError(f"{column} has one value in all rows: there is nothing to learn")
        return LabelSet("regression", (column,))
    named = tuple(class_names)
    places = _num_places(rows) if problem == "multi_label" else 0
    if places:
        names = named if len(named) == places else tuple(map(str, range(places)))
        found = Counter(names[n] for row in rows for n, mark in enumerate(row.value) if mark)
    elif problem == "multi_label":
        found = Counter(name for row in rows for name in _several(row, named))
        columns = rows[0].value if isinstance(rows[0].value, Mapping) else {}
        names = named or tuple(columns) or _ordered(found)
    else:
        found = Counter(_spelled(row, named) for row in rows)
        _check_gaps(found, rows)
        names = named or _ordered(found)
    _check(found, column, problem)
    if is_guessed and problem == "single_label" and not named:
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
        raise _unlabelled(next(row for row in rows if str(row.value).strip() in gaps))


def _unlabelled(said: Said) -> DataError:
    return DataError(
        f"{said.where} has no label ({said.value!r}): complete it, leave the row out, or say "
        "--problem multi_label where a text may have none"
    )


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
    values = [row.value for row in rows]
    if any(isinstance(value, list | Mapping) for value in values) or _have_bars(values):
        return "multi_label"
    is_value = any(_is_fraction(value) for value in values) and all(map(_is_number, values))
    is_mark = is_value and {float(value) for value in values} == {0.0, 1.0}
    return "regression" if is_value and not is_mark and not has_names else "single_label"


def _have_bars(values: Sequence[Any]) -> bool:
    """Return whether bars part labels that are fewer than the texts which they are parts of."""
    whole = {value.strip() for value in values if isinstance(value, str) and value.strip()}
    parts = {part.strip() for text in whole for part in text.split("|") if part.strip()}
    return len(parts) < len(whole)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_fraction(value: Any) -> bool:
    """Return whether something is spelled as a number with a fraction, as 3.0 is."""
    if isinstance(value, float):
        return True
    return isinstance(value, str) and "." in value and _is_number(value)


def _number(said: Said) -> float:
    try:
        value = math.nan if isinstance(said.value, bool) else float(said.value)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        text = str(said.value).strip()
        pointed = text.replace(",", ".")
        has_comma = pointed != text and _is_number(pointed)
        way_out = f": write it with a point, {pointed}" if has_comma else ""
        raise DataError(
            f"{said.where} has the value {said.value!r}, which is no finite number{way_out}"
        )
    return value


def _spelled(said: Said, class_names: Sequence[str]) -> str:
    value = said.value
    if isinstance(value, list | Mapping):
        raise DataError(
            f"{said.where} has several labels ({json.dumps(value)[:80]}), and one is learned: "
            "say --problem multi_label"
        )
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if class_names and isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(class_names):
            raise DataError(
                f"{said.where} has label {value}, and the folder names {len(class_names)}: "
                "copy it again"
            )
        return class_names[value]
    name = "" if value is None else str(value).strip()
    if not name or isinstance(value, float):
        raise _unlabelled(said)
    return name


def _several(said: Said, class_names: Sequence[str]) -> list[str]:
    """List the labels of a text: of a list, of several columns, or of a text with bars in it."""
    value = said.value
    if isinstance(value, Mapping):
        return [name for name, mark in value.items() if _is_marked(mark, name, said.where)]
    if value is None or value == "":
        return []
    values = value if isinstance(value, list) else [*filter(None, str(value).split("|"))]
    return [_spelled(Said(each, said.where), class_names) for each in values]


def _num_places(rows: Sequence[Said]) -> int:
    """Return how many places all rows have, 0 where they are no lists of 0 and 1 by place.

    A list of names never repeats one, so [0, 1] and [1, 0] alone may be names.
    """
    lengths = {len(row.value) if _are_marks(row.value) else 0 for row in rows}
    if len(lengths) > 1 or 0 in lengths:
        return 0
    return lengths.pop() if any(len({*row.value}) < len(row.value) for row in rows) else 0


def _are_marks(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < _FEWEST_PLACES:
        return False
    return all(isinstance(mark, int | float) and mark in (0, 1) for mark in value)


def _by_place(said: Said, number: int) -> list[float]:
    if not _are_marks(said.value) or len(said.value) != number:
        raise DataError(
            f"{said.where} has {said.value!r:.80}, and labels have a place each: give a list of "
            f"{number} numbers, each 0 or 1"
        )
    return [float(mark) for mark in said.value]


def _is_marked(mark: Any, name: str, where: str) -> bool:
    text = "" if mark is None else str(mark).strip().lower().removesuffix(".0")
    if text not in (*_YES, *_NO):
        raise DataError(f"{where}: column {name!r} has {mark!r}: a label's column has 0 or 1")
    return text in _YES


def _ordered(found: Iterable[str]) -> tuple[str, ...]:
    names = {*found}
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ... ({len(names)} in all)"
