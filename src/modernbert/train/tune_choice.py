"""Files of questions with options in, their documents by question with a task out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from modernbert.base.errors import DataError
from modernbert.base.files import digest
from modernbert.base.log import count, say
from modernbert.data.choice_columns import ChoiceColumns, guess_choices
from modernbert.data.choices import (
    Choice,
    Right,
    Spelling,
    question_in,
    read_options,
    spelling_of,
)
from modernbert.data.examples import Read, first_rows
from modernbert.data.rows import ExampleSet
from modernbert.data.table import Table
from modernbert.data.table_files import Part
from modernbert.data.tokenizer import Tokenizer
from modernbert.model.config import HeadConfig
from modernbert.tasks.choice import Choose
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tune_data import Labelled, TuneData, held_out, table_of


@dataclass(frozen=True, slots=True)
class _Part:
    read: list[list[Read]]
    """For each question a document an option."""
    answers: list[Right]

    def only(self, numbers: Sequence[int]) -> "_Part":
        return _Part([self.read[n] for n in numbers], [self.answers[n] for n in numbers])

    @property
    def documents(self) -> list[Read]:
        return [read for question in self.read for read in question]


def read_choices(
    config: TuneConfig, tokenizer: Tokenizer, max_length: int, which: Part = "dev"
) -> TuneData:
    """Read all questions before anything is trained, and say what they are taken for.

    Where --dev names a folder, its part `which` is read.

    Raises:
        DataError: a file cannot be read, a row lacks something, or there is nothing to learn.
    """
    table = table_of(config, config.train, "train")
    columns = _columns(config, table)
    train = _read(table, columns, tokenizer, max_length)
    spelling = spelling_of(train.answers)
    say(
        f"{table.files[0]}: questions from {' and '.join(columns.texts)}, options from "
        f"{', '.join(columns.options)}, the right one from {columns.label}: {spelling}"
        f"{_doubt(train, spelling)}"
    )
    if config.dev:
        table = table_of(config, config.dev, which)
        dev = _read(table, columns, tokenizer, max_length)
    else:
        learned, measured = held_out(len(train.read), config.seed)
        train, dev = train.only(learned), train.only(measured)
    learn, measure = _labelled(train, spelling), _labelled(dev, spelling)
    _say_sizes(train, dev, max_length)
    return TuneData(
        learn,
        measure,
        HeadConfig(kind="choice", pooling=config.pooling, dropout=config.dropout),
        digest("".join(_fingerprint(part, spelling) for part in (train, dev)).encode()),
    )


def _doubt(part: _Part, spelling: Spelling) -> str:
    """Name what speaks for counting from 1 where numbers are read as counting from 0."""
    is_odd = spelling == "numbers from 0" and all(
        answer.readings.get(spelling) != 0 for answer in part.answers
    )
    return " (though no row has 0: see that they do not count from 1)" if is_odd else ""


def _columns(config: TuneConfig, table: Table) -> ChoiceColumns:
    if len(config.label) > 1:
        raise DataError(
            f"--label names {len(config.label)} columns, and one says which option is right: "
            "name it alone"
        )
    given = ChoiceColumns(config.text, config.pair, config.choices, "".join(config.label))
    rows = [row.values for row in first_rows(table)]
    return guess_choices(given, rows, str(table.files[0]))


def _read(table: Table, columns: ChoiceColumns, tokenizer: Tokenizer, max_length: int) -> _Part:
    answers: list[Right] = []

    def questions() -> Iterator[Choice]:
        for row in table:
            question, answer = question_in(row, columns)
            answers.append(answer)
            yield question

    read = list(read_options(questions(), tokenizer, max_length))
    if not read:
        raise DataError(f"{table.files[0]} holds no row: give a file with examples")
    return _Part(read, answers)


def _labelled(part: _Part, spelling: Spelling) -> Labelled:
    counts = [len(question) for question in part.read]
    right = [answer.number(spelling) for answer in part.answers]
    where = [answer.where for answer in part.answers]
    examples = ExampleSet([read.ids for read in part.documents], where, counts)
    return Labelled(examples, Choose(counts, right))


def _say_sizes(train: _Part, dev: _Part, max_length: int) -> None:
    tokens = sum(len(read.ids) for read in train.documents)
    counts = {len(question) for part in (train, dev) for question in part.read}
    sizes = " to ".join(map(str, sorted({min(counts), max(counts)})))
    say(
        f"{len(train.read)} questions of {sizes} options and {count(tokens)} tokens to learn from, "
        f"{len(dev.read)} to measure on"
    )
    if cut := sum(read.num_cut > 0 for part in (train, dev) for read in part.documents):
        say(f"{cut} options with their questions are longer than {max_length} tokens and were cut")


def _fingerprint(part: _Part, spelling: Spelling) -> str:
    right = [answer.number(spelling) for answer in part.answers]
    counts = [len(question) for question in part.read]
    spelled = np.concatenate([read.ids for read in part.documents]).tobytes()
    return digest(spelled + repr((counts, right)).encode())
