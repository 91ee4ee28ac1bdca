"""Labelled texts in, how well a line through a model's vectors tells their labels apart out.

A probe is quick and coarse: vectors are means of tokens, weights are not moved. It says whether
what a run learns is of use before anything is fine-tuned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from modernbert.base.device import Autocast
from modernbert.base.errors import DataError
from modernbert.base.files import hashed
from modernbert.base.shapes import Float, Int
from modernbert.batch import pack
from modernbert.data.columns import Columns, guess
from modernbert.data.corpus import Corpus
from modernbert.data.examples import first_rows, read_texts, said_in, texts_in
from modernbert.data.labels import learn
from modernbert.data.packing import best_fit
from modernbert.data.probe_texts import SUITE, Told, suite
from modernbert.data.table import open_table
from modernbert.data.tokenizer import Ids, Tokenizer
from modernbert.model.model import Model
from modernbert.model.pooling import pool
from modernbert.train.parallel import divide_again, put_together

_MOST_ROWS = 1500
_MOST_TOKENS = 256
"""Of a text: what follows is left out."""
_ROW_TOKENS = 8192
_PARTS = 3
"""One text of so many is measured on, chosen by a hash of it; the line is fitted on the others."""
_RIDGE = 0.1
"""How much a line is held back, as a share of what its features vary by."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A set of labelled texts, read and cut."""

    name: str
    ids: tuple[Ids, ...]
    labels: tuple[int, ...]
    is_measured: tuple[bool, ...]
    """Whether a text is measured on; else the line is fitted on it."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found."""

    probe: str
    accuracy: float
    most_frequent_label_accuracy: float
    """Share of the texts measured on that have the most frequent label of the others."""
    measured: int
    """Texts measured on."""


def read_probes(named: Sequence[str], corpus: Corpus) -> list[Probe]:
    """Return the probes that files give; `suite` stands for those made of held-out text.

    Raises:
        DataError: a file gives none, or there is too little held-out text.
    """
    found = []
    for each in named:
        if each == SUITE:
            found += [_of(told) for told in suite(corpus)]
        else:
            if not Path(each).exists():
                raise DataError(
                    f"there are no probes {each}: give a file of labelled texts, or {SUITE}"
                )
            found.append(read_probe(Path(each), corpus.tokenizer))
    return found


def _of(told: Told) -> Probe:
    is_measured = tuple(hashed(str(origin)) % _PARTS == 0 for origin in told.origins)
    return Probe(told.name, told.passages, told.labels, is_measured)


def read_probe(path: Path, tokenizer: Tokenizer) -> Probe:
    """Read the first rows of a file of texts with one label each, its columns guessed.

    Raises:
        DataError: it cannot be read, has no labels, or has too few rows.
    """
    table = open_table(path, "train")
    rows = first_rows(table)[:_MOST_ROWS]
    columns = guess(Columns(), [row.values for row in rows], str(path))
    if not columns.label:
        raise DataError(f"{path} has no column of labels: a probe needs texts with a label each")
    said = [said_in(row, columns) for row in rows]
    labels = learn(said, columns.label[0], "single_label")
    texts = [texts_in(row, columns) for row in rows]
    is_measured = tuple(hashed("\n".join(text)) % _PARTS == 0 for text in texts)
    numbers = tuple(map(labels.number, said))
    fitted = {number for number, is_out in zip(numbers, is_measured, strict=True) if not is_out}
    if not any(is_measured) or len(fitted) < 2:
        raise DataError(
            f"{path} has {len(rows)} rows, too few for a probe, which fits a line on two thirds "
            "and measures it on the others: give some hundreds"
        )
    read = tuple(each.ids for each in read_texts(texts, tokenizer, _MOST_TOKENS))
    return Probe(path.stem, read, numbers, is_measured)


def probed(model: Model, probes: Sequence[Probe], autocast: Autocast) -> list[Probed]:
    """Embed texts, fit a line for each probe and measure it.

    A text that several probes read is embedded once. The model and its randomness stay as they
    are. Ranks that share a model all embed all texts.
    """
    texts = {id(ids): ids for probe in probes for ids in probe.ids}
    was_training = model.training
    model.eval()
    put_together(model)
    vectors = _vectors(model, tuple(texts.values()), autocast)
    model.train(was_training)
    divide_again(model)
    places = {each: place for place, each in enumerate(texts)}
    return [_measured(probe, vectors[[places[id(ids)] for ids in probe.ids]]) for probe in probes]


def _measured(probe: Probe, vectors: Float[Tensor, "S D"]) -> Probed:
    is_out = torch.tensor(probe.is_measured)
    labels = torch.tensor(probe.labels)
    line = _line(vectors[~is_out], labels[~is_out])
    guessed = _scores(vectors[is_out], line).argmax(1)
    truth = labels[is_out]
    usual = labels[~is_out].bincount().argmax()
    return Probed(
        probe.name,
        float((guessed == truth).double().mean()),
        float((truth == usual).double().mean()),
        len(truth),
    )


def _vectors(model: Model, documents: Sequence[Ids], autocast: Autocast) -> Float[Tensor, "S D"]:
    found = torch.empty(len(documents), model.config.dim, dtype=torch.float64)
    for row in _rows(documents, model.config.max_length):
        batch = pack([documents[index][: model.config.max_length].tolist() for index in row])
        with torch.no_grad(), autocast():
            batch = batch.to(autocast.device)
            found[list(row)] = pool(model.encoder(batch), batch.layout, "mean").cpu().double()
    return found


def _rows(documents: Sequence[Ids], longest: int) -> Iterator[tuple[int, ...]]:
    lengths = [min(len(ids), longest) for ids in documents]
    yield from best_fit(lengths, max(_ROW_TOKENS, *lengths)).rows


@dataclass(frozen=True, slots=True)
class _Line:
    mean: Float[Tensor, "D"]
    scale: Float[Tensor, "D"]
    weight: Float[Tensor, "D N"]
    bias: Float[Tensor, "N"]


def _line(vectors: Float[Tensor, "S D"], labels: Int[Tensor, "S"]) -> _Line:
    """Fit ridge regression of each label against the others, in float64."""
    mean, scale = vectors.mean(0), vectors.std(0).clamp_min(1e-9)
    x = (vectors - mean) / scale
    marks = torch.nn.functional.one_hot(labels).double()
    bias = marks.mean(0)
    held = _RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(x.T @ x + held, x.T @ (marks - bias))
    return _Line(mean, scale, weight, bias)


def _scores(vectors: Float[Tensor, "S D"], line: _Line) -> Float[Tensor, "S N"]:
    scored: Tensor = (vectors - line.mean) / line.scale @ line.weight + line.bias
    return scored
