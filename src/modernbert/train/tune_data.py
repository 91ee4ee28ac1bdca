"""Files of labelled examples in, sets of token ids with a task each out; guesses are said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.base import rng
from modernbert.base.errors import ConfigError, DataError
from modernbert.base.files import digest
from modernbert.base.log import count, say
from modernbert.data.columns import Columns, guess
from modernbert.data.examples import first_rows, read_texts, said_in, texts_in
from modernbert.data.labels import LabelSet, gaps, learn
from modernbert.data.order import permuted
from modernbert.data.rows import ExampleSet, Micro
from modernbert.data.said import Said
from modernbert.data.table import HAS_HEADER, Table, open_table
from modernbert.data.table_files import Part
from modernbert.data.tokenizer import Ids, Tokenizer
from modernbert.model.config import HeadConfig
from modernbert.model.hf_kept import TEXT_COLUMNS
from modernbert.model.sentence_config import Pool, Step
from modernbert.tasks.base import MeasuredTask
from modernbert.tasks.classify import Classify, balanced
from modernbert.train.tune_config import TuneConfig

_HELD_OUT = 0.1


@dataclass(frozen=True, slots=True)
class Labelled:
    """Examples, and what is to be learned of them."""

    examples: ExampleSet
    task: MeasuredTask[Micro, Any]


@dataclass(frozen=True, slots=True)
class TuneData:
    """All that a fine-tuning reads."""

    train: Labelled
    dev: Labelled
    head: HeadConfig | None
    """What is read out of the encoder; None where texts are to have vectors."""
    fingerprint: str
    """Name of the content: equal fingerprints, equal tokens and labels in equal order."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What config.json is to say of the examples, for those who use the model."""
    steps: tuple[Step, ...] = (Pool(),)
    """What makes a text's vector of the encoded tokens."""
    told: Mapping[str, str] = field(default_factory=dict)
    """What the model's card is to say beside the settings."""


@dataclass(frozen=True, slots=True)
class _Part:
    ids: list[Ids]
    said: list[Said]
    num_cut: int

    def only(self, numbers: Sequence[int]) -> "_Part":
        return _Part([self.ids[n] for n in numbers], [self.said[n] for n in numbers], self.num_cut)


def read_labels(
    config: TuneConfig, tokenizer: Tokenizer, max_length: int, which: Part = "dev"
) -> TuneData:
    """Read all labelled texts before anything is trained, and say what they are taken for.

    Where --dev names a folder, its part `which` is read.

    Raises:
        ConfigError: labels of this kind have no weights.
        DataError: a file cannot be read, a row lacks something, or there is nothing to learn.
    """
    table = table_of(config, config.train, "train")
    columns = _columns(config, table)
    part = _read(table, columns, tokenizer, max_length)
    problem = None if config.problem == "auto" else config.problem
    names = table.class_names.get(columns.label[0], ()) if len(columns.label) == 1 else ()
    labels = learn(part.said, columns.label[0], problem, names)
    _say_labels(labels)
    if config.dev:
        dev = _read(table_of(config, config.dev, which), columns, tokenizer, max_length)
    else:
        part, dev = _held_out(part, config.seed)
    _say_sizes(config, part, dev, max_length)
    weights: list[float] = []
    if config.class_weights == "balanced":
        if labels.problem != "single_label":
            raise ConfigError(
                f"class_weights balance the rows of single labels, and this is {labels.problem}: "
                "leave them out"
            )
        weights = balanced(labels, part.said)
    return TuneData(
        _labelled(part, labels, weights),
        _labelled(dev, labels, []),
        HeadConfig(
            kind="sequence",
            labels=labels.names,
            pooling=config.pooling,
            problem=labels.problem,
            dropout=config.dropout,
        ),
        _fingerprint([part, dev]),
        {TEXT_COLUMNS: list(columns.texts)},
    )


def table_of(config: TuneConfig, path: str, part: Part) -> Table:
    """Open a file or folder of examples as the options say."""
    return open_table(Path(path), part, has_header=HAS_HEADER[config.header])


def _columns(config: TuneConfig, table: Table) -> Columns:
    rows = first_rows(table)
    given = Columns(config.text, config.pair, config.label)
    columns = guess(given, [row.values for row in rows], str(table.files[0]))
    if not columns.label:
        raise DataError(
            f"{table.files[0]} has the columns {', '.join(rows[0].values)}, and none is seen to "
            "hold labels: name it with --label"
        )
    say(
        f"{table.files[0]}: texts from {' and '.join(columns.texts)}, labels from "
        f"{', '.join(columns.label)}"
    )
    return columns


def _read(table: Table, columns: Columns, tokenizer: Tokenizer, max_length: int) -> _Part:
    said: list[Said] = []

    def texts() -> Iterator[tuple[str, ...]]:
        for row in table:
            said.append(said_in(row, columns))
            yield texts_in(row, columns)

    read = list(read_texts(texts(), tokenizer, max_length))
    if not read:
        raise DataError(f"{table.files[0]} holds no row: give a file with examples")
    return _Part([each.ids for each in read], said, sum(each.num_cut > 0 for each in read))


def _held_out(part: _Part, seed: int) -> tuple[_Part, _Part]:
    """Hold a tenth of two or more examples out, at least one, chosen by the seed."""
    learned, measured = held_out(len(part.ids), seed)
    return part.only(learned), part.only(measured)


def held_out(size: int, seed: int) -> tuple[list[int], list[int]]:
    """Return the numbers of examples to learn from, and of those to measure on: a tenth."""
    if size < 2:
        raise DataError(f"there is {size} example, and none to measure on: give more, or --dev")
    number = max(1, round(_HELD_OUT * size))
    order = permuted(np.arange(size), size, rng.key(seed, "held out")).tolist()
    say(f"no --dev: {number} of {size} examples are held out to measure on")
    return sorted(order[number:]), sorted(order[:number])


def _labelled(part: _Part, labels: LabelSet, weights: list[float]) -> Labelled:
    examples = ExampleSet(part.ids, [each.where for each in part.said])
    return Labelled(examples, Classify(labels, part.said, weights))


def _say_labels(labels: LabelSet) -> None:
    if labels.problem == "regression":
        say(f"{labels.names[0]} is a number: regression")
        return
    kind = "one of" if labels.problem == "single_label" else "any of"
    shown = ", ".join(labels.names[:12]) + (", ..." if len(labels.names) > 12 else "")
    places = ", a place of its list for each" if labels.is_by_place else ""
    say(f"a text has {kind} {len(labels.names)} labels{places}: {shown}")
    say_gaps(labels.names)


def say_gaps(names: Sequence[str]) -> None:
    """Say which whole numbers are missing between labels that are whole numbers."""
    if missing := gaps(names):
        say(f"between these, no row has {', '.join(map(str, missing[:12]))}")


def _say_sizes(config: TuneConfig, train: _Part, dev: _Part, max_length: int) -> None:
    tokens = sum(map(len, train.ids))
    say(
        f"{len(train.ids)} examples of {count(tokens)} tokens to learn from, {len(dev.ids)} to "
        "measure on"
    )
    if cut := train.num_cut + (dev.num_cut if config.dev else 0):
        say(f"{cut} texts are longer than {max_length} tokens and were cut")


def _fingerprint(parts: Sequence[_Part]) -> str:
    spelled = [
        digest(np.concatenate(part.ids).tobytes() + repr([s.value for s in part.said]).encode())
        for part in parts
    ]
    return digest("".join(spelled).encode())
