import gzip
import json

import pytest

from modernbert.base.errors import DataError
from modernbert.data.pair_columns import PairColumns, guess
from modernbert.data.pairs import (
    Pair,
    PairOptions,
    PairSet,
    held_out,
    read_pairs,
    to_judged,
)
from tests.judged_sets import write_set
from tests.pairs import rows, write_rows


def read(path, **options) -> PairSet:
    return read_pairs(path, PairOptions(**options))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("anchor", "positive"), ("anchor", "positive", (), "")),
        (
            ("query", "positive", "negative_2", "negative_10", "negative_1", "scores"),
            ("query", "positive", ("negative_1", "negative_2", "negative_10"), "scores"),
        ),
        (("id", "docstring", "code"), ("docstring", "code", (), "")),
        (("question", "answer", "neg"), ("question", "answer", ("neg",), "")),
        (("query", "pos", "neg"), ("query", "pos", ("neg",), "")),
        (("text", "label", "document"), ("text", "document", (), "label")),
        (("query", "text"), ("query", "text", (), "")),
        (("sentence1", "sentence2", "score"), ("sentence1", "sentence2", (), "score")),
        (("Query", "Positive"), ("Query", "Positive", (), "")),
    ],
)
def test_columns_are_guessed_by_their_names(names, found):
    assert guess(PairColumns(), names, "x") == PairColumns(*found)


def test_named_columns_are_taken_and_must_be_there():
    given = PairColumns(query="a", positive="b", negatives=("c",))
    assert guess(given, ("b", "a", "c", "query"), "x") == given
    with pytest.raises(DataError, match="x has no column 'z'"):
        guess(PairColumns(query="z"), ("a",), "x")
    with pytest.raises(DataError, match="none is seen to hold documents: name it with --query"):
        guess(PairColumns(), ("query", "number"), "x")


def test_pairs_of_all_kinds_of_files(tmp_path):
    lines = rows(3, negatives=1)
    packed = tmp_path / "p.jsonl.gz"
    packed.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    table = tmp_path / "p.tsv"
    names = list(lines[0])
    table.write_text("\n".join("\t".join(each) for each in [names, *(r.values() for r in lines)]))
    wanted = [Pair(r["query"], r["positive"], (r["negative_1"],)) for r in lines]
    assert list(read(packed).pairs) == list(read(table).pairs) == wanted


def test_lists_of_positives_and_negatives(tmp_path):
    path = write_rows(tmp_path / "p.jsonl", [{"query": "q", "pos": ["a", "b"], "neg": ["c", "d"]}])
    assert list(read(path).pairs) == [Pair("q", "a", ("c", "d")), Pair("q", "b", ("c", "d"))]


def test_scores_are_of_all_documents_or_margins_or_of_the_pair(tmp_path):
    taught = write_rows(tmp_path / "t.jsonl", rows(2, 2, "teacher"))
    assert read(taught).pairs[0].scores == (3.0, 1.0, 0.5)
    assert read(taught).holding == "teacher"
    margin = {"query": "q", "positive": "a", "negative": "b", "score": 2.5}
    assert read(write_rows(tmp_path / "m.jsonl", [margin])).pairs[0].scores == (0.0, -2.5)
    labels = write_rows(tmp_path / "l.jsonl", rows(2, scores="labels"))
    assert read(labels).holding == "labels"
    spelled = tmp_path / "s.csv"
    spelled.write_text('query,positive,negative,scores\nq,a,b,"[2, 1]"\n')
    assert read(spelled).pairs[0].scores == (2.0, 1.0)


def test_scores_that_do_not_fit_are_refused(tmp_path):
    row = rows(1, 3)[0] | {"scores": [1.0, 2.0]}
    with pytest.raises(DataError, match="line 1 has 2 scores and 3 negatives: give a score for"):
        read(write_rows(tmp_path / "a.jsonl", [row]))
    row = {"query": "q", "positive": ["a", "b"], "score": 1.0}
    with pytest.raises(DataError, match="has 2 positives and scores: give a row to each"):
        read(write_rows(tmp_path / "b.jsonl", [row]))
    row = {"query": "q", "positive": 3}
    with pytest.raises(DataError, match="column 'positive' holds 3, which is no text"):
        read(write_rows(tmp_path / "c.jsonl", [row]))
    row = {"query": "q", "positive": "ab\ud800"}
    with pytest.raises(DataError, match="line 1: 'positive' is no Unicode at character 2: mend it"):
        read(write_rows(tmp_path / "d.jsonl", [row]))


def test_numbers_of_negatives_that_are_not_there_are_left_out(tmp_path):
    def scores(numbers, *negatives):
        cells = {f"negative_{n}": text for n, text in enumerate(negatives)}
        row = {"query": "q", "positive": "a", **cells, "scores": numbers}
        return read(write_rows(tmp_path / "p.jsonl", [row])).pairs[0].scores

    assert scores([9, 8, 7, 6], "b", None, "d") == (9.0, 8.0, 6.0)
    assert scores([9, 8, None, 6], "b", "", "d") == (9.0, 8.0, 6.0)
    assert scores([1, 2, 3], "b", None, None) == (0.0, -1.0)
    assert scores([1, 3], "b", None, "d") == (0.0, -1.0, -3.0)
    with pytest.raises(DataError, match="has 3 scores, 2 negatives and an empty one, and the sc"):
        scores([1, 2, 3], "b", None, "d")


def test_pairs_that_are_left_out_do_not_count(tmp_path):
    many = [{"query": "", "positive": "x"}, *rows(1), *rows(4)]
    found = read(write_rows(tmp_path / "p.jsonl", many), most=3)
    assert [pair.query for pair in found.pairs] == [row["query"] for row in rows(3)]
    assert len(read(tmp_path / "p.jsonl", most=9).pairs) == 4


def test_what_cannot_be_used_is_left_out_and_counted(tmp_path):
    many = [*rows(2), *rows(1), {"query": "", "positive": "x"}, {"query": "x", "positive": None}]
    found = read(write_rows(tmp_path / "p.jsonl", many))
    assert len(found.pairs) == 2
    assert found.notes == (
        "left out: 1 rows that came before",
        "left out: 2 rows without query or document",
    )
    empty = write_rows(tmp_path / "e.jsonl", [{"query": "", "positive": "x"}])
    with pytest.raises(DataError, match="holds no pair to learn from"):
        read(empty)


def test_all_rows_get_the_same_number_of_negatives(tmp_path):
    path = write_rows(tmp_path / "p.jsonl", [*rows(2, 3), {**rows(3, 1)[2], "negative_2": None}])
    found = read(path)
    assert found.num_negatives == 1
    assert "rows have 1 to 3 negatives, and 1 of each are taken" in found.notes[-1]
    more = read(path, num_negatives=2)
    assert (len(more.pairs), more.num_negatives) == (2, 2)
    assert more.notes[0] == "left out: 1 rows with fewer than 2 negatives"


def test_judged_sets_are_pairs(tmp_path):
    folder = write_set(tmp_path / "set")
    with pytest.raises(DataError, match=r"no judgements to learn from: put them in qrels/train"):
        read(folder)
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "train.tsv")
    assert list(read(folder).pairs) == [
        Pair("packed batch", "the packed batch keeps every token"),
        Pair("packed batch", "a token of the batch"),
        Pair("documents apart", "places documents stand apart"),
    ]


def test_a_tenth_of_the_queries_is_held_out():
    pairs = [Pair(f"q{n // 2}", f"d{n}") for n in range(100)]
    learned, measured = held_out(PairSet(pairs, PairColumns()), seed=1)
    assert (len(learned.pairs), len(measured.pairs)) == (90, 10)
    assert not {p.query for p in learned.pairs} & {p.query for p in measured.pairs}
    again = held_out(PairSet(pairs, PairColumns()), seed=1)
    assert [again[1].pairs, again[0].pairs] == [measured.pairs, learned.pairs]
    assert held_out(PairSet(pairs, PairColumns()), seed=2)[1].pairs != measured.pairs
    with pytest.raises(DataError, match="all pairs are of one query"):
        held_out(PairSet([Pair("q", "a"), Pair("q", "b")], PairColumns()), seed=1)


def test_pairs_become_a_set_to_search():
    found = PairSet([Pair("q", "a", ("b",)), Pair("q", "c", ("a",))], PairColumns())
    others = PairSet([Pair("r", "z", ("a",))], PairColumns())
    judged = to_judged(found, others)
    assert judged.documents == {"d0": "a", "d1": "b", "d2": "c", "d3": "z"}
    assert judged.queries == {"q0": "q"}
    assert judged.judged == {"q0": {"d0": 1, "d2": 1}}


def test_most_bounds_what_is_read(tmp_path):
    path = write_rows(tmp_path / "p.jsonl", rows(9))
    assert len(read(path, most=4).pairs) == 4
    assert read(path).fingerprint != read(path, most=4).fingerprint
