import json
from pathlib import Path

import numpy as np
import pytest

from modernbert.base.errors import CheckpointError, ConfigError, DataError, MachineError
from modernbert.model.config import HeadConfig
from modernbert.retrieval import mine as mining
from modernbert.retrieval.mine import mine
from modernbert.retrieval.mine_options import MineOptions
from tests.judged_sets import write_set
from tests.pairs import rows, write_rows
from tests.runs import rows_of
from tests.sentence_folders import made

SCORER = HeadConfig(kind="sequence", labels=("score",), problem="regression")
ALL = {"margin": -9.0, "relative_margin": 0.0}
"""Nothing is passed over for its score."""


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finder") / "model"
    made().save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", rows(20))


def mined(model, pairs, folder, **options):
    found = mine(model, pairs, folder / "mined.jsonl", MineOptions(**options))
    return rows_of(folder / "mined.jsonl"), found


def negatives_of(row):
    return [row[name] for name in row if name.startswith("negative")]


def cosines(queries, documents):
    model = made()
    asked, texts = (model.embed(each).numpy() for each in (queries, documents))
    asked, texts = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (asked, texts))
    return asked @ texts.T


@pytest.mark.parametrize("shard", [1, 7, 1024])
def test_negatives_are_the_best_documents_that_do_not_answer(
    finder, pairs, tmp_path, monkeypatch, shard
):
    monkeypatch.setattr(mining, "_FEWEST_IN_SHARD", shard)
    monkeypatch.setattr(mining, "_MOST_SCORES", 1)
    written, found = mined(finder, pairs, tmp_path, number=3, with_scores=True, **ALL)
    many = rows(20)
    documents = [row["positive"] for row in many]
    scores = cosines([row["query"] for row in many], documents)
    assert found.pairs == len(written) == 20
    for number, row in enumerate(written):
        told = scores[number].copy()
        told[number] = -9
        assert [row["query"], row["positive"]] == [many[number]["query"], documents[number]]
        assert negatives_of(row) == [documents[place] for place in np.argsort(-told)[:3]]
        wanted = [scores[number, number], *np.sort(told)[::-1][:3]]
        np.testing.assert_allclose(row["scores"], wanted, atol=1e-5)


def test_what_scores_too_near_the_positive_is_passed_over(finder, pairs, tmp_path):
    written, found = mined(
        finder, pairs, tmp_path, number=1, candidates=19, margin=0.02, relative_margin=0.0,
        with_scores=True,
    )  # fmt: skip
    assert all(row["scores"][1] <= row["scores"][0] - 0.02 for row in written)
    assert found.passed_over["score above the positive less 0.02"] > 0
    written, found = mined(
        finder, pairs, tmp_path, number=1, candidates=19, margin=-9.0, relative_margin=0.9,
        with_scores=True,
    )  # fmt: skip
    assert all(row["scores"][1] <= row["scores"][0] * 0.9 for row in written)
    assert found.left_out == 20 - len(written)
    written, _ = mined(
        finder, pairs, tmp_path, number=1, candidates=19, max_score=0.9, with_scores=True, **ALL
    )
    assert all(row["scores"][1] <= 0.9 for row in written)


def test_an_answer_is_never_a_negative(finder, tmp_path):
    many = [
        {"query": "the batch", "positive": "a packed batch"},
        {"query": "the batch", "positive": "every batch"},
        {"query": "a token", "positive": "each token"},
        {"query": "a place", "positive": "each place"},
    ]
    path = write_rows(tmp_path / "pairs.jsonl", many)
    written, _ = mined(finder, path, tmp_path, number=2, **ALL)
    for row in written[:2]:
        assert {*negatives_of(row)} == {"each token", "each place"}


def test_the_very_top_is_skipped(finder, pairs, tmp_path):
    first, _ = mined(finder, pairs, tmp_path, number=3, **ALL)
    skipped, _ = mined(finder, pairs, tmp_path, number=2, skip_top=1, **ALL)
    assert [negatives_of(row) for row in skipped] == [negatives_of(row)[1:] for row in first]


def test_drawn_negatives_are_the_same_every_time(finder, pairs, tmp_path):
    options = {"number": 2, "random": True, **ALL}
    once, _ = mined(finder, pairs, tmp_path, **options)
    again, _ = mined(finder, pairs, tmp_path, **options)
    other, _ = mined(finder, pairs, tmp_path, seed=3, **options)
    assert once == again != other


def test_a_reranker_decides_and_its_scores_are_written(finder, pairs, tmp_path):
    folder = tmp_path / "reranker"
    made(SCORER).save(folder)
    written, _ = mined(finder, pairs, tmp_path, number=2, reranker=str(folder), **ALL)
    from modernbert.infer.classify import label_scores

    for row in written:
        both = [(row["query"], text) for text in (row["positive"], *negatives_of(row))]
        told = label_scores(made(SCORER), both)[:, 0].tolist()
        np.testing.assert_allclose(row["scores"], told, atol=1e-4)
        assert row["scores"][1] >= row["scores"][2]
    with pytest.raises(ConfigError, match="a reranker has a head that scores pairs"):
        mined(finder, pairs, tmp_path, reranker=finder)


def test_negatives_come_from_a_corpus(finder, tmp_path):
    folder = write_set(tmp_path / "set")
    path = write_rows(tmp_path / "pairs.jsonl", rows(2))
    (row, _), _ = mined(finder, path, tmp_path, number=2, corpus=str(folder), **ALL)
    texts = write_rows(tmp_path / "texts.jsonl", [{"body": "a b"}, {"body": "c"}, {"body": " "}])
    assert not {*negatives_of(row)} & {each["positive"] for each in rows(2)[:1]}
    (row, _), _ = mined(finder, path, tmp_path, number=3, corpus=str(texts), text="body", **ALL)
    assert {*negatives_of(row)} == {"a b", "c", rows(2)[1]["positive"]}
    with pytest.raises(DataError, match=r"line 1 has no text in 'text' .*name the column with"):
        mined(finder, path, tmp_path, corpus=str(texts), number=1)
    write_rows(texts, [{"text": "a\ud800"}])
    with pytest.raises(DataError, match="line 1: 'text' is no Unicode at character 1: mend it"):
        mined(finder, path, tmp_path, corpus=str(texts), number=1)


def test_pairs_without_enough_negatives_are_left_out(finder, tmp_path):
    many = [
        *rows(4),
        {"query": "the batch", "positive": "a"},
        {"query": "the batch", "positive": "b"},
    ]
    path = write_rows(tmp_path / "pairs.jsonl", many)
    written, found = mined(finder, path, tmp_path, number=5, **ALL)
    assert (len(written), found.pairs, found.left_out) == (4, 4, 2)
    with pytest.raises(DataError, match="no pair has 6 negatives among 50 candidates: raise"):
        mined(finder, path, tmp_path, number=6, **ALL)
    assert len(rows_of(tmp_path / "mined.jsonl")) == 4


def test_scored_pairs_are_refused(finder, tmp_path):
    path = write_rows(tmp_path / "pairs.jsonl", rows(4, scores="labels"))
    with pytest.raises(DataError, match="has a score of each pair in 'label', and every pair is"):
        mined(finder, path, tmp_path)


def test_where_to_is_checked_before_the_work(pairs, tmp_path, monkeypatch):
    def asked(out, given=pairs, **options):
        mine("no model", given, out, MineOptions(**options))

    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, Path(), Path(".."), Path("/")):
        with pytest.raises(ConfigError, match=r"is a folder: name a file \.jsonl with --out"):
            asked(folder)
    for name in ("mined.csv", "mined.tsv", "mined.parquet", "mined.jsonl.gz"):
        with pytest.raises(ConfigError, match=f"{name} would hold JSON lines: let the name"):
            asked(tmp_path / name)
    before = pairs.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(pairs)
    for out in (pairs, tmp_path / "link.jsonl"):
        with pytest.raises(ConfigError, match=r"is among what is read from .*: give another --out"):
            asked(out)
    corpus = write_set(tmp_path / "set")
    with pytest.raises(ConfigError, match=r"corpus\.jsonl is among what is read from \S+set: give"):
        asked(corpus / "corpus.jsonl", corpus=str(corpus))
    with pytest.raises(MachineError, match="cannot be written"):
        asked(pairs / "mined.jsonl")
    with pytest.raises(CheckpointError):
        asked(tmp_path / "new" / "mined.jsonl")
    assert pairs.read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_numbers_without_sense_are_refused():
    with pytest.raises(ConfigError, match="--number is 9 and --candidates 3: give 1 or more, and"):
        MineOptions(number=9, candidates=3)
    with pytest.raises(ConfigError, match="--skip-top, --max-pairs and --relative-margin cannot"):
        MineOptions(skip_top=-1)
    for name in ("margin", "relative_margin", "max_score"):
        with pytest.raises(ConfigError, match="--max-score cannot be nan"):
            MineOptions(**{name: float("nan")})


def test_what_was_mined_can_be_learned_from(finder, pairs, tmp_path):
    from modernbert.data.pairs import PairOptions, read_pairs

    mined(finder, pairs, tmp_path, number=3, with_scores=True, **ALL)
    found = read_pairs(tmp_path / "mined.jsonl", PairOptions())
    assert (found.holding, found.num_negatives, len(found.pairs)) == ("teacher", 3, 20)
    assert json.loads((tmp_path / "mined.jsonl").read_text().splitlines()[0])["scores"]
