"""Rows with questions in, token ids of every option behind its question and the right one out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, get_args

from modernbert.base.errors import DataError
from modernbert.data.choice_columns import ChoiceColumns
from modernbert.data.examples import Read, checked_text, joined, text_in, value_in
from modernbert.data.table import Row
from modernbert.data.tokenizer import Tokenizer

Spelling = Literal[
    "names of options",
    "texts of options",
    "letters",
    "numbers from 0",
    "numbers from 1",
]
"""How a file says which option is right."""

_BELIEVED: tuple[Spelling, ...] = get_args(Spelling)
"""The first ones are least likely by chance."""
_AT_ONCE = 256
"""Questions that are encoded together."""
_FEWEST, _MOST_DIGITS = 2, 9


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked, and what can be chosen."""

    texts: tuple[str, ...]
    """What it is about and, where there is a second part, how each option begins."""
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Right:
    """Which option a row calls right."""

    value: Any
    """As the file has it."""
    num_options: int
    readings: Mapping[Spelling, int]
    """Number of the option by each spelling that the value can be."""
    where: str

    def number(self, spelling: Spelling) -> int:
        """Return the number of the right option, from 0.

        Raises:
            DataError: it is none of them.
        """
        if spelling not in self.readings:
            raise DataError(
                f"{self.where} has the answer {self.value!r}, which is none of its "
                f"{self.num_options} options (answers are {spelling}): complete it, or leave the "
                "row out"
            )
        return self.readings[spelling]


def question_in(row: Row, columns: ChoiceColumns) -> tuple[Choice, Right]:
    """Return what a row asks, and which option it calls right.

    Raises:
        DataError: something is missing or empty, or there are fewer than two options.
    """
    choice, names = choice_in(row, columns)
    value = value_in(row, columns.label)
    readings = _readings(value, names, choice.options)
    if columns.first_number != 1:
        readings.pop("numbers from 1", None)
    return choice, Right(value, len(choice.options), readings, row.where)


def choice_in(row: Row, columns: ChoiceColumns) -> tuple[Choice, Sequence[str]]:
    """Return what a row asks, and the names of its options.

    Raises:
        DataError: something is missing or empty, or there are fewer than two options.
    """
    texts = tuple(text_in(row, name) for name in columns.texts)
    names, values = _named(row, columns.options)
    return Choice(texts, checked_options(values, names, row.where)), names


def checked_options(values: Sequence[Any], names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return options that are texts, two or more.

    Raises:
        DataError: there are fewer, or one is empty or no text.
    """
    if len(values) < _FEWEST:
        raise DataError(
            f"{where} has {len(values) or 'no'} option{'s' * (not values)}, and a choice needs "
            "two: complete it, or leave it out"
        )
    return tuple(checked_text(*each, where) for each in zip(values, names, strict=True))


def spelling_of(answers: Iterable[Right]) -> Spelling:
    """Say how a file spells its answers: the way in which most of them are right.

    Of ways that fit alike the one that is less likely by chance is meant. Numbers count from 1 only
    where the options' columns do, and counting from 0 would leave some rows without an answer.
    """
    counts = Counter(spelling for answer in answers for spelling in answer.readings)
    return max(_BELIEVED, key=lambda spelling: counts[spelling])


def read_options(
    questions: Iterable[Choice], tokenizer: Tokenizer, max_length: int
) -> Iterator[list[Read]]:
    """Encode [CLS] question [SEP] option [SEP] for each option, cut to a length in tokens.

    Of question and option, the longer one is cut first, as `transformers` does it.
    """
    rest = iter(questions)
    while group := list(islice(rest, _AT_ONCE)):
        contexts = tokenizer.encode_texts([question.texts[0] for question in group])
        options = iter(
            tokenizer.encode_texts([option for each in group for _, option in pairs_of(each)])
        )
        for question, context in zip(group, contexts, strict=True):
            own = islice(options, len(question.options))
            yield [joined([context, option], tokenizer, max_length) for option in own]


def pairs_of(question: Choice) -> list[tuple[str, str]]:
    """Return what is read of each option: the question, and the option behind its beginning."""
    first, *begin = question.texts
    return [(first, " ".join([*begin, option])) for option in question.options]


def _named(row: Row, names: Sequence[str]) -> tuple[list[str], list[Any]]:
    """Return the names of a row's options and these; empty columns behind the last one are none."""
    if len(names) == 1:
        return _listed(value_in(row, names[0]), names[0], row.where)
    values = [row.values.get(name) for name in names]
    while values and (values[-1] is None or not str(values[-1]).strip()):
        values.pop()
    return list(names[: len(values)]), values


def _listed(value: Any, name: str, where: str) -> tuple[list[str], list[Any]]:
    """Read a list, a text with bars between options, or `label` and `text` of CommonsenseQA."""
    labels: Any = None
    if isinstance(value, Mapping):
        labels, value = value.get("label"), value.get("text")
    if value is None or value == "":
        value = []
    if isinstance(value, str):
        value = value.split("|")
    if labels is None and isinstance(value, list):
        labels = [f"option {number}" for number in range(1, len(value) + 1)]
    if not isinstance(value, list) or not isinstance(labels, list) or len(labels) != len(value):
        raise DataError(
            f"{where}: {name!r} is no list of options: give one, or a column for each option"
        )
    return [*map(str, labels)], value


def _readings(value: Any, names: Sequence[str], options: Sequence[str]) -> dict[Spelling, int]:
    """Return the number of the option that a value means, by each spelling that it can be."""
    text = "" if value is None or isinstance(value, bool) else str(value).strip()
    texts, letter = [each.strip() for each in options], text.upper()
    digits = text.removesuffix(".0")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < _MOST_DIGITS
    number = int(digits) if is_number else -1
    found: dict[Spelling, int] = {
        "names of options": names.index(text) if text in names else -1,
        "texts of options": texts.index(text) if text in texts else -1,
        "letters": ord(letter) - ord("A") if len(letter) == 1 else -1,
        "numbers from 0": number,
        "numbers from 1": number - 1,
    }
    return {spelling: at for spelling, at in found.items() if 0 <= at < len(options)}
