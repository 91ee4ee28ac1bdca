"""What fills a bucket changes nothing for the tokens that were there."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.infer.graphs import bucket_of, filled
from tests.nets import batch_of, config_of, lively

ENCODER = lively(config_of(local_window=8)).double().encoder
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=9)


@pytest.mark.parametrize("backend", ["oracle", "padded"])
@given(lengths=LENGTHS)
@settings(max_examples=15, deadline=None)
@torch.no_grad()
def test_a_filled_bucket_gives_the_same_vectors(backend, lengths):
    ENCODER.backend = backend
    batch = batch_of(lengths, seed=sum(lengths))
    bucket = bucket_of(len(batch.ids), len(lengths))
    assert bucket.tokens < 2 * len(batch.ids) or bucket.tokens == 16
    assert len(lengths) <= bucket.documents < 2 * len(lengths)
    full = filled(batch, bucket, ENCODER.config.pad_id)
    assert len(full.ids) == full.layout.max_seqlen == bucket.tokens
    assert full.layout.lengths()[: len(lengths)] == tuple(lengths)
    assert sum(full.layout.lengths()) == bucket.tokens
    # One more than the documents of the bucket: the padding.
    assert len(full.layout.lengths()) == bucket.documents + 1
    expected = ENCODER(batch)
    torch.testing.assert_close(ENCODER(full)[: len(batch.ids)], expected, rtol=0, atol=1e-11)
