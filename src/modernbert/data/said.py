"""What a row says of its label in; a name, several names, marks or a number out."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modernbert.base.errors import DataError

_YES, _NO = ("1", "true", "yes"), ("0", "false", "no", "")
_FEWEST_PLACES = 2
_WHOLE = re.compile(r"[0-9]+\.0")
"""How tables with gaps spell whole numbers."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one row says of its label."""

    value: Any
    """As the file has it; for several columns, a mapping of their names to their values."""
    where: str


def is_number(value: Any) -> bool:
    """Return whether something is a number, or spelled as one."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def is_gap(value: Any) -> bool:
    """Return whether nothing is said."""
    return value is None or (isinstance(value, str) and not value.strip())


def is_fraction(value: Any) -> bool:
    """Return whether something is spelled as a number with a fraction, as 3.0 is."""
    if isinstance(value, float):
        return True
    return isinstance(value, str) and "." in value and is_number(value)


def number_of(said: Said) -> float:
    """Return a text's number.

    Raises:
        DataError: it is none, or not finite.
    """
    try:
        value = math.nan if isinstance(said.value, bool) else float(said.value)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        text = str(said.value).strip()
        pointed = text.replace(",", ".")
        has_comma = pointed != text and is_number(pointed)
        way_out = (
            f"write it with a point, {pointed}" if has_comma else "mend it, or leave the row out"
        )
        raise DataError(
            f"{said.where} has the value {said.value!r}, which is no finite number: {way_out}"
        )
    return value


def label_of(said: Said, class_names: Sequence[str]) -> str:
    """Return the name of a text's one label.

    Raises:
        DataError: it has none or several, or a number that the folder does not name.
    """
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
        raise unlabelled(said)
    return name.removesuffix(".0") if _WHOLE.fullmatch(name) else name


def labels_of(said: Said, class_names: Sequence[str]) -> list[str]:
    """List the labels of a text: of a list, of several columns, or of a text with bars in it.

    Raises:
        DataError: a label is empty, or a column of one holds neither 0 nor 1.
    """
    value = said.value
    if isinstance(value, Mapping):
        return [name for name, mark in value.items() if _is_marked(mark, name, said.where)]
    if value is None or value == "":
        return []
    values = value if isinstance(value, list) else [*filter(None, str(value).split("|"))]
    return [label_of(Said(each, said.where), class_names) for each in values]


def num_places(rows: Sequence[Said]) -> int:
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


def marks_of(said: Said, number: int) -> list[float]:
    """Return the marks of a list that has a place for each of a number of labels.

    Raises:
        DataError: it is no list of so many 0 and 1.
    """
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


def unlabelled(said: Said) -> DataError:
    """Say that a row has no label."""
    return DataError(
        f"{said.where} has no label ({said.value!r}): complete it, leave the row out, or say "
        "--problem multi_label where a text may have none"
    )
