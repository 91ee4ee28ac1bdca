"""A case and a seed in, the same examples and budget in the words of Hugging Face's Trainer out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modernbert.base.errors import DataError
from modernbert.bench.cases import FinetuningCase
from modernbert.bench.trainer import (
    IGNORED,
    AskedExample,
    Examples,
    Habits,
    Job,
    TextExample,
    WordsExample,
)
from modernbert.data.labels import LabelSet
from modernbert.data.tagged import Tagged
from modernbert.tasks import classify, tokens
from modernbert.tasks.classify import Classify
from modernbert.tasks.spans import FindSpans, text_log_probabilities
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tune_data import Labelled, TuneData
from modernbert.train.tune_tags import read_parts
from modernbert.train.tuning import Start, create


@dataclass(frozen=True, slots=True)
class Given:
    """What every side is given for one seed."""

    start: Start
    job: Job
    """For Trainer; its configuration is ours too."""
    weights: int
    """Of the model with its classifier."""
    lengths: list[int]
    """Tokens of each example to learn from, as this package reads them."""
    measure: str
    """Name of what decides which model is the best."""


def given(case: FinetuningCase, folder: Path, seed: int, scratch: Path) -> Given:
    """Read the model and the examples as `modernbert finetune` does.

    Raises:
        CheckpointError: the model cannot be read.
        DataError: the examples cannot be read, or are no words.
        ConfigError: a number does not fit the model.
    """
    start = Start(case.task, str(folder))
    tuning = create(_config(case, seed), start, scratch / f"read {seed}")
    config, data = tuning.config, tuning.data
    assert data.head is not None, "what is compared with Trainer has a head"
    read: dict[str, Callable[[TuneData], Examples]] = {
        "classify": _texts,
        "tokens": partial(_words, config),
        "spans": _asked,
    }
    job = Job(
        start=folder,
        out=scratch,
        config=config,
        head=data.head,
        examples=read[case.task](data),
        habits=Habits(),
    )
    weights = sum(weight.numel() for weight in tuning.model.parameters())
    lengths = data.train.examples.lengths.tolist()
    return Given(start, job, weights, lengths, data.dev.task.measures[0])


def _config(case: FinetuningCase, seed: int) -> TuneConfig:
    """Take over what both have; the budget is spent whole."""
    shared = {each.name for each in fields(case)} & {each.name for each in fields(TuneConfig)}
    asked = TuneConfig(**{name: getattr(case, name) for name in shared})
    return replace(asked, seed=seed, patience=0, device="cpu")


def _texts(data: TuneData) -> Examples:
    assert isinstance(data.dev.task, Classify)
    score = partial(labels_score, data.dev.task.labels)
    return Examples(_labelled(data.train), _labelled(data.dev), score)


def _labelled(part: Labelled) -> list[TextExample]:
    assert isinstance(part.task, Classify)
    return [
        TextExample(part.examples.ids(number).tolist(), label)
        for number, label in enumerate(part.task.targets.tolist())
    ]


def _words(config: TuneConfig, data: TuneData) -> Examples:
    names = data.head.labels if data.head else ()
    train, dev = ([_tagged(each, names) for each in part] for part in read_parts(config))
    return Examples(train, dev, partial(tags_score, names))


def _tagged(each: Tagged, names: Sequence[str]) -> WordsExample:
    if each.words is None:
        raise DataError(
            f"{each.where} is a text with spans, and Trainer is given words with tags: convert it"
        )
    words = [each.text[start:stop] for start, stop in each.words]
    return WordsExample(words, [names.index(tag) for tag in each.tags])


def _asked(data: TuneData) -> Examples:
    assert isinstance(data.dev.task, FindSpans)
    score = partial(answers_score, data.dev.task)
    return Examples(_with_places(data.train), _with_places(data.dev), score)


def _with_places(part: Labelled) -> list[AskedExample]:
    assert isinstance(part.task, FindSpans)
    found = []
    for window, target in zip(part.task.windows, part.task.targets, strict=True):
        first, last = (int(window.places[it - 1]) if it else 0 for it in target)
        found.append(AskedExample(window.ids.tolist(), first, last))
    return found


def labels_score(labels: LabelSet, scores: NDArray[Any], right: NDArray[Any]) -> float:
    """Return the decisive measure of scores in any order, beside their labels."""
    return classify.quality(labels, torch.from_numpy(scores), torch.from_numpy(right))[0]


def tags_score(names: Sequence[str], scores: NDArray[Any], right: NDArray[Any]) -> float:
    """Return F1 of the spans in padded rows of words that are read."""
    best, is_read = scores.argmax(-1), right != IGNORED
    found, truth = (
        [[names[number] for number in row[mask]] for row, mask in zip(rows, is_read, strict=True)]
        for rows in (best, right)
    )
    return tokens.quality(found, truth)[0]


def answers_score(
    task: FindSpans, scores: tuple[NDArray[Any], NDArray[Any]], ids: NDArray[Any]
) -> float:
    """Return F1 of the answers in padded rows of begins and ends, chosen as this package does."""
    stop = task.windows[0].ids[-1]
    known = {}
    for row, *both in zip(ids, *scores, strict=True):
        length = np.flatnonzero(row == stop)[-1] + 1
        known[tuple(row[:length].tolist())] = torch.from_numpy(np.stack(both, 1)[:length])
    outputs = [
        text_log_probabilities(known[tuple(window.ids.tolist())], window) for window in task.windows
    ]
    return task.measure(outputs)[task.measures[0]]
