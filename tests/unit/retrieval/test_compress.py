import numpy as np
import pytest

from modernbert.infer.eight_bits import to_bytes
from modernbert.retrieval.compress import pooled
from modernbert.retrieval.options import SearchOptions
from tests.indexes import entries, make_index, queries

SOURCE = np.random.default_rng(0)


def test_eight_bits_lose_less_than_half_a_step():
    vectors = SOURCE.standard_normal((50, 16)).astype(np.float32)
    vectors[3] = 0
    numbers, scales = to_bytes(vectors)
    assert numbers.dtype == np.int8
    error = np.abs(numbers * scales[:, None] - vectors)
    assert (error <= scales[:, None] * 0.501).all()
    again, same = to_bytes(numbers * scales[:, None])
    assert (again == numbers).all()
    np.testing.assert_allclose(same, scales, rtol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("length", [1, 2, 3, 10, 600])
def test_pooling_leaves_one_vector_for_so_many_and_the_first_alone(length, factor):
    vectors = SOURCE.standard_normal((length, 8)).astype(np.float32)
    found = pooled(vectors, factor)
    rest = [min(512, length - 1 - start) for start in range(0, length - 1, 512)]
    assert len(found) == 1 + sum(max(size // factor, 1) for size in rest)
    np.testing.assert_array_equal(found[0], vectors[0])


def test_tokens_that_point_the_same_way_are_pooled_to_their_mean():
    one, other = np.eye(4, dtype=np.float32)[:2]
    vectors = np.stack([one, other, 2 * one, other, 4 * one])
    found = pooled(vectors, 2)
    assert sorted(map(tuple, found[1:].tolist())) == [(0, 1, 0, 0), (3, 0, 0, 0)]


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_unit_vectors_stay_unit_vectors(factor):
    vectors = SOURCE.standard_normal((40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(pooled(vectors, factor), axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("compress", [("int8",), ("float16",), ("pool:2",), ("pool:2", "int8")])
def test_a_compressed_index_finds_about_the_same(tmp_path, compress):
    whole = make_index(tmp_path / "whole", "late", entries(30))
    small = make_index(tmp_path / "small", "late", entries(30), compress=compress)
    how = SearchOptions(mode="dense", number=10)
    shared = [
        len({*one.numbers.tolist()} & {*other.numbers.tolist()})
        for one, other in zip(whole.rank(queries(), how), small.rank(queries(), how), strict=True)
    ]
    assert sum(shared) >= (6 if "pool:2" in compress else 8) * len(shared)
    if "pool:2" in compress:
        assert small.facts.num_vectors < 0.6 * whole.facts.num_vectors
    before, after = (
        sum(path.stat().st_size for path in index.folder.rglob("vectors.npy"))
        for index in (whole, small)
    )
    assert after < 0.6 * before
