from typing import get_args

import pytest

from modernbert.base.errors import ConfigError
from modernbert.bench.cases import LENGTHS, CaseName, ForwardCase, batches_of


def test_every_case_has_its_lengths():
    assert set(LENGTHS) == set(get_args(CaseName))


@pytest.mark.parametrize("name", LENGTHS)
def test_batches_are_sorted_and_within_the_budget(name):
    case = ForwardCase(case=name)
    batches = batches_of(case)
    lengths = [length for batch in batches for length in batch]
    told = LENGTHS[name]
    assert lengths == sorted(lengths)
    assert len(lengths) == told.documents
    assert told.shortest <= lengths[0] <= lengths[-1] <= told.longest
    assert all(sum(batch) <= case.batch_tokens for batch in batches)
    assert batches == batches_of(case)


def test_a_document_beyond_the_budget_is_alone():
    assert batches_of(ForwardCase(case="short-fixed", documents=2, batch_tokens=100)) == [
        [512],
        [512],
    ]


@pytest.mark.parametrize("given", [{"rounds": 1}, {"documents": -1}, {"batch_tokens": 0}])
def test_senseless_sizes_are_refused(given):
    with pytest.raises(ConfigError, match="a spread needs 2 rounds or more"):
        ForwardCase(**given)
