import json
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.base.errors import ConfigError
from modernbert.base.records import from_plain, nearest, to_plain


@dataclass(frozen=True, slots=True)
class Leg:
    name: str
    length: float = 1.0


@dataclass(frozen=True, slots=True)
class Bird:
    name: str
    legs: tuple[Leg, ...] = ()
    wings: tuple[int, float] = (2, 0.5)
    weights: dict[str, float] = field(default_factory=dict)
    diet: Literal["seeds", "fish"] = "seeds"
    nest: str | None = None
    eggs: int = 0
    flies: bool = True


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
BIRDS = st.builds(
    Bird,
    name=st.text(),
    legs=st.lists(st.builds(Leg, st.text(), FLOATS)).map(tuple),
    wings=st.tuples(st.integers(), FLOATS),
    weights=st.dictionaries(st.text(), FLOATS),
    diet=st.sampled_from(["seeds", "fish"]),
    nest=st.none() | st.text(),
    eggs=st.integers(),
    flies=st.booleans(),
)


@given(BIRDS)
def test_a_record_survives_json(bird):
    assert from_plain(Bird, json.loads(json.dumps(to_plain(bird)))) == bird


def test_missing_fields_keep_their_default():
    assert from_plain(Bird, {"name": "owl"}) == Bird("owl")


def test_a_whole_number_may_stand_for_a_float():
    leg = from_plain(Leg, {"name": "left", "length": 2})
    assert type(leg.length) is float


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"name": "owl", "weigths": 1}, "Bird has no field 'weigths': did you mean weights?"),
        ({"name": "owl", "zzzz": 1}, "Bird has no field 'zzzz': known are diet, eggs, flies"),
        ({}, "Bird lacks the field 'name'"),
        ([], "Bird is [], which is not a table of fields"),
        ({"name": 3}, "Bird.name is 3, which is not of type str"),
        ({"name": "owl", "eggs": 1.5}, "Bird.eggs is 1.5, which is not of type int"),
        ({"name": "owl", "eggs": True}, "Bird.eggs is True, which is not of type int"),
        ({"name": "owl", "flies": 1}, "Bird.flies is 1, which is not of type bool"),
        ({"name": "owl", "diet": "air"}, "which is not of type Literal['seeds', 'fish']"),
        ({"name": "owl", "diet": ["fish"]}, "Bird.diet is ['fish'], which is not of type"),
        ({"name": "owl", "nest": 3}, "Bird.nest is 3, which is not of type str"),
        ({"name": "owl", "wings": [2]}, "Bird.wings has 1 entries instead of 2"),
        ({"name": "owl", "wings": [2, "x"]}, "Bird.wings[1] is 'x', which is not of type float"),
        ({"name": "owl", "legs": [{"name": 1}]}, "Bird.legs[0].name is 1"),
        ({"name": "owl", "legs": "two"}, "Bird.legs is 'two', which is not of type"),
        ({"name": "owl", "weights": {"a": "b"}}, "Bird.weights.a is 'b'"),
        ({"name": "owl", "weights": [1]}, "Bird.weights is [1], which is not of type"),
    ],
)
def test_what_does_not_fit_is_named(plain, message):
    with pytest.raises(ConfigError) as caught:
        from_plain(Bird, plain)
    assert message in str(caught.value)


def test_a_message_begins_with_the_place_it_was_given():
    with pytest.raises(ConfigError, match=r"^run\.json: config\.name is 3"):
        from_plain(Leg, {"name": 3}, "run.json: config")


def test_nearest_lists_what_is_known_when_nothing_is_like_it():
    assert nearest("tony", ["tiny", "modernbert-base"]) == "did you mean tiny?"
    assert nearest("xyz", ["b", "a"]) == "known are a, b"
    assert nearest("xyz", ["b, c", "a"]) == "known are a, 'b, c'"
