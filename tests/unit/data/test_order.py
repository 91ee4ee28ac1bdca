import numpy as np

from modernbert.data.order import permuted


def test_one_index_gives_what_many_give():
    many = permuted(np.arange(100), 1000, key=5)
    assert [int(permuted(i, 1000, key=5)) for i in range(100)] == many.tolist()


def test_another_key_gives_another_order():
    first, second = (permuted(np.arange(1000), 1000, key) for key in (1, 2))
    assert (first == second).mean() < 0.01


def test_every_order_of_four_comes_up_equally_often():
    orders = [tuple(permuted(np.arange(4), 4, key).tolist()) for key in range(2400)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    # 100 expected of each, standard deviation 10.
    assert counts.min() > 50
    assert counts.max() < 150


def test_neighbours_land_far_apart():
    out = permuted(np.arange(100_000), 100_000, key=3)
    # For a random order the mean distance is a third of the size.
    assert abs(np.abs(np.diff(out)).mean() / 100_000 - 1 / 3) < 0.01


def test_a_huge_range_needs_no_memory():
    size = 10**15
    out = permuted(np.array([0, 1, size - 1]), size, key=1)
    assert len(set(out.tolist())) == 3
    assert out.min() >= 0
    assert out.max() < size
