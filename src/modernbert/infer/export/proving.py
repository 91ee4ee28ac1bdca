"""A model, a graph of it and texts in, how far the two lie apart out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modernbert.base.shapes import Float
from modernbert.batch import PackedBatch, segments
from modernbert.data.tokenizer import Ids
from modernbert.infer.embed import batches
from modernbert.infer.encode import scored
from modernbert.infer.export.record import Form, Proof
from modernbert.infer.export.running import ExportedModel, Runs
from modernbert.infer.pretrained import Pretrained

LEAST_COSINE: dict[Form, float] = {
    "int8": 0.995,
    "onnx": 0.99999,
    "onnx-int8": 0.995,
    "openvino": 0.99999,
    "openvino-int8": 0.995,
}
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


@torch.no_grad()
def prove(
    model: Pretrained,
    other: Pretrained,
    documents: Sequence[Ids],
    bounds: Bounds,
    metric: Metric | None = None,
) -> Proof:
    """Let a model, and what is to stand for it, read the same documents and a file of examples."""
    largest, cosines = 0.0, []
    for one, another, near in _compared(model, other, documents):
        difference = float((one - another).abs().max())
        largest = max(largest, difference) if difference == difference else difference
        cosines.append(near)
    joined = torch.cat(cosines)
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
) -> Iterator[tuple[Tensor, Tensor, Float[Tensor, "S"]]]:
    """Yield what both say of each batch, and the cosine of what they say of each text."""
    for _, batch in batches(model.runs, documents, _BATCH_TOKENS):
        one, another = scored(model.runs, batch), scored(other.runs, batch)
        both = _rows(model, one, batch), _rows(model, another, batch)
        yield one, another, _cosines(*both, batch)


def _rows(model: Pretrained, x: Tensor, batch: PackedBatch) -> Float[Tensor, "rows N"]:
    """Return what is compared: vectors where texts or tokens have some, else scores."""
    head = model.model.head_config
    is_vector = head is None or model.sentence.config.is_sparse
    found = model.sentence(x, batch.layout) if is_vector else x
    return found if found.shape[1] > 1 else _signed(found)


def _signed(scores: Float[Tensor, "rows 1"]) -> Float[Tensor, "rows 2"]:
    """Give lone scores an angle of their own: any two of one sign are alike otherwise."""
    return torch.cat([scores, torch.ones_like(scores)], 1)


def _cosines(
    one: Float[Tensor, "rows N"], another: Float[Tensor, "rows N"], batch: PackedBatch
) -> Float[Tensor, "S"]:
    """Return a cosine a text; all that is said of a text's tokens is one vector."""
    products = (one * another, one * one, another * another)
    sums = torch.stack([each.sum(1, dtype=torch.float64) for each in products], 1)
    if len(one) == len(batch.ids):
        numbers = segments(batch.layout, len(one))
        sums = sums.new_zeros(len(batch.layout.lengths()), 3).index_add(0, numbers, sums)
    dots, ours, theirs = sums.unbind(1)
    return dots / (ours * theirs).sqrt()
