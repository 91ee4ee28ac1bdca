"""Token ids of texts in, their vectors out: packed, the longest first, in batches of a budget."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from modernbert.base.errors import ConfigError
from modernbert.base.shapes import Float
from modernbert.batch import Layout, PackedBatch, positions, segments, split
from modernbert.data.tokenizer import Ids
from modernbert.infer.batching import plan
from modernbert.infer.encode import encoded, scored
from modernbert.infer.export.running import ExportedModel, Runs
from modernbert.infer.reading import ReadText
from modernbert.model.expansion import encode_to
from modernbert.model.sentence import Sentence

BATCH_TOKENS = 16_384
"""Tokens of a batch: enough to keep matrix products busy."""
_SPARSE_BATCH_TOKENS = 1024
"""The same where each token costs a vector as wide as the vocabulary."""


@torch.no_grad()
def text_vectors(
    model: Runs, sentence: Sentence, batch: PackedBatch, num_prompt: int = 0
) -> Float[Tensor, "S N"]:
    """Return one float32 vector a document of a batch."""
    x = (scored if sentence.config.is_sparse else encoded)(model, batch)
    return sentence.shortened(sentence(x, batch.layout, num_prompt)).float()


@torch.no_grad()
def token_vectors(
    model: Runs, sentence: Sentence, batch: PackedBatch, counts: Sequence[int]
) -> Float[Tensor, "T N"]:
    """Return one float32 vector a token; those behind each document's count fill it up.

    Raises:
        ConfigError: these are not to be seen by the others, and a graph cannot do that.
    """
    late = sentence.config.late
    has_unseen = late is not None and late.has_unseen and sum(counts) < len(batch.ids)
    if not has_unseen:
        x = encoded(model, batch)
    elif isinstance(model, ExportedModel):
        raise ConfigError(
            "this model fills queries up with tokens that nobody reads, which a graph cannot: "
            "take the model that it was exported from, without --runtime or with --runtime int8"
        )
    else:
        x = encode_to(model.encoder, batch, _first(counts, batch))
    found: Tensor = sentence(x, batch.layout)
    return found.float()


def vectors_of_texts(
    model: Runs, sentence: Sentence, documents: Sequence[Ids], num_prompt: int = 0
) -> Float[Tensor, "S N"]:
    """Return one float32 vector a document, in their order, on the model's device."""
    found: Tensor | None = None
    for numbers, batch in batches(model, documents, budget_of(sentence)):
        vectors = text_vectors(model, sentence, batch, num_prompt)
        found = vectors.new_empty(len(documents), vectors.shape[1]) if found is None else found
        found[numbers] = vectors
    assert found is not None, "no document"
    return found


def budget_of(sentence: Sentence) -> int:
    """Return how many tokens a batch of texts may have."""
    return _SPARSE_BATCH_TOKENS if sentence.config.is_sparse else BATCH_TOKENS


@torch.no_grad()
def vectors_of_parts(
    model: Runs, sentence: Sentence, documents: Sequence[Ids], parts: Sequence[Sequence[int]]
) -> list[Float[Tensor, "parts N"]]:
    """Return for each document a vector a part, each document read as a whole.

    `parts` are the lengths, in tokens, of what each document is cut into behind the encoder: late
    chunking (arXiv 2409.04701). A document of one part has the vector that it has alone.
    """
    found: dict[int, Tensor] = {}
    for numbers, batch in batches(model, documents, BATCH_TOKENS):
        x = encoded(model, batch)
        lengths = [length for number in numbers for length in parts[number]]
        vectors = sentence.shortened(sentence(x, Layout.of(lengths).to(x.device))).float()
        found |= dict(
            zip(numbers, vectors.split([len(parts[number]) for number in numbers]), strict=True)
        )
    return [found[number] for number in range(len(documents))]


def vectors_of_tokens(
    model: Runs, sentence: Sentence, texts: Sequence[ReadText]
) -> list[Float[Tensor, "T N"]]:
    """Return for each text one float32 vector a token, on the model's device."""
    found: dict[int, Tensor] = {}
    for numbers, batch in batches(model, [text.ids for text in texts], BATCH_TOKENS):
        vectors = token_vectors(model, sentence, batch, [texts[each].num_read for each in numbers])
        found |= dict(zip(numbers, split(vectors, batch.layout), strict=True))
    return [found[number] for number in range(len(texts))]


def batches(
    model: Runs, documents: Sequence[Ids], budget: int
) -> Iterator[tuple[list[int], PackedBatch]]:
    """Yield batches on the model's device, each with the numbers of its documents."""
    for numbers in plan([len(ids) for ids in documents], budget):
        yield numbers, packed([documents[number] for number in numbers]).to(model.device)


def packed(documents: Sequence[Ids]) -> PackedBatch:
    """Lay documents end to end, in their order."""
    ids = torch.from_numpy(np.concatenate(documents))
    return PackedBatch(ids, Layout.of([len(each) for each in documents]))


def _first(counts: Sequence[int], batch: PackedBatch) -> Tensor:
    """Mark the first so many tokens of each document."""
    place = positions(batch.layout, len(batch.ids))
    limits = torch.tensor(counts, device=place.device)
    return place < limits[segments(batch.layout, len(batch.ids))]
