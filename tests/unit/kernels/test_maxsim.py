import pytest
import torch

from modernbert.batch import Layout
from modernbert.kernels import maxsim as kernel
from modernbert.kernels.maxsim import maxsim

QUERIES, DOCUMENTS = [3, 1, 5], [4, 0, 1, 9, 2]


def vectors(lengths, seed):
    state = torch.Generator().manual_seed(seed)
    return torch.randn(sum(lengths), 6, generator=state, dtype=torch.float64)


@pytest.mark.parametrize("products", [1, 40, 2**19])
def test_scores_are_those_of_each_pair_alone(monkeypatch, products):
    monkeypatch.setattr(kernel, "_PRODUCTS", products)
    q, d = vectors(QUERIES, 0), vectors(DOCUMENTS, 1)
    found = maxsim(q, Layout.of(QUERIES), d, Layout.of(DOCUMENTS))
    for row, query in zip(found, q.split(QUERIES), strict=True):
        for score, document in zip(row, d.split(DOCUMENTS), strict=True):
            if not len(document):
                assert score == -torch.inf
                continue
            alone = sum(max(float(one @ other) for other in document) for one in query)
            assert float(score) == pytest.approx(alone)


def test_neighbours_change_nothing():
    q, d = vectors(QUERIES, 0), vectors(DOCUMENTS, 1)
    layout = Layout.of(QUERIES)
    whole = maxsim(q, layout, d, Layout.of(DOCUMENTS))
    last = maxsim(q, layout, d[-2:], Layout.of([2]))
    torch.testing.assert_close(whole[:, -1:], last)
    assert maxsim(q, layout, d[:0], Layout.of([])).shape == (3, 0)
