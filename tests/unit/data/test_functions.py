import gzip
import json

import pytest

from modernbert.base.errors import DataError
from modernbert.data.functions import holds_functions, read_functions
from tests.judged_sets import write_set

ROWS = [
    {"docstring": "Add two numbers.", "code": "def add(a, b):\n    return a + b", "path": "a.py"},
    {"docstring": "Take one away.", "code": "def less(a):\n    return a - 1", "path": "a.py"},
]


def write_rows(folder, rows, name="test.jsonl.gz"):
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / name, "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_each_docstring_looks_for_its_own_function(tmp_path):
    folder = write_rows(tmp_path / "python", ROWS)
    assert holds_functions(folder)
    found = read_functions(folder, "test")
    assert (found.name, found.notes) == ("python", ())
    assert found.queries == {"q0": "Add two numbers.", "q1": "Take one away."}
    assert list(found.documents.values()) == [row["code"] for row in ROWS]
    assert found.judged == {"q0": {"d0": 1}, "q1": {"d1": 1}}


def test_the_hubs_columns_and_other_parts_are_read(tmp_path):
    names = {"docstring": "func_documentation_string", "code": "func_code_string"}
    rows = [{names[key]: row[key] for key in names} for row in ROWS[:1]]
    folder = write_rows(tmp_path / "go", rows, "valid.jsonl.gz")
    for split in ("dev", "valid", "validation"):
        assert list(read_functions(folder, split).queries.values()) == ["Add two numbers."]


def test_what_is_odd_is_said(tmp_path):
    own = {"docstring": "Add.", "code": 'def add(a):\n    """Add."""'}
    rows = [*ROWS, ROWS[0], own, {"docstring": " ", "code": "x"}, {"docstring": "y", "code": None}]
    found = read_functions(write_rows(tmp_path / "odd", rows), "test")
    assert list(found.documents) == ["d0", "d1", "d2", "d3"]
    assert [note.partition(",")[0] for note in found.notes] == [
        "rows without a docstring or without code",
        "functions that hold their own docstring",
        "docstrings that several functions have: 1",
        "functions that are there several times: 1",
    ]
    assert "left out: 2, such as" in found.notes[0]


def test_what_is_broken_is_named(tmp_path):
    folder = write_rows(tmp_path / "broken", [{"text": "a", "code": "b"}])
    with pytest.raises(DataError, match="line 1 has the columns text, code: functions have doc"):
        read_functions(folder, "test")
    with pytest.raises(DataError, match="functions have no split 'all': say --split train, dev or"):
        read_functions(folder, "all")
    with pytest.raises(DataError, match="holds no function with a docstring: give rows with both"):
        read_functions(write_rows(folder, [{"docstring": "", "code": "a"}]), "test")
    with pytest.raises(DataError, match="holds no file whose name begins with train"):
        read_functions(folder, "train")


def test_a_folder_with_a_corpus_is_none_of_functions(tmp_path):
    assert not holds_functions(write_set(tmp_path / "small"))
    assert not holds_functions(tmp_path / "none")


def test_what_is_no_unicode_is_named_with_its_line(tmp_path):
    folder = write_rows(tmp_path / "python", [ROWS[0], {**ROWS[1], "code": "a\ud800"}])
    with pytest.raises(DataError, match="line 2: 'code' is no Unicode at character 1: mend it"):
        read_functions(folder, "test")
