"""Rows of a table in, what a model says of them out: one way for each kind of head."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.log import say
from modernbert.data.choice_columns import ChoiceColumns, guess_choices
from modernbert.data.choices import choice_in
from modernbert.data.columns import Columns, guess
from modernbert.data.examples import first_rows, texts_in
from modernbert.data.questions import asked_columns, question_rows
from modernbert.data.table import Row, RowFiles
from modernbert.data.tagged import words_in
from modernbert.data.tags import is_chunked
from modernbert.infer.answer import answer
from modernbert.infer.choose import choose
from modernbert.infer.classify import classify
from modernbert.infer.heads import head_of
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.replies import Label
from modernbert.infer.tag import Untagged, WordTags, word_tags
from modernbert.model.hf_kept import text_columns

_LIKELY = 0.5
_ANSWERS = 5
"""Answers that are listed where all are asked for."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller wants to be told."""

    gives_all: bool = False
    """Every label, word or likely answer with its probability."""
    can_be_none: bool = False
    """That a question may have no answer in its text."""


@dataclass(frozen=True, slots=True)
class Saying:
    """What is said of which rows."""

    rows: Iterable[Row]
    say: Callable[[Sequence[Row]], list[dict[str, Any]]]


def saying_of(model: Pretrained, table: RowFiles, given: Columns, wishes: Wishes) -> Saying:
    """Choose by the model's head what is said, and by the first rows what it is said of.

    Raises:
        ConfigError: the model has no head, or one that says nothing of rows.
        DataError: a column is not there, or none is seen to hold texts.
    """
    head = model.model.head_config
    kind = head.kind if head else "none"
    if kind not in _KINDS:
        raise ConfigError(
            f"this model has no head that says something of rows (its head: {kind}): make one with "
            "`modernbert finetune`"
        )
    if wishes.can_be_none and kind != "spans":
        raise ConfigError(
            f"can_be_none is of questions, and this model has a head of {kind}: leave it out"
        )
    return _KINDS[kind](model, table, given, wishes)


def _labels(model: Pretrained, table: RowFiles, given: Columns, wishes: Wishes) -> Saying:
    """Say the likeliest label, the list of those above one half, or the number."""
    head = head_of(model, "sequence")
    columns = _learned_columns(model, given, first_rows(table), str(table.files[0]))
    say(f"{table.files[0]}: texts from {' and '.join(columns.texts)}")

    def label(rows: Sequence[Row]) -> list[dict[str, Any]]:
        found = classify(model, [texts_in(row, columns) for row in rows])
        return [_labelled(labels, head.problem, wishes) for labels in found]

    return Saying(table, label)


def _learned_columns(
    model: Pretrained, given: Columns, first: Sequence[Row], where: str
) -> Columns:
    """Take the columns that the model learned from where they are there, else as many of others."""
    learned = text_columns(model.model.kept)
    names = first[0].values.keys()
    if learned and not given.text and not given.pair and {*learned} <= {*names}:
        return Columns(learned[0], "".join(learned[1:]))
    found = guess(given, [row.values for row in first], where)
    if len(learned) == 2 and not found.pair:
        raise DataError(
            f"{where} has the columns {', '.join(names)}, and the model learned from pairs of "
            f"texts, in {' and '.join(learned)}: name both columns, with --text and --pair"
        )
    if len(learned) == 1 and not given.pair:
        return Columns(found.text)
    return found


def _labelled(labels: list[Label], problem: str, wishes: Wishes) -> dict[str, Any]:
    everything = {label.name: label.score for label in labels}
    more = {"probabilities": everything} if wishes.gives_all else {}
    if problem == "regression":
        return {"prediction": labels[0].score}
    if problem == "multi_label":
        likely = [label for label in labels if label.score > _LIKELY]
        scores = [label.score for label in likely]
        return {"prediction": [each.name for each in likely], "probability": scores, **more}
    return {"prediction": labels[0].name, "probability": labels[0].score, **more}


def _tags(model: Pretrained, table: RowFiles, given: Columns, wishes: Wishes) -> Saying:
    """Say the spans of a text; of words that were cut already, their tags too."""
    chunked = is_chunked(head_of(model, "tokens").labels)
    first = first_rows(table)
    has_words = not given.text and words_in(first[0]) is not None
    columns = given if has_words else _one_text(given, first, table)
    say(f"{table.files[0]}: {'words' if has_words else f'texts from {columns.text}'}")

    def text_of(row: Row) -> Untagged:
        return texts_in(row, columns)[0] if not has_words else words_in(row) or [""]

    def tag(rows: Sequence[Row]) -> list[dict[str, Any]]:
        found = word_tags(model, [text_of(row) for row in rows])
        return [
            {
                "prediction": [asdict(each) for each in words.entities(is_chunked=chunked)],
                **({"word_tags": list(words.tags)} if has_words else {}),
                **({"probabilities": _words(words)} if wishes.gives_all else {}),
            }
            for words in found
        ]

    return Saying(table, tag)


def _words(found: WordTags) -> list[dict[str, Any]]:
    rows = zip(found.places, found.tags, found.scores, strict=True)
    return [
        {"start": begin, "end": end, "tag": tag, "score": score}
        for (begin, end), tag, score in rows
    ]


def _one_text(given: Columns, first: list[Row], table: RowFiles) -> Columns:
    guessed = guess(given, [row.values for row in first], str(table.files[0]))
    return Columns(guessed.text)


def _answers(model: Pretrained, table: RowFiles, given: Columns, wishes: Wishes) -> Saying:
    """Say the likeliest answer to a question and where it stands; "" is none."""
    columns = asked_columns(given, next(question_rows(first_rows(table))))
    say(f"{table.files[0]}: contexts from {columns.text}, questions from {columns.pair}")
    number = _ANSWERS if wishes.gives_all else 1

    def reply(rows: Sequence[Row]) -> list[dict[str, Any]]:
        asked = [(question, text) for text, question in (texts_in(row, columns) for row in rows)]
        return [
            {
                "prediction": found[0].text,
                "start": found[0].start,
                "end": found[0].end,
                "probability": found[0].score,
                **({"probabilities": [asdict(each) for each in found]} if wishes.gives_all else {}),
            }
            for found in answer(model, asked, number=number, can_be_none=wishes.can_be_none)
        ]

    return Saying(question_rows(table), reply)


def _choices(model: Pretrained, table: RowFiles, given: Columns, wishes: Wishes) -> Saying:
    """Say which option is the likeliest; its number counts from 0, however training counted."""
    named = ChoiceColumns(given.text, given.pair, given.label)
    rows = [row.values for row in first_rows(table)]
    columns = guess_choices(named, rows, str(table.files[0]), needs_label=False)
    say(
        f"{table.files[0]}: questions from {' and '.join(columns.texts)}, options from "
        f"{', '.join(columns.options)}"
    )

    def decide(rows: Sequence[Row]) -> list[dict[str, Any]]:
        asked = [choice_in(row, columns)[0] for row in rows]
        found = choose(model, [each.texts for each in asked], [each.options for each in asked])
        return [
            {
                "prediction": options[0].text,
                "number": options[0].number,
                "probability": options[0].score,
                **(
                    {"probabilities": [asdict(each) for each in options]}
                    if wishes.gives_all
                    else {}
                ),
            }
            for options in found
        ]

    return Saying(table, decide)


_KINDS: dict[str, Callable[[Pretrained, RowFiles, Columns, Wishes], Saying]] = {
    "sequence": _labels,
    "tokens": _tags,
    "spans": _answers,
    "choice": _choices,
}
