"""Token ids of texts in, their vectors out: packed, the longest first, in batches of a budget."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from modernbert.batch import PackedBatch, pack, split
from modernbert.data.tokenizer import Ids
from modernbert.infer.batching import plan
from modernbert.infer.reading import ReadText
from modernbert.model.expansion import encode_to
from modernbert.model.model import Model
from modernbert.model.sentence import Sentence

BATCH_TOKENS = 16_384
"""Tokens of a batch: enough to keep matrix products busy."""
_SPARSE_BATCH_TOKENS = 1024
"""The same where each token costs a vector as wide as the vocabulary."""


@torch.no_grad()
def vectors_of_texts(
    model: Model, sentence: Sentence, documents: Sequence[Ids], num_prompt: int = 0
) -> Float[Tensor, "S N"]:
    """Return one float32 vector a document, in their order, on the model's device."""

    def run(batch: PackedBatch, numbers: list[int]) -> list[Tensor]:  # noqa: ARG001
        x = model(batch) if is_sparse else model.encoder(batch)
        return list(sentence(x, batch.layout, num_prompt))

    is_sparse = sentence.config.is_sparse
    budget = _SPARSE_BATCH_TOKENS if is_sparse else BATCH_TOKENS
    return torch.stack(_in_batches(model, documents, budget, run))


@torch.no_grad()
def vectors_of_tokens(
    model: Model, sentence: Sentence, texts: Sequence[ReadText]
) -> list[Float[Tensor, "T N"]]:
    """Return for each text one float32 vector a token, on the model's device."""
    late = sentence.config.late
    expansion = late.expansion if late else None
    is_attended = expansion is None or expansion.is_attended

    def run(batch: PackedBatch, numbers: list[int]) -> list[Tensor]:
        read = [texts[number].num_read for number in numbers]
        if is_attended or sum(read) == len(batch.ids):
            x = model.encoder(batch)
        else:
            x = encode_to(model.encoder, batch, _first(read, batch))
        return split(sentence(x, batch.layout), batch.layout)

    return _in_batches(model, [text.ids for text in texts], BATCH_TOKENS, run)


def _in_batches(
    model: Model,
    documents: Sequence[Ids],
    budget: int,
    run: Callable[[PackedBatch, list[int]], list[Tensor]],
) -> list[Tensor]:
    device = model.encoder.embeddings.tok_embeddings.weight.device
    found: dict[int, Tensor] = {}
    for numbers in plan([len(ids) for ids in documents], budget):
        batch = pack([documents[number].tolist() for number in numbers]).to(device)
        found |= dict(zip(numbers, (x.float() for x in run(batch, numbers)), strict=True))
    return [found[number] for number in range(len(documents))]


def _first(counts: list[int], batch: PackedBatch) -> Tensor:
    """Mark the first so many tokens of each document."""
    read = torch.zeros(len(batch.ids), dtype=torch.bool)
    for start, count in zip(batch.layout.cu_seqlens.tolist(), counts, strict=False):
        read[start : start + count] = True
    return read.to(batch.ids.device)
