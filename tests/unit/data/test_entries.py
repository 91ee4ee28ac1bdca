import gzip
import json
from pathlib import Path

import pytest

from modernbert.base.errors import DataError
from modernbert.data.entries import Entry, EntryFiles
from modernbert.data.entry_columns import Keys
from tests.judged_sets import DOCUMENTS, write_set


def read(path, **keys):
    return list(EntryFiles([path], Keys(**keys)))


def plain(entries):
    return [(each.id, each.title, each.text, dict(each.metadata)) for each in entries]


def test_rows_of_beir_are_documents_and_other_keys_metadata(tmp_path):
    rows = [
        {"_id": "a", "title": "T", "text": "one", "metadata": {"year": 3}, "lang": "en"},
        {"_id": 7, "text": None, "tags": ["x", "y"], "when": None},
    ]
    path = tmp_path / "docs.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    found = read(path)
    assert plain(found) == [
        ("a", "T", "one", {"lang": "en", "year": 3}),
        ("7", "", "", {"tags": ["x", "y"], "when": None}),
    ]
    assert [each.whole for each in found] == ["T one", ""]
    assert found[1].where == f"{path}, line 2"


def test_a_folder_of_beir_gives_its_corpus(tmp_path):
    found = read(write_set(tmp_path / "set"))
    assert [(each.id, each.title, each.text) for each in found] == [
        (name, *texts) for name, texts in DOCUMENTS.items()
    ]


def test_columns_have_other_names_and_rows_without_ids_their_lines(tmp_path):
    path = tmp_path / "docs.csv"
    path.write_text("code,head,key\nx = 1,H,k1\ny = 2,,k2\n")
    assert plain(read(path, text="code", title="head", id="key")) == [
        ("k1", "H", "x = 1", {}),
        ("k2", "", "y = 2", {}),
    ]
    assert [each.id for each in read(path, text="code")] == [f"{path}:2", f"{path}:3"]


def test_rows_without_ids_of_files_of_one_name_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("f/a", "f/b"):
        Path(folder).mkdir(parents=True)
        Path(folder, "docs.jsonl").write_text(json.dumps({"text": folder}) + "\n")
    given = [Path("f/a/docs.jsonl"), Path("f/b/docs.jsonl")]
    assert [each.id for each in EntryFiles(given)] == ["f/a/docs.jsonl:1", "f/b/docs.jsonl:1"]
    assert [each.id for each in EntryFiles([Path("f")])] == ["a/docs.jsonl:1", "b/docs.jsonl:1"]


def test_parquet_is_read_and_what_json_lacks_becomes_text(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    import datetime

    table = {"id": [1], "text": ["a"], "day": [datetime.date(2020, 1, 2)], "x": [float("nan")]}
    parquet.write_table(pyarrow.table(table), tmp_path / "docs.parquet")
    assert plain(read(tmp_path / "docs.parquet")) == [
        ("1", "", "a", {"day": "2020-01-02", "x": None})
    ]


def test_files_of_text_are_documents_by_their_paths(tmp_path):
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "a.py").write_text("x = 1\n")
    (tmp_path / "src" / "deep" / "b.md").write_text("# two\n")
    (tmp_path / "src" / "rows.jsonl").write_text('{"id": "r", "text": "three"}\n')
    (tmp_path / "src" / "picture").write_bytes(b"\0\1")
    assert plain(read(tmp_path / "src")) == [
        ("a.py", "", "x = 1\n", {}),
        ("r", "", "three", {}),
        ("deep/b.md", "", "# two\n", {}),
    ]
    assert EntryFiles([tmp_path / "src"]).num_binary == 1
    (tmp_path / "one.txt").write_text("alone")
    assert plain(read(tmp_path / "one.txt")) == [("one.txt", "", "alone", {})]


def test_half_a_character_is_replaced(tmp_path):
    (tmp_path / "docs.jsonl").write_text('{"id": "\\ud800", "text": "a\\ud800b", "k": "\\ud800"}\n')
    assert plain(read(tmp_path / "docs.jsonl")) == [
        ("\ufffd", "", "a\ufffdb", {"k": "\ufffd"}),
    ]


def test_progress_ends_at_the_size_and_content_decides_the_fingerprint(tmp_path):
    paths = [tmp_path / "a.jsonl", tmp_path / "b.txt"]
    paths[0].write_text('{"id": 1, "text": "a"}\n' * 3)
    paths[1].write_text("b")
    files = EntryFiles(paths)
    assert len(list(files)) == 4
    assert files.bytes_read == files.size_bytes == sum(path.stat().st_size for path in paths)
    assert EntryFiles(paths).fingerprint == files.fingerprint
    assert EntryFiles(paths, Keys(id="x")).fingerprint != files.fingerprint
    paths[1].write_text("c")
    assert EntryFiles(paths).fingerprint != files.fingerprint


@pytest.mark.parametrize(
    ("row", "pattern"),
    [
        ({"id": 1, "body": "a"}, r"line 1 has no 'text' \(it has id, body\): name the column of"),
        ({"id": 1, "text": 5}, "line 1: 'text' is not a text: leave the row out"),
        ({"id": None, "text": "a"}, "line 1 has no 'id': complete it, or leave the row out"),
        (
            {"_id": True, "text": "a"},
            "line 1: '_id' is True, and ids are texts or whole",
        ),
        ({"id": 1.5, "text": "a"}, "line 1: 'id' is 1.5, and ids are texts or whole numbers"),
        ({"id": "", "text": "a"}, "line 1 has no 'id'"),
    ],
)
def test_rows_that_are_no_documents_are_refused(tmp_path, row, pattern):
    (tmp_path / "docs.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=pattern):
        read(tmp_path / "docs.jsonl")


def test_a_column_of_ids_must_be_there(tmp_path):
    (tmp_path / "docs.jsonl").write_text('{"id": 1, "text": "a"}\n')
    with pytest.raises(DataError, match="line 1 has no 'key': complete it"):
        read(tmp_path / "docs.jsonl", id="key")
    with pytest.raises(DataError, match="nothing does not exist"):
        read(tmp_path / "nothing")


def test_an_entry_is_read_with_its_title():
    assert Entry("a", " text", "title").whole == "title  text"
    assert Entry("a", " text").whole == " text"
