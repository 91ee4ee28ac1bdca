"""A model, a graph of it and texts in, how far the two lie apart out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modernbert.base.shapes import Float
from modernbert.batch import PackedBatch, segments
from modernbert.data.tokenizer import Ids
from modernbert.infer.embed import BATCH_TOKENS, batches
from modernbert.infer.encode import scored
from modernbert.infer.export.record import Form, Proof
from modernbert.infer.export.running import ExportedModel, Runs
from modernbert.infer.pretrained import Pretrained

_LEAST_COSINE: dict[Form, float] = {
    "int8": 0.995,
    "onnx": 0.99999,
    "onnx-int8": 0.995,
    "openvino": 0.99999,
    "openvino-int8": 0.995,
}
_LEAST_OF_SCORES = 0.998
"""In 8 bits: an error of a tenth of what scores usually are breaks it (lab/LOG.md)."""
MOST_LOST = 0.005
"""Of what is measured on a file of examples: half a point of a hundred."""
_BATCH_TOKENS = 1024
"""Few, so that scores of a whole vocabulary fit."""

Metric = Callable[[Pretrained], tuple[str, float]]
"""A model in, the name of what is measured and the number out."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a graph may lose."""

    least_cosine: float
    most_lost: float = MOST_LOST


def usual_cosine(model: Pretrained, form: Form) -> float:
    """Return what a form's cosine to a model must reach where nobody says otherwise."""
    usual = _LEAST_COSINE[form]
    return usual if _is_vector(model) else max(usual, _LEAST_OF_SCORES)


@torch.no_grad()
def prove(
    model: Pretrained,
    other: Pretrained,
    documents: Sequence[Ids],
    bounds: Bounds,
    metric: Metric | None = None,
) -> Proof:
    """Let a model, and what is to stand for it, read the same documents and a file of examples."""
    largest, products = 0.0, []
    for one, another, found in _compared(model, other, documents):
        difference = float((one - another).abs().max())
        largest = max(largest, difference) if difference == difference else difference
        products.append(found)
    joined = _cosines(torch.cat(products), is_vector=_is_vector(model))
    name, own, theirs = "", 0.0, 0.0
    if metric is not None:
        (name, own), (_, theirs) = metric(model), metric(other)
    return Proof(
        texts=len(documents),
        tokens=sum(map(len, documents)),
        largest_error=largest,
        cosine=float(joined.min()),
        mean_cosine=float(joined.mean()),
        metric=name,
        model=own,
        graph=theirs,
        least_cosine=bounds.least_cosine,
        most_lost=bounds.most_lost,
    )


def as_run(model: Pretrained, runs: Runs, form: Form) -> Pretrained:
    """Return the same model, run by what was written of it."""
    graph = runs if isinstance(runs, ExportedModel) else None
    weights = model.model if isinstance(runs, ExportedModel) else runs
    weights.kept = model.model.kept
    found = Pretrained(weights, model.tokenizer, model.sentence)
    found.origin, found.graph, found.runtime = model.origin, graph, form
    return found.eval()


def _compared(
    model: Pretrained, other: Pretrained, documents: Sequence[Ids]
) -> Iterator[tuple[Tensor, Tensor, Float[Tensor, "S 4"]]]:
    """Yield what both say of each batch, and the products of what they say of each text."""
    for _, batch in batches(model.runs, documents, _budget(model)):
        one, another = scored(model.runs, batch), scored(other.runs, batch)
        both = _rows(model, one, batch), _rows(model, another, batch)
        yield one, another, _products(*both, batch)


def _budget(model: Pretrained) -> int:
    """Return how many tokens are read at once: as many as in use, but of a whole vocabulary few."""
    head = model.model.head_config
    return _BATCH_TOKENS if head is not None and head.kind == "masked_lm" else BATCH_TOKENS


def _rows(model: Pretrained, x: Tensor, batch: PackedBatch) -> Float[Tensor, "rows N"]:
    """Return what is compared: vectors where texts or tokens have some, else scores."""
    return model.sentence(x, batch.layout) if _is_vector(model) else x


def _is_vector(model: Pretrained) -> bool:
    return model.model.head_config is None or model.sentence.config.is_sparse


def _products(
    one: Float[Tensor, "rows N"], another: Float[Tensor, "rows N"], batch: PackedBatch
) -> Float[Tensor, "S 4"]:
    """Return three products a text, of both and of each with itself, and how many rows it has.

    All that is said of a text's tokens is one vector.
    """
    products = (one * another, one * one, another * another)
    sums = torch.stack([each.sum(1, dtype=torch.float64) for each in products], 1)
    sums = torch.cat([sums, sums.new_ones(len(sums), 1)], 1)
    if len(one) == len(batch.ids):
        numbers = segments(batch.layout, len(one))
        sums = sums.new_zeros(len(batch.layout.lengths()), 4).index_add(0, numbers, sums)
    return sums


def _cosines(products: Float[Tensor, "S 4"], *, is_vector: bool) -> Float[Tensor, "S"]:
    """Return a cosine a text.

    Each row of scores has one more number, the same for all and as large as a row is in the mean:
    where a model is undecided its scores are near 0, and their angle alone says nothing.
    """
    dots, ours, theirs, rows = products.unbind(1)
    more = 0.0 if is_vector else rows * (ours.sum() / rows.sum())
    return (dots + more) / ((ours + more) * (theirs + more)).sqrt()
