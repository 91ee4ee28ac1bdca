"""Tokens are pooled as sentence-transformers pools them."""

import numpy as np
import pytest
import torch

from modernbert.retrieval.compress import pooled

theirs = pytest.importorskip(
    "sentence_transformers.multi_vector_encoder.modules",
    reason="this sentence-transformers has no late interaction",
)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("length", [2, 5, 60, 300])
def test_pooled_tokens_are_those_of_sentence_transformers(length, factor):
    source = np.random.default_rng(length)
    centers = source.standard_normal((20, 16))
    vectors = centers[source.integers(0, 20, length)] + 0.7 * source.standard_normal((length, 16))
    vectors = np.float32(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    pooling = theirs.HierarchicalTokenPooling(pool_factor=factor, num_protected_tokens=1)
    (truth,) = pooling.pool([torch.from_numpy(vectors)], task="document")
    found = pooled(vectors, factor)
    assert len(found) == len(truth)
    one, other = (
        np.array(sorted(map(tuple, np.round(x, 4).tolist()))) for x in (found, truth.numpy())
    )
    np.testing.assert_allclose(one, other, atol=2e-4)
