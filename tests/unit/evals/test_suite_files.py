import json

import pytest

from modernbert.base.errors import DataError
from modernbert.evals.glue import GLUE
from modernbert.evals.labelled_sets import LABELLED_SETS
from modernbert.evals.suite_files import Missing, Prepared, prepare
from tests.corpora import SHARED, needs_shared_data
from tests.glue import write_cola, write_mnli, write_table
from tests.runs import rows_of

TASKS = {task.name: task for suite in (GLUE, LABELLED_SETS) for task in suite.tasks}


def prepared(name, data, target, **more):
    found = prepare(TASKS[name], data, target, **more)
    assert isinstance(found, Prepared), found
    return found, {part: rows_of(path) for part, path in found.paths.items()}


def test_cola_has_no_header_and_mnli_has_rows_that_nobody_agrees_on(tmp_path):
    write_cola(tmp_path / "glue" / "CoLA", 5)
    _, parts = prepared("CoLA", tmp_path / "glue", tmp_path / "cola")
    assert [len(rows) for rows in parts.values()] == [5, 5]
    assert {row["label"] for row in parts["train"]} <= {"0", "1"}
    assert set(parts["train"][0]) == {"text", "label"}
    write_mnli(tmp_path / "glue" / "mnli", 5)
    found, parts = prepared("MNLI", tmp_path / "glue", tmp_path / "mnli")
    assert (found.rows, found.num_left_out) == ({"train": 5, "dev": 5, "test": 5}, 3)
    assert found.is_pair
    assert parts["train"] != parts["dev"] != parts["test"]


def test_lines_that_are_cut_short_are_left_out_and_said(tmp_path, capsys):
    head = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
    rows = [head, ["1", "2", "3", 'a "b', "c d", "1"], ["4", "5"], ["6", "7", "8", "e", "", "0"]]
    for part in ("train", "dev"):
        write_table(tmp_path / "QQP" / f"{part}.tsv", rows)
    _, parts = prepared("QQP", tmp_path, tmp_path / "out")
    assert parts["dev"] == [{"text": 'a "b', "pair": "c d", "label": "1"}]
    assert "QQP: 4 rows without a label or a text are left out" in capsys.readouterr().err


def test_the_hub_numbers_labels(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {"premise": "a", "hypothesis": "b", "label": label, "idx": n}
        for n, label in enumerate((0, 1, 2, -1))
    ]
    (tmp_path / "mnli").mkdir()
    for part in ("train", "validation_matched", "validation_mismatched"):
        path = tmp_path / "mnli" / f"{part}-00000-of-00001.parquet"
        parquet.write_table(pa.Table.from_pylist(rows), path)
    _, parts = prepared("MNLI", tmp_path, tmp_path / "out")
    labels = [row["label"] for row in parts["test"]]
    assert labels == ["entailment", "neutral", "contradiction"]
    values = [{"sentence1": "a", "sentence2": "b", "label": 3.2, "idx": 0}]
    (tmp_path / "stsb").mkdir()
    for part in ("train", "validation"):
        path = tmp_path / "stsb" / f"{part}-00000-of-00001.parquet"
        parquet.write_table(pa.Table.from_pylist(values), path)
    _, parts = prepared("STS-B", tmp_path, tmp_path / "out")
    assert parts["dev"] == [{"text": "a", "pair": "b", "label": 3.2}]


def test_the_dev_part_of_mrpc_may_be_a_list_of_ids(tmp_path):
    head = ["\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    rows = [[str(n % 2), str(n), str(n + 50), f"one {n}", f"other {n}"] for n in range(6)]
    write_table(tmp_path / "MRPC" / "msr_paraphrase_train.txt", [head, *rows])
    missing = prepare(TASKS["MRPC"], tmp_path, tmp_path / "out")
    assert missing == Missing(f"{tmp_path / 'MRPC'} holds no dev part")
    ids = [["#1 ID", "#2 ID"], ["2", "52"], ["5", "55"]]
    write_table(tmp_path / "MRPC" / "dev_ids.tsv", ids)
    _, parts = prepared("MRPC", tmp_path, tmp_path / "out")
    assert [row["text"] for row in parts["dev"]] == ["one 2", "one 5"]
    assert [row["text"] for row in parts["train"]] == ["one 0", "one 1", "one 3", "one 4"]


def test_folds_and_tagged_words(tmp_path):
    rows = [{"text": f"t {n}", "label": n % 2, "fold": n // 2} for n in range(20)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "movie_reviews").mkdir()
    (tmp_path / "movie_reviews" / "all.jsonl").write_text(lines)
    _, parts = prepared("movie reviews", tmp_path, tmp_path / "out")
    assert [len(parts[part]) for part in ("train", "dev", "test")] == [16, 2, 2]
    assert [row["text"] for row in parts["test"]] == ["t 18", "t 19"]
    assert parts["dev"][1]["label"] == "1"
    folder = tmp_path / "ner" / "GUM"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        (folder / f"{part}.conll").write_text("a\tB-x\nb\tO\n\nc\tO\n\n")
    _, parts = prepared("GUM", tmp_path, tmp_path / "out")
    assert parts["train"][0] == {"tokens": ["a", "b"], "tags": ["B-x", "O"]}
    assert set(parts) == {"train", "test"}


ANSWER = {"text": "packed batch", "answer_start": 4}


def test_questions_of_a_paragraph_stay_together(tmp_path):
    folder = tmp_path / "xquad-en"
    (folder / "qrels").mkdir(parents=True)
    texts = {f"d{n}": f"the packed batch {n} keeps every token" for n in range(60)}
    asked = [(f"q{n}", f"d{n % 60}") for n in range(120)]
    rows = [{"_id": name, "text": text} for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"_id": q, "text": "which?", "metadata": {"answers": [ANSWER]}} for q, _ in asked]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = [["query-id", "corpus-id", "score"], *([q, d, "1"] for q, d in asked)]
    write_table(folder / "qrels" / "test.tsv", judged)
    found, parts = prepared("XQuAD", tmp_path, tmp_path / "out")
    assert sum(found.rows.values()) == 120
    contexts = [{row["context"] for row in rows} for rows in parts.values()]
    assert all(contexts)
    assert len(set.union(*contexts)) == sum(map(len, contexts)) == 60
    assert parts["test"][0]["answers"] == [ANSWER]
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "x", "text": "which?"}) + "\n")
    with pytest.raises(DataError, match="line 1 has no answers and no context: give questions as"):
        prepared("XQuAD", tmp_path, tmp_path / "again")


def test_fewer_rows_are_a_file_of_their_own(tmp_path):
    write_cola(tmp_path / "CoLA", 30)
    found, parts = prepared("CoLA", tmp_path, tmp_path / "out", most_rows=7)
    assert found.rows == {"train": 7, "dev": 30}
    assert found.paths["train"].name == "train-7.jsonl"
    everything = prepared("CoLA", tmp_path, tmp_path / "out")[1]["train"]
    assert all(row in everything for row in parts["train"])


def test_fewer_rows_still_say_every_tag(tmp_path):
    folder = tmp_path / "GUM"
    folder.mkdir()
    for part in ("train", "test"):
        (folder / f"{part}.conll").write_text("a\tO\nb\tB-x\n\n" * 50 + "c\tB-rare\n\n")
    _, parts = prepared("GUM", tmp_path, tmp_path / "out", most_rows=3)
    assert len(parts["train"]) == 3
    assert {"tokens": ["c"], "tags": ["B-rare"]} in parts["train"]


def test_what_is_missing_is_named(tmp_path):
    assert prepare(TASKS["RTE"], tmp_path, tmp_path).reason == f"{tmp_path} holds no folder RTE"
    (tmp_path / "RTE").mkdir()
    assert prepare(TASKS["RTE"], tmp_path, tmp_path).reason.endswith("RTE holds no train part")
    write_mnli(tmp_path / "MNLI")
    (tmp_path / "MNLI" / "dev_mismatched.tsv").unlink()
    assert prepare(TASKS["MNLI"], tmp_path, tmp_path).reason.endswith("holds no second dev part")
    for part in ("train", "dev"):
        write_table(tmp_path / "RTE" / f"{part}.tsv", [["sentence1", "sentence2", "label"]])
    assert "holds no row with a label" in prepare(TASKS["RTE"], tmp_path, tmp_path).reason


def test_other_columns_are_refused(tmp_path):
    for part in ("train", "dev"):
        write_table(tmp_path / "RTE" / f"{part}.tsv", [["id", "text"], ["1", "a"]])
    with pytest.raises(DataError, match="has the columns id, text, which are not those of RTE"):
        prepare(TASKS["RTE"], tmp_path, tmp_path / "out")


@needs_shared_data
@pytest.mark.slow
def test_real_sets_are_read_whole(tmp_path):
    expected = {
        "SST-2": {"train": 67349, "dev": 872},
        "CoLA": {"train": 8551, "dev": 1043},
        "STS-B": {"train": 5749, "dev": 1500},
        "RTE": {"train": 3367, "dev": 800},
        "AG-News": {"train": 10001, "test": 7600},
        "movie reviews": {"train": 1600, "dev": 200, "test": 200},
        "NCBI-disease": {"train": 5424, "dev": 923, "test": 940},
        "CoNLL-2000": {"train": 8936, "test": 2012},
    }
    for name, rows in expected.items():
        found, _ = prepared(name, SHARED / "nlu", tmp_path / name)
        assert (found.rows, found.num_left_out) == (rows, 0), name
