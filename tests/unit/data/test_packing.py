from hypothesis import given
from hypothesis import strategies as st

from modernbert.data.packing import even_shares


@given(st.lists(st.floats(0, 1e6), max_size=40), st.integers(1, 8))
def test_shares_hold_every_document_once_and_differ_by_one_at_most(costs, number):
    shares = even_shares(costs, number)
    assert sorted(each for share in shares for each in share) == list(range(len(costs)))
    totals = [sum(costs[each] for each in share) for share in shares]
    assert max(totals) - min(totals) <= max(costs, default=0) + 1e-3


def test_the_dearest_documents_are_dealt_first():
    assert even_shares([1, 5, 4, 2], 2) == [[1, 0], [2, 3]]
