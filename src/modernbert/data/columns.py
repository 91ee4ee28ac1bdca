"""Rows of a table in, which columns hold texts and labels out: guessed by name, then by content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modernbert.base.errors import DataError

# A text and its partner, in the order in which they are looked for; "" is no partner.
_TEXTS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("#1 string", "#2 string"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
    ("query", "text"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("text", "text_pair"),
    ("text", ""),
    ("sentence", ""),
    ("content", ""),
    ("document", ""),
    ("review", ""),
    ("comment", ""),
    ("body", ""),
    ("message", ""),
    ("tweet", ""),
)
_LABELS = (
    *("label", "labels", "class", "category", "target", "gold_label", "sentiment", "topic"),
    *("score", "similarity", "rating", "stars", "quality", "is_duplicate", "intent", "y"),
)
_MOST_LABELS = 100


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what; an empty name is none."""

    text: str = ""
    pair: str = ""
    """The second text of a pair."""
    label: tuple[str, ...] = ()
    """One column, or for several labels one column of 0 and 1 for each."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns whose texts are read."""
        return (self.text, self.pair) if self.pair else (self.text,)


def guess(given: Columns, rows: Sequence[Mapping[str, Any]], where: str) -> Columns:
    """Fill in what was not said, from the first rows; what was said must be there.

    Raises:
        DataError: a named column is not there, or nothing says which column is meant.
    """
    names = tuple(rows[0])
    check_named((given.text, given.pair, *given.label), names, where)
    label = given.label or _label(given, names, rows)
    if given.text:
        return Columns(given.text, given.pair, label)
    text, pair = _by_name(names) or (_by_length(set(names) - {*label}, rows), "")
    if not text:
        raise DataError(
            f"{where} has the columns {', '.join(names)}, and none is seen to hold texts: name it"
        )
    return Columns(text, given.pair or pair, label)


def check_named(given: Sequence[str], names: Sequence[str], where: str) -> None:
    """Refuse names of columns that are not there; an empty name is none.

    Raises:
        DataError: a named column is not there.
    """
    for name in given:
        if name and name not in names:
            raise DataError(
                f"{where} has no column {name!r} (it has {', '.join(names)}): name one of these"
            )


def _by_name(names: Sequence[str]) -> tuple[str, str] | None:
    found = {name.strip().lower(): name for name in reversed(names)}
    for text, pair in _TEXTS:
        if text in found and (not pair or pair in found):
            return found[text], found[pair] if pair else ""
    return None


def _label(
    given: Columns, names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    found = {name.strip().lower(): name for name in reversed(names)}
    for name in _LABELS:
        if name in found and found[name] not in (given.text, given.pair):
            return (found[name],)
    texts = {given.text, given.pair} if given.text else {*(_by_name(names) or ())}
    return _by_repetition([name for name in names if name not in texts], rows)


def _by_repetition(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Take the column with the fewest values, all said, two or more, that come again and again."""
    counts = {}
    for name in names:
        values = [str(row.get(name) or "").strip() for row in rows]
        if all(values):
            counts[name] = len({*values})
    most = min(_MOST_LABELS, len(rows) // 2)
    fit = {name: count for name, count in counts.items() if 2 <= count <= most}
    return (min(fit, key=lambda name: fit[name]),) if fit else ()


def _by_length(names: set[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Take the column with the longest texts."""
    lengths = {
        name: sum(len(row[name]) for row in rows if isinstance(row.get(name), str))
        for name in names
    }
    longest = max(lengths, key=lambda name: (lengths[name], name), default="")
    return longest if longest and lengths[longest] else ""
