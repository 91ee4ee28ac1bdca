import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.data.heldout import heldout
from tests.corpora import corpus_of_lengths


def taken(corpus, max_tokens, micro_batch_tokens=256, source="books"):
    return list(
        heldout(
            corpus,
            source,
            context_length=64,
            micro_batch_tokens=micro_batch_tokens,
            max_tokens=max_tokens,
        )
    )


def samples(rows):
    return sorted(sample for row in rows for sample in row.samples.tolist())


def test_all_of_a_source_comes_once(corpus):
    rows = taken(corpus, 10**9)
    tokens = sum(len(row.ids) for row in rows)
    chunks = sum(len(row.lengths) for row in rows)
    assert tokens == corpus.token_counts("heldout")["books"] + 2 * chunks
    assert samples(rows) == list(range(chunks))
    assert all(len(row.ids) <= 256 for row in rows)


def test_a_budget_is_kept_and_is_the_same_for_any_micro_batch(corpus):
    rows = taken(corpus, 500)
    assert 300 < sum(len(row.ids) for row in rows) <= 500
    assert samples(rows) == samples(taken(corpus, 500, micro_batch_tokens=64))
    for a, b in zip(rows, taken(corpus, 500), strict=True):
        np.testing.assert_array_equal(a.ids, b.ids)
    assert set(samples(rows)) < set(samples(taken(corpus, 1000)))


def test_at_least_one_chunk_comes(corpus):
    assert len(samples(taken(corpus, 1))) == 1


def test_a_source_without_held_out_documents_is_refused(corpus, tmp_path):
    with pytest.raises(DataError, match=r"'news' has no held-out document \(those that have: boo"):
        taken(corpus, 100, source="news")
    with pytest.raises(DataError, match="those that have: none"):
        taken(corpus_of_lengths(tmp_path / "c", [3]), 100)


def test_a_chunk_that_fits_no_micro_batch_is_refused(corpus):
    with pytest.raises(DataError, match="a row holds 32: split it"):
        taken(corpus, 1000, micro_batch_tokens=32)
