"""The same documents in any rows and order: the same outputs, loss and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.batch import Layout, pack, split
from tests.nets import config_of, documents_of, lively

# In float64 rounding cannot hide a leak, however small.
MODEL = lively(config_of(local_window=8)).double()
LENGTHS = st.lists(st.one_of(st.integers(1, 20), st.integers(60, 70)), min_size=1, max_size=6)


def run(documents):
    """Return each document's logits, and the loss and gradients of hiding its first token."""
    batch = pack(documents)
    starts = batch.layout.cu_seqlens[:-1].long()
    targets = torch.tensor([ids[-1] for ids in documents])
    loss, correct = MODEL.masked_lm(batch, starts, targets)
    grads = torch.autograd.grad(loss, list(MODEL.parameters()))
    logits = split(MODEL(batch).detach(), batch.layout)
    return logits, (loss.detach(), correct.double(), *grads)


@pytest.mark.parametrize("backend", ["oracle", "banded", "padded"])
@given(lengths=LENGTHS, shuffle=st.randoms(use_true_random=False), data=st.data())
@settings(max_examples=15, deadline=None)
def test_how_documents_are_packed_changes_nothing(backend, lengths, shuffle, data):
    MODEL.encoder.backend = backend
    documents = documents_of(lengths, seed=sum(lengths))
    together, sums = run(documents)
    order = list(range(len(documents)))
    shuffle.shuffle(order)
    cut = data.draw(st.integers(0, len(order)))
    apart, totals = {}, None
    for row in filter(None, (order[:cut], order[cut:])):
        logits, parts = run([documents[i] for i in row])
        apart |= dict(zip(row, logits, strict=True))
        totals = parts if totals is None else [a + b for a, b in zip(totals, parts, strict=True)]
    for index, expected in enumerate(together):
        torch.testing.assert_close(apart[index], expected, rtol=0, atol=1e-11)
    for ours, expected in zip(totals, sums, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8), longest=st.integers(1, 50))
def test_a_layout_is_cut_into_as_few_pieces_as_even_as_can_be(lengths, longest):
    pieces = iter(Layout.of(lengths).cut(longest).lengths())
    for length in lengths:
        own = [next(pieces) for _ in range(-(-length // longest))]
        assert sum(own) == length
        assert max(own) <= longest
        assert max(own) - min(own) <= 1
    assert next(pieces, None) is None
