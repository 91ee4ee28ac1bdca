import numpy as np
import pytest
import torch

from modernbert.retrieval.hits import Best, Hits, fused


@pytest.mark.parametrize("size", [1, 3, 50])
def test_the_best_of_all_pieces_are_the_best_of_the_whole(size):
    scores = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    best = Best(4, 7)
    for numbers in torch.randperm(50, generator=torch.Generator().manual_seed(1)).split(size):
        best.add(scores[:, numbers], numbers)
    for row, hits in zip(scores, best.hits(), strict=True):
        assert hits.numbers.tolist() == row.argsort(descending=True)[:7].tolist()
        assert hits.scores.tolist() == row.sort(descending=True).values[:7].tolist()


def test_fewer_documents_than_asked_and_equal_scores_keep_their_order():
    best = Best(1, 100)
    best.add(torch.tensor([[1.0, 2.0]]), torch.tensor([4, 3]))
    best.add(torch.tensor([[2.0]]), torch.tensor([1]))
    (hits,) = best.hits()
    assert hits.numbers.tolist() == [1, 3, 4]


def hits(*numbers):
    return Hits(np.array(numbers, dtype=np.int64), -np.arange(len(numbers), dtype=np.float32))


def test_ranks_are_fused():
    (found,) = fused([[hits(7, 5, 3)], [hits(5, 9)]], 3)
    assert found.numbers.tolist() == [5, 7, 9]
    expected = [1 / 62 + 1 / 61, 1 / 61, 1 / 62]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-6)


def test_a_search_that_found_nothing_changes_no_order():
    (found,) = fused([[hits(2, 1)], [hits()]], 5)
    assert found.numbers.tolist() == [2, 1]
