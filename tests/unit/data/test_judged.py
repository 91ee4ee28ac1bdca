import gzip

import pytest

from modernbert.base.errors import DataError
from modernbert.data.judged import read_judged
from tests.judged_sets import DOCUMENTS, write_set


def test_a_set_is_read_as_beir_reads_it(tmp_path):
    found = read_judged(write_set(tmp_path / "small"), "test")
    assert found.name == "small"
    assert list(found.documents) == ["d1", "d2", "d3", "d4"]
    assert found.documents["d2"] == "places documents stand apart"
    assert found.queries == {"q1": "packed batch", "q2": "documents apart"}, "the judged ones"
    assert found.judged == {"q1": {"d1": 2, "d3": 1}, "q2": {"d2": 1, "d4": 0}}
    assert found.notes == ()


def test_packed_files_and_numbers_for_ids_are_read(tmp_path):
    folder = write_set(tmp_path / "small")
    corpus = folder / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace('"d4"', "4"))
    with gzip.open(folder / "corpus.jsonl.gz", "wt") as packed:
        packed.write(corpus.read_text())
    corpus.unlink()
    assert list(read_judged(folder, "test").documents) == ["d1", "d2", "d3", "4"]


def test_what_is_odd_is_said(tmp_path):
    documents = DOCUMENTS | {"d5": ("", "")}
    judgements = [("q1", "d1", "1"), ("q1", "gone", "1"), ("q2", "d2", "0")]
    found = read_judged(write_set(tmp_path / "odd", documents, judgements=judgements), "test")
    assert found.notes == (
        "documents without text: 1, such as 'd5'",
        "judged documents that the corpus lacks: 1, such as 'gone'",
        "queries that no document answers: 1, such as 'q2'",
    )


@pytest.mark.parametrize(
    "lines",
    [
        "q1\td1\t2\nq1\td3\t1\nq2\td2\t1\nq2\td4\t0\n",
        "1\td1\t1\nq2\td2\t1\n",  # the first line repeats a value
        "q1\t0\td1\t2\nq2\tQ0\td2\t1\n",
        "q1 0 d1 2\nq2 0 d2 1\n",
        "q1 0 d1 2\n",
        "query-id corpus-id score\nq1 d1 2\n",
    ],
)
def test_judgements_without_a_header_and_those_of_trec_are_read_whole(tmp_path, lines):
    queries = {"q1": "packed batch", "q2": "documents apart", "1": "token"}
    folder = write_set(tmp_path / "bare", queries=queries)
    (folder / "qrels" / "test.tsv").write_text(lines)
    given = [line.split() for line in lines.splitlines() if line.split()[-1] != "score"]
    wanted: dict = {}
    for query, *_, document, grade in given:
        wanted.setdefault(query, {})[document] = int(grade)
    assert read_judged(folder, "test").judged == wanted


def test_a_header_that_names_a_column_twice_has_no_option_to_be_told_of(tmp_path):
    folder = write_set(tmp_path / "twice")
    (folder / "qrels" / "test.tsv").write_text("id\tid\tscore\nq1\td1\t1\n")
    with pytest.raises(DataError, match=r"names a column twice \(id, id, score\): rename one$"):
        read_judged(folder, "test")


def test_one_grade_twice_is_one_and_two_are_refused(tmp_path):
    same = [("q1", "d1", "2"), ("q1", "d1", "2")]
    found = read_judged(write_set(tmp_path / "same", judgements=same), "test")
    assert found.judged == {"q1": {"d1": 2}}
    folder = write_set(tmp_path / "two", judgements=[*same, ("q1", "d1", "0")])
    with pytest.raises(DataError, match=r"tsv, line 4 judges 'd1' for 'q1' by 0, and a line befo"):
        read_judged(folder, "test")


TWICE = '{"_id": "d9", "text": "a"}\n{"_id": "d9", "text": "b"}\n'


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("corpus.jsonl", TWICE, r"corpus.jsonl, line 2 has the id 'd9' of \S+, line 1: give it an"),
        ("corpus.jsonl", '{"_id": "a", "text": "b\\ud800"}\n', "line 1: 'text' is no Unicode at"),
        ("queries.jsonl", '{"_id": "\\ud800", "text": "a"}\n', "line 1: '_id' is no Unicode at"),
        ("queries.jsonl", TWICE, "queries.jsonl, line 2 has the id 'd9'"),
        ("corpus.jsonl", '{"text": "a"}\n', "line 1 has no '_id': complete it"),
        ("corpus.jsonl", '{"_id": "a"}\n', "line 1 has no 'text': complete it"),
        ("corpus.jsonl", "", "corpus.jsonl holds no document: give a folder in BEIR's layout"),
        ("queries.jsonl", "", "lacks the judged query 'q1' and 1 more: complete it"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", "holds no judgement"),
        ("qrels/test.tsv", "a\tb\tc\nq1\td1\tgood\n", "line 2 is no judgement: give query-id"),
        ("qrels/test.tsv", "a\tb\nq1\td1\n", "line 2 is no judgement: give query-id"),
    ],
)
def test_what_is_broken_is_named(tmp_path, name, content, sentence):
    folder = write_set(tmp_path / "broken")
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_judged(folder, "test")


def test_what_is_missing_is_named(tmp_path):
    folder = write_set(tmp_path / "part")
    with pytest.raises(DataError, match="no judgements of 'dev'; it has test: name one with"):
        read_judged(folder, "dev")
    (folder / "queries.jsonl").unlink()
    with pytest.raises(DataError, match=r"has no queries\.jsonl: give a folder in BEIR's layout"):
        read_judged(folder, "test")
    with pytest.raises(DataError, match="is no folder: give a folder in BEIR's layout"):
        read_judged(tmp_path / "none", "test")
