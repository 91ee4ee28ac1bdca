"""Passages with labels that can be seen of them: as told, the same each time, in every corpus."""

import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.data.build import build
from modernbert.data.chunks import ChunkTable
from modernbert.data.corpus import Corpus
from modernbert.data.manifest import BuildOptions
from modernbert.data.probe_texts import suite
from modernbert.data.train_tokenizer import train
from tests.corpora import make_corpus, write_texts


def rich_texts(seed, count):
    """Texts of 300 words, each its own, so that some are neither in all passages nor in none."""
    draw = np.random.default_rng(seed)
    words = ["".join(draw.choice([*"abcdefghiklmnoprstu"], 5)) for _ in range(300)]
    return [" ".join(draw.choice(words, 200)) for _ in range(count)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    many = {"books": rich_texts(0, 60), "code": rich_texts(1, 40)}
    tokens = train(iter([*many["books"], *many["code"]]), 1024)
    sources = {name: [write_texts(folder / name, texts)] for name, texts in many.items()}
    options = BuildOptions(heldout_fraction=0.4)
    build(sources, tokens, folder / "corpus", options=options, report=print)
    return Corpus.open(folder / "corpus")


@pytest.fixture(scope="module")
def told(corpus):
    return {each.name: each for each in suite(corpus)}


def passage_of(corpus, number):
    return ChunkTable(corpus, "heldout", 26).rows(*np.array([[number], [number]])).ids.tolist()


def test_every_probe_has_its_passages(told):
    assert [*told] == ["source", "word", "length", "order"]
    for each in told.values():
        assert len(each.passages) == len(each.labels) == len(each.origins)
        assert len(set(each.origins)) == len(each.origins) > 50
    whole = dict(zip(told["source"].origins, told["source"].passages, strict=True))
    for origin, passage in zip(told["word"].origins, told["word"].passages, strict=True):
        assert passage is whole[origin], "probes share a passage, so that it is embedded once"


def test_passages_are_held_out_text_of_their_source(corpus, told):
    table = ChunkTable(corpus, "heldout", 26)
    for passage, label, origin in zip(
        told["source"].passages, told["source"].labels, told["source"].origins, strict=True
    ):
        assert passage.tolist() == passage_of(corpus, origin)
        assert len(passage) == 26
        assert table.source_starts[label] <= origin < table.source_starts[label + 1]
    assert set(told["source"].labels) == {0, 1}


def test_a_passage_holds_just_the_word_of_its_label(told):
    word = told["word"]
    by_label = {}
    for passage, label in zip(word.passages, word.labels, strict=True):
        by_label.setdefault(label, []).append(set(passage[1:-1].tolist()))
    commons = {label: set.intersection(*sets) for label, sets in by_label.items()}
    assert len(commons) > 2
    for label, common in commons.items():
        others = set().union(
            *(each for mine, sets in by_label.items() if mine != label for each in sets)
        )
        assert common - others, "each label has a token that no passage of another has"


def test_a_length_is_one_of_six(corpus, told):
    lengths = {
        label: {
            len(passage) - 2
            for passage, mine in zip(told["length"].passages, told["length"].labels, strict=True)
            if mine == label
        }
        for label in range(6)
    }
    assert lengths == {label: {4 * (label + 1)} for label in range(6)}
    closed = {(row[0], row[-1]) for row in told["length"].passages}
    assert closed == {(corpus.tokenizer.cls_id, corpus.tokenizer.sep_id)}


def test_two_neighbours_change_places_in_half(corpus, told):
    order = told["order"]
    for passage, label, origin in zip(order.passages, order.labels, order.origins, strict=True):
        before = np.array(passage_of(corpus, origin))
        apart = np.flatnonzero(before != passage)
        assert len(apart) == 2 * label
        if label:
            first, second = apart
            assert second == first + 1
            assert passage[[first, second]].tolist() == before[[second, first]].tolist()
            assert 0 < first < 24
    assert 0.35 < np.mean(order.labels) < 0.65


def test_the_same_come_each_time(corpus, told):
    again = suite(Corpus.open(corpus.folder))
    for mine, other in zip(again, told.values(), strict=True):
        assert (mine.name, mine.labels, mine.origins) == (other.name, other.labels, other.origins)
        assert all((a == b).all() for a, b in zip(mine.passages, other.passages, strict=True))


def test_one_source_is_not_told_from_itself(tmp_path):
    corpus = make_corpus(tmp_path, {"books": 120}, heldout_fraction=0.5)
    assert "source" not in {each.name for each in suite(corpus)}


def test_too_little_held_out_text_is_said(tmp_path):
    corpus = make_corpus(tmp_path, {"books": 12}, heldout_fraction=0.1)
    with pytest.raises(DataError, match=r"holds out \d+ passages of 24 tokens, and --probes"):
        suite(corpus)


def test_no_held_out_text_is_said(tmp_path):
    corpus = make_corpus(tmp_path, {"books": 12}, heldout_fraction=0.0)
    with pytest.raises(DataError, match="holds out 0 passages"):
        suite(corpus)
