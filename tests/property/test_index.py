"""Whatever was added, replaced, deleted and compacted: an index is that of what is left."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.retrieval.index import Index
from modernbert.retrieval.options import IndexOptions, SearchOptions
from tests.indexes import entries, queries, write_model

POOL = entries(12)
OTHERS = entries(12, seed=9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sets(st.integers(0, 11), min_size=1, max_size=6)),
        st.tuples(st.just("replace"), st.sets(st.integers(0, 11), min_size=1, max_size=6)),
        st.tuples(st.just("delete"), st.sets(st.integers(0, 11), min_size=1, max_size=6)),
        st.tuples(st.just("compact"), st.none()),
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {kind: write_model(folder / kind, kind) for kind in ("dense", "late")}


def found(index: Index, mode: str) -> list[dict[str, float]]:
    options = SearchOptions(mode=mode, number=20)
    return [
        dict(zip(index.ids(hits), hits.scores.tolist(), strict=True))
        for hits in index.rank(queries(), options)
    ]


def check(index: Index, fresh: Index, left: dict) -> None:
    assert len(index) == len(left)
    for mode in ("dense", "words"):
        for one, other in zip(found(index, mode), found(fresh, mode), strict=True):
            assert one.keys() == other.keys()
            truth = [other[name] for name in one]
            np.testing.assert_allclose([*one.values()], truth, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("dense", {}),
        ("dense", {"long": "late-chunks", "chunk_tokens": 5}),
        ("late", {"compress": ("int8",)}),
    ],
)
@settings(max_examples=8, deadline=None)
@given(steps=STEPS)
def test_any_changes_leave_the_index_of_what_is_left(models, kind, options, steps):
    with tempfile.TemporaryDirectory() as place:
        left = {entry.id: entry for entry in POOL[:3]}
        wanted = IndexOptions(**options)
        index = Index.create(Path(place, "index"), models[kind], POOL[:3], wanted)
        for verb, numbers in steps:
            if verb == "compact":
                index.compact()
            elif verb == "delete":
                names = [f"d{number}" for number in sorted(numbers)]
                assert set(index.delete(names)) == {*names} - left.keys()
                left = {name: entry for name, entry in left.items() if name not in names}
            else:
                some = [(POOL if verb == "add" else OTHERS)[number] for number in sorted(numbers)]
                if verb == "add":
                    some = [entry for entry in some if entry.id not in left]
                if some:
                    index.add(some, replaces=verb == "replace")
                left |= {entry.id: entry for entry in some}
        reopened = Index.open(index.folder)
        assert {path.name for path in (index.folder / "segments").iterdir()} >= {
            segment.name for segment in reopened.facts.segments
        }
        if left:
            fresh = Index.create(Path(place, "fresh"), models[kind], list(left.values()), wanted)
            check(reopened, fresh, left)
