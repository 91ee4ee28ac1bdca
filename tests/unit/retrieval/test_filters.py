import pytest

from modernbert.base.errors import ConfigError
from modernbert.retrieval.filters import conditions_of

KNOWN = {"year": 2020, "lang": "en", "tags": ["a", "b"], "is_open": True, "text_year": "2021"}


@pytest.mark.parametrize(
    ("written", "is_met"),
    [
        ("year=2020", True),
        ("year=2020.0", True),
        ("year!=2020", False),
        ("year>2019", True),
        ("year > 2020", False),
        ("year>=2020", True),
        ("year<=2020", True),
        ("year<9", False),
        ("text_year>999", True),
        ("text_year=2021.0", True),
        ("text_year!=2021.0", False),
        ("lang=en|de", True),
        ("lang!=en|de", False),
        ("lang!=fr", True),
        ("lang<f", True),
        ("tags=b", True),
        ("tags!=b", False),
        ("tags=c", False),
        ("is_open=true", True),
        ("is_open=false", False),
        ("lang=", False),
    ],
)
def test_conditions_on_values(written, is_met):
    (condition,) = conditions_of([written], KNOWN)
    assert condition.holds(KNOWN) == is_met


@pytest.mark.parametrize("written", ["year=1", "year!=1", "year<1"])
def test_a_document_without_the_key_meets_nothing(written):
    (condition,) = conditions_of([written], KNOWN)
    assert not condition.holds({"lang": "en"})
    assert not condition.holds({"year": None})
    assert not condition.holds({"year": ""})


def test_a_document_without_a_value_is_found_by_an_empty_one():
    (is_empty,) = conditions_of(["year="], KNOWN)
    (is_told,) = conditions_of(["year!="], KNOWN)
    for kept in ({}, {"year": None}, {"year": ""}, {"year": []}):
        assert is_empty.holds(kept)
        assert not is_told.holds(kept)
    for kept in ({"year": 0}, {"year": False}, {"year": ["a"]}):
        assert is_told.holds(kept)
        assert not is_empty.holds(kept)


def test_what_is_no_condition_or_no_key_is_refused():
    with pytest.raises(ConfigError, match="the filter 'year' is no condition: write key=value"):
        conditions_of(["year"], KNOWN)
    with pytest.raises(ConfigError, match="no document has the key 'yaer' of the filter: did you "):
        conditions_of(["yaer=1"], KNOWN)
    with pytest.raises(ConfigError, match="of the filter: they have no metadata"):
        conditions_of(["yaer=1"], [])
