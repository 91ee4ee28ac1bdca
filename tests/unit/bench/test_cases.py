from typing import get_args

import pytest

from modernbert.base.errors import ConfigError
from modernbert.bench.efficiency_case import EfficiencyCase, Work, checked_of, work_of
from modernbert.bench.lengths import LENGTHS, CaseName, grouped


def test_every_case_has_its_lengths():
    assert set(LENGTHS) == set(get_args(CaseName))


@pytest.mark.parametrize("name", LENGTHS)
def test_batches_are_sorted_and_within_the_budget(name):
    work = work_of(EfficiencyCase(case=name), "cpu")
    lengths, told = work.lengths, LENGTHS[name]
    assert lengths == sorted(lengths)
    assert len(lengths) == told.documents
    assert told.shortest <= lengths[0] <= lengths[-1] <= told.longest
    assert all(sum(batch) <= 8192 for batch in work.batches)
    assert work == work_of(EfficiencyCase(case=name), "cpu")


def test_the_papers_sets_are_near_what_it_prints():
    # Table 10: tokens, and the shortest and longest of 8,192 documents.
    for name, tokens in (("short", 2_096_510), ("long", 33_604_913)):
        lengths = work_of(EfficiencyCase(case=name, documents=8192), "cpu").lengths
        assert abs(sum(lengths) / tokens - 1) < 0.01
        assert 32 <= min(lengths) < max(lengths) <= 8192


def test_a_document_beyond_the_budget_is_alone():
    assert grouped([512, 512], 100) == ((512,), (512,))


def test_documents_of_one_length_and_a_gpu_have_sizes_of_their_own():
    case = EfficiencyCase(case="fixed", length=16)
    assert work_of(case, "cpu").batches == ((16,) * 512,)
    assert work_of(EfficiencyCase(case="fixed", length=8192), "cpu").batches == ((8192,),)
    paper = work_of(EfficiencyCase(case="short-fixed"), "cuda")
    assert paper.batches == ((512,) * 512,)


def test_documents_are_left_as_they_were_drawn_for_those_who_ask():
    lengths = work_of(EfficiencyCase(order="drawn"), "cpu").lengths
    assert lengths != sorted(lengths)


def test_a_large_case_is_compared_by_some_of_its_documents():
    small = Work(((3, 5),), "float32", "cpu")
    assert checked_of(small) == small.batches
    large = Work(grouped(range(1, 101), 1000), "float32", "cpu")
    found = [length for batch in checked_of(large, most=500) for length in batch]
    assert found[-1] == 100
    assert found[0] < 12
    assert sum(found) < 560


@pytest.mark.parametrize(
    ("name", "given", "least"),
    [
        ("rounds", 1, 2),
        ("documents", -1, 0),
        ("batch_tokens", -1, 0),
        ("length", -1, 0),
        ("longest", 0, 1),
    ],
)
def test_senseless_sizes_are_refused(name, given, least):
    with pytest.raises(ConfigError, match=f"^{name} is {given}: give {least} or more$"):
        EfficiencyCase(**{name: given})


@pytest.mark.parametrize("given", [{"case": "fixed"}, {"length": 5}])
def test_lengths_that_contradict_the_case_are_refused(given):
    with pytest.raises(ConfigError, match="the case fixed has a length of 1 or more"):
        EfficiencyCase(**given)


def test_a_search_for_the_largest_batch_has_an_end():
    for name in ("largest_batch_limit", "largest_batch_minutes"):
        with pytest.raises(ConfigError, match="give limit and minutes above 0"):
            EfficiencyCase(**{name: 0})
    assert EfficiencyCase(largest_batch=True, case="long-fixed").document_length == 8192
