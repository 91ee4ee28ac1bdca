"""A source's held-out documents in, packed micro-batches in a fixed order out, to evaluate on."""

from collections.abc import Iterator

import numpy as np

from modernbert.base import rng
from modernbert.base.errors import DataError
from modernbert.data.chunks import ChunkTable, Rows
from modernbert.data.corpus import Corpus
from modernbert.data.order import permuted
from modernbert.data.packing import best_fit

_ORDER_SEED = 0


def heldout(
    corpus: Corpus,
    source: str,
    *,
    context_length: int,
    micro_batch_tokens: int,
    max_tokens: int,
) -> Iterator[Rows]:
    """Yield held-out chunks of a source, drawn evenly from it, up to a number of tokens.

    The same chunks at every call and for every `micro_batch_tokens`; at least one.

    Raises:
        DataError: the source has no held-out document, or a chunk does not fit a micro-batch.
    """
    names = corpus.sources("heldout")
    if source not in names:
        held = ", ".join(names) or "none"
        raise DataError(
            f"the source {source!r} has no held-out document (those that have: {held}): "
            "raise heldout_fraction and build anew, or evaluate on another source"
        )
    table = ChunkTable(corpus, "heldout", context_length)
    first, stop = table.source_starts[names.index(source) :][:2].tolist()
    size = stop - first
    order = permuted(np.arange(size), size, rng.key(_ORDER_SEED, "heldout", source))
    lengths = table.lengths(first + order)
    count = max(1, int(np.searchsorted(np.cumsum(lengths), max_tokens, side="right")))
    for row in best_fit(lengths[:count].tolist(), micro_batch_tokens).rows:
        places = order[list(row)]
        yield table.rows(first + places, places)
