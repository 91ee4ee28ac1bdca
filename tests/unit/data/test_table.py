import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet
import pytest

from modernbert.base.errors import DataError
from modernbert.data.table import open_table
from modernbert.data.table_files import holds_part

ROWS = [{"text": "one, two", "label": "a"}, {"text": '"three" is three', "label": "b"}]
FORMS = {
    "t.csv": 'text,label\n"one, two",a\n"""three"" is three",b\n',
    "t.tsv": 'text\tlabel\none, two\ta\n"three" is three\tb\n',
    "semicolons.csv": 'text;label\none, two;a\n"""three"" is three";b\n',
    "t.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
    "blank.jsonl": "\n".join(json.dumps(row) + "\n" for row in ROWS),
    "t.json": json.dumps(ROWS),
    "lines.json": "".join(json.dumps(row) + "\n" for row in ROWS),
    "inside.json": json.dumps({"version": 1, "data": ROWS}),
    "crlf.csv": 'text,label\r\n"one, two",a\r\n"""three"" is three",b\r\n',
    "mark.csv": '\ufefftext,label\n"one, two",a\n\n"""three"" is three",b\n',
}


def values(table):
    return [dict(row.values) for row in table]


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_rows(tmp_path, name):
    table = open_table(written(tmp_path, name, FORMS[name]))
    assert values(table) == values(table) == ROWS
    assert table.columns() == ("text", "label")


def test_parquet_arrow_and_packed_files(tmp_path):
    pa.parquet.write_table(pa.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    with pa.ipc.new_stream(tmp_path / "t.arrow", pa.Table.from_pylist(ROWS).schema) as stream:
        stream.write_table(pa.Table.from_pylist(ROWS))
    written(tmp_path, "t.csv.gz", gzip.compress(FORMS["t.csv"].encode()))
    for name in ("t.parquet", "t.arrow", "t.csv.gz"):
        assert values(open_table(tmp_path / name)) == ROWS


def test_the_index_that_pandas_writes_has_no_name(tmp_path):
    table = open_table(written(tmp_path, "t.csv", ",text,label\n0,good,a\n1,bad,b\n"))
    assert table.columns() == ("", "text", "label")
    assert [row["label"] for row in values(table)] == ["a", "b"]


def test_empty_columns_at_the_end_are_left_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label,,\n" + "a batch,World,,\n" * 3)
    assert [dict(row.values) for row in open_table(path)] == [
        {"text": "a batch", "label": "World"}
    ] * 3
    path.write_text("text,label,\na batch,World,\n")
    assert open_table(path, has_header=True).columns() == ("text", "label")
    path.write_text("a batch,World,\nevery token,Sports,1\n")
    assert open_table(path).columns() == ("1", "2", "3")


def test_rows_say_where_they_stand(tmp_path):
    path = written(tmp_path, "t.csv", 'text,label\n"two\nlines",a\nb,b\n')
    assert [row.where for row in open_table(path)] == [f"{path}, line 3", f"{path}, line 4"]


def test_lines_and_rows_are_told_apart_where_both_may_be(tmp_path):
    lines = written(tmp_path, "lines.json", '{"a": 1}\n\n{"a": 2}\n')
    assert [row.where for row in open_table(lines)] == [f"{lines}, line 1", f"{lines}, line 3"]
    rows = written(tmp_path, "rows.json", '[{"a": 1},\n\n{"a": 2}]')
    assert [row.where for row in open_table(rows)] == [f"{rows}, row 1", f"{rows}, row 2"]


def test_how_far_it_is_read_is_known(tmp_path):
    path = written(tmp_path, "t.jsonl", FORMS["t.jsonl"] * 5000)
    table = open_table(path)
    seen = [table.bytes_read for _ in table]
    assert seen == sorted(seen)
    assert 0 < seen[5000] < table.size_bytes == table.bytes_read


@pytest.mark.parametrize(
    ("first", "has_header", "columns"),
    [
        ("gj04\t1\t\tThe sailors rode.\n", None, ("1", "2", "3", "4")),
        ("a text\tneg\n", False, ("1", "2")),
        ("1\t2\n", True, ("1", "2")),
        ("sentence\tlabel\n", None, ("sentence", "label")),
    ],
)
def test_a_first_line_of_values_is_no_header(tmp_path, first, has_header, columns):
    path = written(tmp_path, "t.tsv", first + first.upper())
    table = open_table(path, has_header=has_header)
    assert table.columns() == columns
    is_header = has_header or columns[0] == "sentence"
    assert len(values(table)) == (1 if is_header else 2)


@pytest.mark.parametrize(("between", "is_header"), [(0, False), (48, False), (50, True)])
def test_a_first_line_of_which_a_cell_comes_again_below_is_no_header(tmp_path, between, is_header):
    lines = ["a boring film number 0,neg", *["good,pos"] * between, "another,pos", "again,neg"]
    path = written(tmp_path, "t.csv", "".join(f"{line}\n" for line in lines))
    assert open_table(path).columns() == (tuple(lines[0].split(",")) if is_header else ("1", "2"))
    assert len(values(open_table(path))) == len(lines) - is_header
    assert open_table(path, has_header=True).columns() == ("a boring film number 0", "neg")


def test_the_name_of_a_column_may_stand_in_another(tmp_path):
    path = written(tmp_path, "t.csv", ",text,label\n,label,text\n")
    assert open_table(path).columns() == ("", "text", "label")


def saved(folder, rows):
    """A folder as `Dataset.save_to_disk` leaves it."""
    folder.mkdir(parents=True)
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as stream:
        stream.write_table(table)
    written(
        folder,
        "state.json",
        json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}),
    )
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
        "tags": {"feature": {"names": ["O", "B"], "_type": "ClassLabel"}, "_type": "Sequence"},
    }
    written(folder, "dataset_info.json", json.dumps({"features": features}))


def test_a_folder_of_datasets_names_its_labels(tmp_path):
    rows = [{"text": "good", "label": 1}]
    saved(tmp_path / "train", rows)
    saved(tmp_path / "validation", rows * 2)
    written(tmp_path, "dataset_dict.json", json.dumps({"splits": ["train", "validation"]}))
    for path, part, count in (
        (tmp_path, "train", 1),
        (tmp_path, "dev", 2),
        (tmp_path / "train", "dev", 1),
    ):
        table = open_table(path, part)
        assert values(table) == rows * count
        assert table.class_names == {"label": ("neg", "pos"), "tags": ("O", "B")}
    parts = [(tmp_path, "dev"), (tmp_path, "test"), (tmp_path / "train", "dev")]
    assert [holds_part(*each) for each in parts] == [True, False, False]
    with pytest.raises(DataError, match="has no part test or testing: give the folder of one part"):
        open_table(tmp_path, "test")


def test_a_folder_of_files_has_its_parts_by_name(tmp_path):
    for number in range(2):
        written(tmp_path, f"train-{number}.jsonl", FORMS["t.jsonl"])
    (tmp_path / "data").mkdir()
    written(tmp_path / "data", "validation-00000.csv", FORMS["t.csv"])
    written(tmp_path, "train.txt", "not a table")
    assert values(open_table(tmp_path)) == ROWS * 2
    assert values(open_table(tmp_path, "dev")) == ROWS
    parts = [(tmp_path, "dev"), (tmp_path, "test"), (tmp_path / "train-0.jsonl", "dev")]
    assert [holds_part(*each) for each in parts] == [True, False, False]
    with pytest.raises(DataError, match="holds no file whose name begins with test or testing"):
        open_table(tmp_path, "test")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.txt", "x", r"t.txt is of no known kind: give .csv, .tsv, .jsonl, .ndjson, .json"),
        ("t.csv", "text,label\na,b\nc\n", "line 3 has 1 columns and the first line 2: mend it"),
        ("t.tsv", "text\tlabel\na\tb\tc\n", "line 2 has 3 columns and the first line 2"),
        ("t.csv", "text,text\na,b\n", r"names a column twice \(text, text\): rename one, "),
        ("t.csv", b"text,label\n\xff\xfe,a\n", "line 2 is not UTF-8: save the file as UTF-8"),
        ("t.csv", "text,label\n".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        ("t.csv", 'text,label\n"a,b\n', "line 2 is not as the others .unexpected end of data"),
        ("t.jsonl", '{"text": 1}\n{"text"\n', "line 2 is not JSON .Expecting ':' delim"),
        ("t.jsonl", "[1]\n", "line 1 is no object with keys"),
        ("t.json", "{", "t.json is not JSON"),
        ("t.json", '{"a": 1}\n{"a"\n', "t.json, line 2 is not JSON .* mend or remove it"),
        ("t.json", '[{"a": 1},\n{"a"}]', "t.json is not JSON .* mend it"),
        ("t.json", '{"a": 1}', "is no list of objects: give one, or an object a line in a .jsonl"),
        ("t.parquet", "PAR1", "is not a parquet file that can be read"),
        ("t.arrow", "none", "is not an Arrow stream that can be read"),
        ("t.csv.gz", b"none", "cannot be unpacked"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, sentence):
    with pytest.raises(DataError, match=sentence):
        values(open_table(written(tmp_path, name, content)))


@pytest.mark.parametrize("content", ["", "text,label\n", "\n\n"])
def test_a_file_without_rows_is_named(tmp_path, content):
    with pytest.raises(DataError, match=r"t\.csv holds no row: give a file with examples"):
        open_table(written(tmp_path, "t.csv", content)).columns()


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="none does not exist: give a file or a folder with ex"):
        open_table(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a pipe, and is read more than once: write it to a fi"):
        open_table(tmp_path / "pipe")


def test_a_damaged_folder_of_datasets_is_named(tmp_path):
    saved(tmp_path / "one", [{"text": "good", "label": 1}])
    (tmp_path / "one" / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(DataError, match=r"lacks files that its state\.json names: copy it again"):
        open_table(tmp_path / "one")
    written(tmp_path / "one", "state.json", "{")
    with pytest.raises(DataError, match=r"state\.json cannot be read"):
        open_table(tmp_path / "one")


def test_rows_of_100_000_characters_are_read(tmp_path):
    path = written(tmp_path, "t.csv", f'text,label\n"{"long " * 60_000}",a\nb,b\n')
    assert len(next(iter(open_table(path))).values["text"]) == 300_000
