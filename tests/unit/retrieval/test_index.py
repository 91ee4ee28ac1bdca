import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import modernbert
from modernbert.base.errors import CheckpointError, ConfigError, DataError
from modernbert.data.entries import Entry, EntryFiles
from modernbert.model.config import HeadConfig
from modernbert.retrieval import pending
from modernbert.retrieval.exact import search
from modernbert.retrieval.hits import fused
from modernbert.retrieval.index import Index
from modernbert.retrieval.lexical import Lexical
from modernbert.retrieval.options import IndexOptions, SearchOptions
from tests.indexes import entries, make_index, queries, write_model
from tests.sentence_folders import made

DOCUMENTS = entries(30)
DENSE = SearchOptions(mode="dense", number=5)


def close(found, truth, rtol=1e-4):
    assert len(found) == len(truth)
    for one, other in zip(found, truth, strict=True):
        assert one.numbers.tolist() == other.numbers.tolist()
        np.testing.assert_allclose(one.scores, other.scores, rtol=rtol, atol=1e-5)


@pytest.fixture(params=[1000, 7])
def segment_size(request, monkeypatch):
    """One segment, or several."""
    monkeypatch.setattr(pending, "_GROUP", min(4, request.param))
    monkeypatch.setattr(pending.Pending.is_full, "__defaults__", (request.param,))


@pytest.mark.usefixtures("segment_size")
@pytest.mark.parametrize("kind", ["dense", "sparse", "late"])
def test_an_index_finds_what_exact_search_finds(tmp_path, kind):
    index = make_index(tmp_path, kind, DOCUMENTS)
    model = modernbert.load(tmp_path / "model")
    truth = search(model, queries(), [entry.whole for entry in DOCUMENTS], 5)
    for opened in (index, Index.open(tmp_path / "index")):
        close(opened.rank(queries(), DENSE), truth)
        assert len(opened) == 30
        assert opened.ids(truth[0]) == [DOCUMENTS[n].id for n in truth[0].numbers]


def test_documents_cut_shorter_than_queries_leave_these_alone(tmp_path):
    folder = write_model(tmp_path / "model", "late")
    model = modernbert.load(folder)
    late = replace(model.sentence.config.late, document_length=12)
    model.sentence.config = replace(model.sentence.config, late=late)
    model.save(folder)
    index = Index.create(tmp_path / "index", folder, DOCUMENTS)
    asked = [entry.text for entry in entries(2, seed=11)]
    assert index.facts.reading.max_length == 12
    truth = search(modernbert.load(folder), asked, [entry.whole for entry in DOCUMENTS], 5)
    close(Index.open(index.folder).rank(asked, DENSE), truth)


@pytest.mark.usefixtures("segment_size")
def test_words_are_found_as_by_bm25s_and_both_are_fused(tmp_path):
    pytest.importorskip("bm25s", reason="bm25s is not installed here")
    index = make_index(tmp_path, "dense", DOCUMENTS)
    words = Lexical([entry.whole for entry in DOCUMENTS]).search(queries(), 100)
    found = index.rank(queries(), SearchOptions(mode="words", number=100))
    close(found, words)
    dense = index.rank(queries(), SearchOptions(mode="dense", number=100))
    both = [hits.first(7) for hits in fused(dense, words, 100)]
    close(index.rank(queries(), SearchOptions(number=7)), both)


def test_what_is_found_has_all_that_was_given(tmp_path):
    index = make_index(
        tmp_path, "dense", [Entry("a", "every token keeps its place", "T", {"n": 1})]
    )
    (hit,) = index.search(["its place"])[0]
    assert (hit.id, hit.title, hit.text, hit.metadata) == (
        "a",
        "T",
        "every token keeps its place",
        {"n": 1},
    )
    assert [hit.snippet.text[a:b] for a, b in hit.snippet.highlights] == ["its", "place"]


@pytest.mark.parametrize("mode", ["dense", "words", "hybrid"])
def test_filters_leave_out_what_does_not_meet_them(tmp_path, mode):
    index = make_index(tmp_path, "dense", DOCUMENTS)
    wanted = SearchOptions(mode=mode, number=30, filter=("year>=2010", "odd=1"))
    found = index.search(queries(), wanted)
    assert {hit.id for hit in found[0]} <= {f"d{n}" for n in range(11, 30, 2)}
    if mode != "words":
        assert len(found[0]) == 10
    everything = index.rank(queries(), SearchOptions(mode=mode, number=30))
    kept = [[n for n in hits.numbers.tolist() if n >= 10 and n % 2] for hits in everything]
    if mode != "hybrid":
        assert [hits.numbers.tolist() for hits in index.rank(queries(), wanted)] == kept


def test_an_index_moves_with_its_model_and_misses_it(tmp_path):
    make_index(tmp_path / "a", "dense", DOCUMENTS)
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert Index.open(tmp_path / "b" / "index").search(["token"])[0]
    shutil.move(tmp_path / "b" / "model", tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=r"is not at \.\./model any more: name it with"):
        Index.open(tmp_path / "b" / "index").search(["token"])
    moved = Index.open(tmp_path / "b" / "index", model=str(tmp_path / "elsewhere"))
    assert moved.search(["token"])[0]
    with pytest.raises(CheckpointError, match=r"no folder .*nowhere"):
        Index.open(tmp_path / "b" / "index", model="./nowhere").search(["token"])


def test_another_model_is_refused(tmp_path):
    make_index(tmp_path, "dense", DOCUMENTS)
    other = write_model(tmp_path / "other", "dense", num_layers=2)
    with pytest.raises(CheckpointError, match=r"was built by another model than .*other is now"):
        Index.open(tmp_path / "index", model=other).search(["token"])
    with pytest.raises(ConfigError, match="is an index of another model or other options"):
        Index.create(tmp_path / "index", other, DOCUMENTS)
    # Words need no model.
    words = SearchOptions(mode="words")
    assert Index.open(tmp_path / "index", model=other).search(["token"], words)[0]


def test_what_is_no_index_or_a_broken_one_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no index: give a folder that"):
        Index.open(tmp_path)
    (tmp_path / "begun" / "segments").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="begun and holds no document yet: repeat the comm"):
        Index.open(tmp_path / "begun")
    index = make_index(tmp_path, "dense", DOCUMENTS).folder
    kept = json.loads((index / "index.json").read_text())

    def says(pattern, **keys):
        (index / "index.json").write_text(json.dumps(kept | keys))
        with pytest.raises((CheckpointError, DataError), match=pattern):
            Index.open(index).search(["token"])

    says("has format 2, this version reads 1", format=2)
    says("has no field 'new'.*; build the index anew", new=3)
    says(r"holds vectors of shape \(30, 32\), and index.json says 30 of 64", dim=64)
    (index / "index.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"cannot be read .*: build the index anew"):
        Index.open(index)
    (index / "index.json").write_text(json.dumps(kept))
    vectors = index / "segments" / "000000" / "vectors.npy"
    for content in (b"no array", vectors.read_bytes()[:-100]):
        vectors.write_bytes(content)
        with pytest.raises(DataError, match=r"vectors.npy cannot be read"):
            Index.open(index).search(["token"])
    (index / "segments" / "000000" / "documents.jsonl").write_text("")
    with pytest.raises(DataError, match=r"000000 cannot be read .*: open the index again"):
        Index.open(index).search(["token"], SearchOptions(mode="words"))


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query_is_refused(tmp_path, query):
    index = make_index(tmp_path, "dense", DOCUMENTS)
    with pytest.raises(DataError, match="query 2 is empty: ask for something"):
        index.search(["token", query])
    with pytest.raises(DataError, match="there is no query"):
        index.search([])
    with pytest.raises(DataError, match="queries is a single text"):
        index.search("token")


def test_an_index_from_which_all_was_deleted_says_so(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:2])
    assert index.delete(["d0", "d1", "d7"]) == ["d7"]
    with pytest.raises(DataError, match="index holds no document: add some"):
        index.search(["token"])


def test_without_documents_nothing_is_left_behind(tmp_path):
    model = write_model(tmp_path / "model")
    (tmp_path / "docs.jsonl").write_text('{"id": 1, "text": " "}\n')
    for given, name in ((EntryFiles([tmp_path / "docs.jsonl"]), "docs.jsonl"), ([], "what was")):
        with pytest.raises(DataError, match=f"{name}.* holds no document with text: give some"):
            Index.create(tmp_path / "index", model, given)
        assert not (tmp_path / "index").exists()


def test_a_folder_with_something_else_is_refused(tmp_path):
    model = write_model(tmp_path / "model")
    with pytest.raises(ConfigError, match="holds files that are no index: give a new or empty"):
        Index.create(tmp_path / "model", model, DOCUMENTS)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file, and no index: give a new or empty folder"):
        Index.create(tmp_path / "file", model, DOCUMENTS)


def test_the_same_documents_are_indexed_once_and_others_not_at_all(tmp_path, capfd):
    model = write_model(tmp_path / "model")
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"id": "{name}", "text": "a text of {name}"}}\n')
    one, two = (EntryFiles([tmp_path / f"{name}.jsonl"]) for name in ("one", "two"))
    Index.create(tmp_path / "index", model, one)
    assert len(Index.create(tmp_path / "index", model, one)) == 1
    assert "the documents of one.jsonl are there already" in capfd.readouterr().err
    with pytest.raises(ConfigError, match="is an index of other documents: add to it with"):
        Index.create(tmp_path / "index", model, two)
    with pytest.raises(ConfigError, match="another model or other options"):
        Index.create(tmp_path / "index", model, one, IndexOptions(compress=("int8",)))


def test_documents_of_a_list_are_indexed_once_too(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS)
    assert len(Index.create(index.folder, tmp_path / "model", entries(30))) == 30
    for others in (DOCUMENTS[:5], iter(DOCUMENTS)):
        with pytest.raises(ConfigError, match="is an index of other documents"):
            Index.create(index.folder, tmp_path / "model", others)


def test_documents_that_are_cut_are_counted(tmp_path, capfd):
    long = Entry("long", "token " * 200)
    index = make_index(tmp_path, "dense", [*DOCUMENTS[:3], long])
    assert index.facts.num_cut == 1
    said = capfd.readouterr().err
    assert "longer than 64 tokens, cut there: 1; --long chunks reads all of them" in said


def test_the_way_to_read_more_is_one_that_the_model_has(tmp_path, capfd):
    long = Entry("long", "token " * 200)
    make_index(tmp_path, "late", [long])
    assert "cut there: 1; --max-length 512 reads more of them" in capfd.readouterr().err


def test_a_model_that_scores_is_told_from_one_that_embeds(tmp_path, capfd):
    scorer = made(HeadConfig(kind="sequence", labels=("score",), problem="regression"))
    scorer.save(tmp_path / "scorer")
    Index.create(tmp_path / "index", tmp_path / "scorer", DOCUMENTS[:3])
    assert "scorer labels texts: its vectors were not made to be compared" in capfd.readouterr().err
    make_index(tmp_path / "plain", "dense", DOCUMENTS[:3])
    assert "not made to be compared" not in capfd.readouterr().err


def test_vectors_and_texts_that_do_not_fit_are_refused(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS)
    with pytest.raises(ConfigError, match=r"shape \(1, 3\), and documents have \d+ numbers"):
        index.rank_vectors([np.zeros((1, 3), dtype=np.float32)], DENSE)
    for broken in ({"id": "a\ud800", "text": "b"}, {"id": "a", "text": "\ud800"}):
        with pytest.raises(DataError, match=r"a document: its (id|text) holds what is no"):
            index.add([Entry(**broken)])
