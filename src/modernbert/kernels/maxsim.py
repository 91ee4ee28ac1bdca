"""Vectors of queries' and documents' tokens in, how well each document fits each query out."""

import torch
from torch import Tensor

from modernbert.base.shapes import Float
from modernbert.batch import Layout
from modernbert.kernels.linear import linear

_PRODUCTS = 2**19
"""Products of tokens held at once: 2 MiB in float32, what a core keeps at hand."""


def maxsim(
    queries: Float[Tensor, "Tq K"],
    query_layout: Layout,
    documents: Float[Tensor, "Td K"],
    document_layout: Layout,
) -> Float[Tensor, "Q S"]:
    """Return for each query the sum over its tokens of the best product with a document's token.

    Late interaction (arXiv 2004.12832, section 3.2), exact and without padding. A document
    without a token fits nothing: -inf. Memory is bounded, whatever the number of documents.
    """
    lengths, query_lengths = document_layout.lengths(), query_layout.lengths()
    scores = documents.new_empty(len(query_lengths), len(lengths))
    most = max(1, _PRODUCTS // max(1, len(queries)))
    first = start = 0
    while first < len(lengths):
        stop, size = first + 1, lengths[first]
        while stop < len(lengths) and size + lengths[stop] <= most:
            size += lengths[stop]
            stop += 1
        # A row a document's token: the largest of each column is found side by side.
        products = linear(documents[start : start + size], queries)
        best = _largest(products, lengths[first:stop])
        scores[:, first:stop] = _sums(best, query_lengths)
        first, start = stop, start + size
    return scores


def _largest(products: Float[Tensor, "T Tq"], lengths: tuple[int, ...]) -> Float[Tensor, "S Tq"]:
    return torch.stack(
        [
            part.amax(0) if len(part) else part.new_full((part.shape[1],), -torch.inf)
            for part in products.split(lengths)
        ]
    )


def _sums(best: Float[Tensor, "S Tq"], lengths: tuple[int, ...]) -> Float[Tensor, "Q S"]:
    return torch.stack([part.sum(1) for part in best.split(lengths, dim=1)])
