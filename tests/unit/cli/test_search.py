import io
import json
from pathlib import Path

import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.cli.main import run
from modernbert.infer.pretrained import Pretrained
from modernbert.model.config import HeadConfig
from tests.indexes import write_model
from tests.sentence_folders import made

ROWS = [
    {"id": "d1", "title": "Batches", "text": "The packed batch.\nIt keeps apart.", "year": 2020},
    {"id": "d2", "text": "every token\n\nkeeps its place", "year": 2021, "none": None},
    {"id": "d3", "text": "nothing of it", "year": 2022},
]


@pytest.fixture
def found(tmp_path, capfd):
    """A folder in which three documents are indexed; nothing of it has been read from the pipes."""
    write_model(tmp_path / "model")
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    index = str(tmp_path / "index")
    assert (
        run(["index", str(tmp_path / "model"), str(tmp_path / "docs.jsonl"), "--out", index]) == 0
    )
    said = capfd.readouterr().err
    assert "dense vectors of 32 by cosine, computed in float32 on cpu, kept as float32; " in said
    assert "; documents are read whole, up to 64" in said
    assert "3 documents can be searched in" in said
    return index


def test_what_is_found_is_shown_with_its_passage(found, capfd):
    assert run(["search", found, "token place", "--mode", "words"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith(" 1. d2  ")
    assert lines[0].endswith("year 2021")
    assert lines[1:] == ["    every token", "    keeps its place", ""]
    assert run(["search", found, "absent", "--mode", "words"]) == 0
    assert capfd.readouterr().out == "nothing fits\n"


def test_json_has_places_of_passage_and_words(found, capfd):
    asked = ["search", found, "its place", "--json", "--number", "1", "--mode", "words"]
    assert run(asked) == 0
    content = json.loads(capfd.readouterr().out)
    (hit,) = content["hits"]
    assert content["query"] == "its place"
    assert hit.keys() == {"id", "score", "title", "metadata", "snippet"}
    assert (hit["id"], hit["metadata"]) == ("d2", {"year": 2021, "none": None})
    snippet = hit["snippet"]
    assert [snippet["text"][a:b] for a, b in snippet["highlights"]] == ["its", "place"]
    assert ROWS[1]["text"][snippet["start"] : snippet["end"]] == snippet["text"]


def test_queries_come_from_a_file_or_standard_input(found, tmp_path, capfd, monkeypatch):
    written = '{"_id": "q1", "text": "packed"}\n\n{"query": "token"}\nplain words\n'
    (tmp_path / "queries.jsonl").write_text(written)
    arguments = ["search", found, "--json", "--mode", "words", "--queries"]
    assert run([*arguments, str(tmp_path / "queries.jsonl")]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(row.get("id"), row["query"]) for row in rows] == [
        ("q1", "packed"),
        (None, "token"),
        (None, "plain words"),
    ]
    assert [[hit["id"] for hit in row["hits"]] for row in rows] == [["d1"], ["d2"], []]
    monkeypatch.setattr("sys.stdin", io.StringIO(written))
    assert run([*arguments, "-"]) == 0
    assert [json.loads(line) for line in capfd.readouterr().out.splitlines()] == rows
    assert (
        run(["search", found, "--mode", "words", "--queries", str(tmp_path / "queries.jsonl")]) == 0
    )
    assert capfd.readouterr().out.startswith("packed\n 1. Batches")


def test_queries_that_cannot_be_read_are_refused(found, tmp_path):
    (tmp_path / "bad.jsonl").write_text('packed\n{"body": 1}\n')
    (tmp_path / "number.jsonl").write_text('{"text": 5}\n')
    (tmp_path / "empty.jsonl").write_text("\n")
    for name, pattern in (
        ("bad", "bad.jsonl, line 2 is no query: give an object with a text as text or query"),
        ("number", "number.jsonl, line 1 is no query"),
        ("empty", "empty.jsonl holds no query: give one a line"),
        ("none", r"none.jsonl cannot be read \(No such file or directory\): give a file of"),
    ):
        with pytest.raises(DataError, match=pattern):
            run(["search", found, "--queries", str(tmp_path / f"{name}.jsonl")])
    with pytest.raises(DataError, match="query 1 is empty"):
        run(["search", found])
    with pytest.raises(ConfigError, match="there is a query and --queries: leave one of them out"):
        run(["search", found, "token", "--queries", str(tmp_path / "bad.jsonl")])


def test_marks_of_byte_order_are_no_part_of_a_query(found, tmp_path, capfd):
    (tmp_path / "queries.txt").write_bytes("\ufefftoken\r\npacked\r\n".encode())
    queries = str(tmp_path / "queries.txt")
    assert run(["search", found, "--json", "--mode", "words", "--queries", queries]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["query"] for row in rows] == ["token", "packed"]


def test_an_index_that_is_not_finished_says_so(found, capfd):
    path = Path(found, "index.json")
    content = json.loads(path.read_text())
    content["source"]["is_done"] = False
    path.write_text(json.dumps(content))
    assert run(["search", found, "token", "--mode", "words"]) == 0
    assert "index is not finished: it has 3 documents so far" in capfd.readouterr().err


def test_a_reranker_orders_what_was_found(found, tmp_path, capfd):
    scorer = made(HeadConfig(kind="sequence", labels=("score",), problem="regression"))
    scorer.save(tmp_path / "scorer")
    arguments = ["search", found, "its place", "--json", "--reranker", str(tmp_path / "scorer")]
    assert run([*arguments, "--number", "2"]) == 0
    hits = json.loads(capfd.readouterr().out)["hits"]
    assert len(hits) == 2
    assert hits[0]["score"] >= hits[1]["score"]
    assert run([*arguments, "--number", "2", "--rerank-by", "sum"]) == 0
    summed = json.loads(capfd.readouterr().out)["hits"]
    assert summed[0]["score"] >= summed[1]["score"] != hits[1]["score"]
    from modernbert.infer.classify import label_scores

    texts = {
        row["id"]: f"{row['title']} {row['text']}" if "title" in row else row["text"]
        for row in ROWS
    }
    pairs = [("its place", texts[hit["id"]]) for hit in hits]
    assert isinstance(scorer, Pretrained)
    scores = label_scores(scorer, pairs)[:, 0].tolist()
    assert [hit["score"] for hit in hits] == pytest.approx(scores, abs=1e-5)


def test_an_index_is_changed(found, tmp_path, capfd):
    (tmp_path / "more.jsonl").write_text('{"id": "d4", "text": "one more"}\n')
    added = str(tmp_path / "more.jsonl")
    assert run(["update-index", found, "--delete", "d1", "x", "--add", added, "--compact"]) == 0
    said = capfd.readouterr().err
    for line in (
        "documents deleted: 1",
        "ids that no document has: 1, such as 'x'",
        ": 3\n",
    ):
        assert line in said
    assert run(["search", found, "one more", "--json", "--mode", "words"]) == 0
    assert json.loads(capfd.readouterr().out)["hits"][0]["id"] == "d4"
    with pytest.raises(ConfigError, match="there is nothing to do: give --add, --delete or --com"):
        run(["update-index", found])
    with pytest.raises(ConfigError, match="one of the paths is empty"):
        run(["update-index", found, "--add", ""])
    for broken in ('{"id": "d5", "text": 5}', '{"id": "d4", "text": "there already"}'):
        (tmp_path / "broken.jsonl").write_text('{"id": "d9", "text": "fine"}\n' + broken + "\n")
        with pytest.raises(DataError, match=r"broken\.jsonl, line 2"):
            run(["update-index", found, "--delete", "d2", "--add", str(tmp_path / "broken.jsonl")])
    assert json.loads(Path(found, "index.json").read_text())["num_deleted"] == 0
    absent = str(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match=r"absent\.jsonl does not exist"):
        run(["update-index", found, "--delete", "d4", "--add", absent])
    assert json.loads(Path(found, "index.json").read_text())["num_deleted"] == 0
    capfd.readouterr()
    assert run(["update-index", found, "--delete", "d4", "d4"]) == 0
    said = capfd.readouterr().err
    assert "documents deleted: 1\n" in said
    assert "still take room there: 1; --compact gives it back" in said
    assert run(["update-index", found, "--compact"]) == 0
    assert "--compact" not in capfd.readouterr().err


def test_words_are_searched_without_torch(found):
    import subprocess
    import sys

    from tests.runs import environment

    code = (
        "import sys; from modernbert.cli.main import run\n"
        f"run(['search', {found!r}, 'token', '--mode', 'words'])\n"
        "sys.exit(' '.join({'torch', 'transformers', 'usearch'} & {*sys.modules}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert ran.stderr == "\n"
    assert " 1. d2" in ran.stdout
