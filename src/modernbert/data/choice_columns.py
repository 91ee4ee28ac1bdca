"""Rows of a table in, which columns hold questions, their options and the right one out; by name.

The names are those of SWAG, HellaSwag, RACE, COPA, CommonsenseQA, ARC and their like.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modernbert.base.errors import DataError
from modernbert.data.columns import check_named

# What a question is about and how its options begin, in the order in which they are looked for.
_TEXTS = (
    ("sent1", "sent2"),
    ("article", "question"),
    ("passage", "question"),
    ("context", "question"),
    ("dialogue", "question"),
    ("premise", "question"),
    *((name, "") for name in ("question_stem", "question", "ctx", "context", "premise")),
    *((name, "") for name in ("goal", "sentence", "prompt", "query", "text")),
)
_LISTS = ("choices", "options", "endings", "answers", "candidates", "choice")
_ONE_EACH = re.compile(
    r"(ending|choice|option|answer|alternative|solution|sol|opt|op|)[ _-]?(\d+|[a-z])",
    re.IGNORECASE,
)
_RIGHT = (
    *("label", "labels", "answer", "answerkey", "answer_key", "right", "correct", "gold"),
    *("correct_answer", "answer_index", "answer_idx", "gold_label", "target", "cop"),
)


@dataclass(frozen=True, slots=True)
class ChoiceColumns:
    """Which column holds what; an empty name is none."""

    text: str = ""
    pair: str = ""
    """How each option begins, where that stands by itself."""
    options: tuple[str, ...] = ()
    """One column of lists, or one column for each option."""
    label: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of what is asked."""
        return (self.text, self.pair) if self.pair else (self.text,)

    @property
    def first_number(self) -> int:
        """What the options' columns are numbered from; 0 where they have no numbers."""
        found = re.search(r"\d+$", self.options[0]) if len(self.options) > 1 else None
        return int(found[0]) if found else 0


def guess_choices(
    given: ChoiceColumns,
    rows: Sequence[Mapping[str, Any]],
    where: str,
    *,
    needs_label: bool = True,
) -> ChoiceColumns:
    """Fill in what was not said; what was said must be there.

    Without `needs_label`, nothing needs to say which option is right.

    Raises:
        DataError: a named column is not there, or nothing says which column is meant.
    """
    names = tuple(rows[0])
    check_named((given.text, given.pair, *given.options, given.label), names, where)
    options = given.options or _options(rows[0])
    taken = {given.text, given.pair, *options}
    label = given.label or _first(names, _RIGHT, taken)
    text, pair = given.text, given.pair
    if not text:
        text, guessed = _texts(names, {label, *options})
        pair = pair or guessed
    found = ChoiceColumns(text, pair, options, label)
    for what, option, name in (
        ("questions", "text", text),
        ("options", "choices", options),
        ("the right option", "label", label or not needs_label),
    ):
        if not name:
            raise DataError(
                f"{where} has the columns {', '.join(names)}, and none is seen to hold {what}: "
                f"name it with --{option}"
            )
    return found


def _options(row: Mapping[str, Any]) -> tuple[str, ...]:
    for name in _LISTS:
        column = _first(tuple(row), (name,), set())
        if isinstance(row.get(column), list | Mapping):
            return (column,)
    groups: dict[str, list[str]] = {}
    for name in row:
        found = _ONE_EACH.fullmatch(name)
        # Columns 1, 2, 3 are those of a file whose first line names none.
        if found and (found[1] or not found[2].isdecimal()):
            groups.setdefault(found[1].lower(), []).append(name)
    largest = max(groups.values(), key=len, default=[])
    if len(largest) > 1:
        return tuple(largest)
    name = _first(tuple(row), _LISTS, set())
    return (name,) if name else ()


def _texts(names: Sequence[str], taken: set[str]) -> tuple[str, str]:
    for text, pair in _TEXTS:
        found = _first(names, (text,), taken), _first(names, (pair,), taken)
        if found[0] and bool(found[1]) == bool(pair):
            return found
    return "", ""


def _first(names: Sequence[str], wanted: Sequence[str], taken: set[str]) -> str:
    known = {name.strip().lower(): name for name in reversed(names) if name not in taken}
    return next((known[name] for name in wanted if name in known), "")
