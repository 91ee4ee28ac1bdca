import shutil
import sys

import numpy as np
import pytest

from modernbert.base.errors import ConfigError, DataError, MachineError
from modernbert.retrieval import looking
from modernbert.retrieval.index import Index
from modernbert.retrieval.options import SearchOptions
from tests.indexes import entries, make_index, queries

pytest.importorskip("usearch", reason="usearch is not installed here")

DOCUMENTS = entries(80)
EXACT = SearchOptions(mode="dense", number=10, exact=True)
NEAR = SearchOptions(mode="dense", number=10, approximate=True)


def recall(index):
    pairs = zip(index.rank(queries(), EXACT), index.rank(queries(), NEAR), strict=True)
    found = []
    for exact, near in pairs:
        truth = dict(zip(exact.numbers.tolist(), exact.scores.tolist(), strict=True))
        shared = [n for n in near.numbers.tolist() if n in truth]
        scores = near.scores[np.isin(near.numbers, shared)]
        np.testing.assert_allclose(scores, [truth[n] for n in shared], rtol=1e-4, atol=1e-5)
        found.append(len(shared) / len(truth))
    return np.mean(found)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("dense", {}),
        ("dense", {"long": "chunks", "chunk_tokens": 8}),
        ("dense", {"compress": ("int8",)}),
        ("late", {}),
    ],
)
def test_the_graph_misses_little_and_scores_are_exact(tmp_path, kind, options):
    index = make_index(tmp_path, kind, DOCUMENTS, approximate_above=20, **options)
    assert index.facts.neighbour_vectors == index.facts.num_vectors > 20
    assert recall(index) >= 0.95


def test_what_is_not_in_the_graph_is_compared_and_what_was_deleted_is_not(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS, approximate_above=20)
    index.add(entries(85, seed=8)[84:])
    assert index.facts.neighbour_vectors == 80
    assert index.facts.num_vectors == 81
    best = [hits.numbers[0] for hits in index.rank(queries(), EXACT)]
    index.delete(index.ids(index.rank(queries(), EXACT)[0])[:9])
    found = index.rank(queries(), NEAR)
    assert best[0] not in found[0].numbers
    assert all(len(hits.numbers) == 10 for hits in found)
    assert recall(index) >= 0.95


def test_the_graph_grows_when_much_was_added_and_is_made_anew_by_compacting(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:40], approximate_above=20)
    index.add(DOCUMENTS[40:])
    assert index.facts.neighbour_vectors == 80
    assert recall(index) >= 0.95
    index.delete(["d3", "d50"])
    index.compact()
    assert index.facts.neighbour_vectors == 78
    assert recall(index) >= 0.95


def test_more_is_asked_for_until_enough_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(looking, "_WIDER", 1)
    index = make_index(tmp_path, "dense", DOCUMENTS, approximate_above=20)
    left = {"d1", "d2", "d77"}
    index.delete([entry.id for entry in DOCUMENTS if entry.id not in left])
    for hits in index.rank(queries(), NEAR):
        assert {*index.ids(hits)} == left


def test_filters_are_exact(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS, approximate_above=20)
    how = {"mode": "dense", "filter": ("year>2070",), "number": 20}
    exact = index.rank(queries(), SearchOptions(**how, exact=True))
    near = index.rank(queries(), SearchOptions(**how))
    assert [hits.numbers.tolist() for hits in exact] == [hits.numbers.tolist() for hits in near]
    assert len(near[0].numbers) == 9


def test_an_index_without_a_graph_or_with_a_broken_one_says_so(tmp_path, monkeypatch):
    index = make_index(tmp_path / "a", "dense", DOCUMENTS[:5])
    with pytest.raises(ConfigError, match="it has 5 vectors, and one is made above 200,000; leave"):
        index.search(["token"], NEAR)
    index = make_index(tmp_path / "b", "dense", DOCUMENTS[:9], approximate_above=5)
    graph = index.folder / index.facts.neighbours / "graph.usearch"
    graph.write_bytes(graph.read_bytes()[:100])
    with pytest.raises(DataError, match=r"graph.usearch cannot be read .*: build the index anew"):
        Index.open(index.folder).search(["token"], NEAR)
    shutil.rmtree(graph.parent)
    with pytest.raises(DataError, match=r"graph.usearch is missing: build the index anew"):
        Index.open(index.folder).search(["token"], NEAR)
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(MachineError, match="needs usearch: pip install 'modernbert"):
        Index.open(index.folder).search(["token"], NEAR)
