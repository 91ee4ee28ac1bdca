import gzip
import json
import sys
import tracemalloc
from pathlib import Path

import pytest

from modernbert.base.errors import DataError, MachineError
from modernbert.data import documents
from modernbert.data.documents import Reader, find, read

GERMAN = "Grüße aus Köln\n"


def texts(*paths, **options):
    return [document.text for document in read(list(paths), **options)]


def jsonl(*values):
    return "".join(json.dumps({"text": value}) + "\n" for value in values).encode()


def test_a_folder_is_read_in_sorted_order_whatever_the_disk_says(tmp_path):
    for name in ("b.txt", "a/2.py", "a/1.md", "c.txt", ".hidden/x.txt", "a/.y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    names = [document.name for document in read([tmp_path])]
    assert names == ["b.txt", "c.txt", "a/1.md", "a/2.py"]


def test_linked_folders_are_read_once_even_where_they_lead_in_circles(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.txt").write_text("a")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "texts" / "same").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "texts")
    assert [document.name for document in read([tmp_path / "texts"])] == ["link/a.txt"]


def test_every_packing_of_lines_gives_the_same_documents(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    data = jsonl("one", GERMAN) + b"\n" + jsonl("three")
    (tmp_path / "a.jsonl").write_bytes(data)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(data))
    frames = [zstandard.compress(data[:9]), zstandard.compress(data[9:])]
    (tmp_path / "c.jsonl.zst").write_bytes(b"".join(frames))
    for path in sorted(tmp_path.iterdir()):
        found = list(read([path]))
        assert [document.text for document in found] == ["one", GERMAN, "three"]
        assert [document.name for document in found] == [f"{path.name}:{i}" for i in (1, 2, 4)]


def test_parquet_gives_the_column(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"body": ["one", GERMAN], "n": [1, 2], "gap": ["x", None]})
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path)
    assert texts(path, key="body") == ["one", GERMAN]
    with pytest.raises(DataError, match=r"no column 'text' \(it has body, n, gap\)"):
        texts(path)
    with pytest.raises(DataError, match="column 'n' holds int64, not text"):
        texts(path, key="n")
    with pytest.raises(DataError, match="row 2: 'gap' is null"):
        texts(path, key="gap")
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="not a parquet file"):
        texts(path)


def test_text_files_may_be_packed_and_begin_with_a_mark(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(GERMAN.encode()))
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbf" + GERMAN.encode())
    assert texts(tmp_path) == [GERMAN, GERMAN]


@pytest.mark.parametrize("package", ["zstandard", "pyarrow"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
    path = tmp_path / {"zstandard": "a.jsonl.zst", "pyarrow": "a.parquet"}[package]
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MachineError, match=rf"{package}: install .*modernbert\[data\]"):
        texts(path)


def test_binary_files_are_passed_over_in_folders_and_refused_by_name(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.bin").write_bytes(b"ab\0cd")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"ab\0cd"))
    found = find([tmp_path])
    assert [path.name for path in found.skipped] == ["b.bin", "c.txt.gz"]
    assert texts(tmp_path) == ["text"]
    with pytest.raises(DataError, match=r"b\.bin is binary"):
        texts(tmp_path / "b.bin")
    (tmp_path / "a.txt").unlink()
    with pytest.raises(DataError, match="2 binary files were passed over"):
        texts(tmp_path)


def test_invalid_utf8_is_replaced_and_counted_or_stops(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9 au lait")
    (document,) = read([path])
    assert (document.text, document.is_repaired) == ("caf\ufffd au lait", True)
    with pytest.raises(DataError, match=r"a\.txt is not UTF-8 at byte 3"):
        texts(path, invalid_utf8="stop")
    lines = tmp_path / "b.jsonl"
    lines.write_bytes(jsonl("fine") + b'{"text": "caf\xe9"}\n')
    assert [document.is_repaired for document in read([lines])] == [False, True]
    with pytest.raises(DataError, match="at byte 30"):
        texts(lines, invalid_utf8="stop")


def test_half_a_character_in_json_is_replaced(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x\\ud83d"}\n{"text": "\\ud83d\\ude00"}\n')
    first, second = read([tmp_path / "a.jsonl"])
    assert (first.text, first.is_repaired) == ("x\ufffd", True)
    assert (second.text, second.is_repaired) == ("😀", False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": ', r"a\.jsonl, line 2 is not JSON"),
        ('{"body": "x", "n": 1}', r"line 2 has no key 'text' \(it has body, n\)"),
        ('["x"]', r"line 2 has no key 'text' \(it has no object\)"),
        ("[" * 100_000, "line 2 is not JSON"),
        ('{"text": null}', r"line 2: 'text' is not a text"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        texts(path)


def test_a_broken_archive_is_named(tmp_path):
    whole = gzip.compress(jsonl("one", "two" * 1000))
    for broken in (whole[:-9], b"no gzip at all", whole[:20] + b"\xff\xff\xff" + whole[23:]):
        (tmp_path / "a.jsonl.gz").write_bytes(broken)
        with pytest.raises(DataError, match=r"a\.jsonl\.gz cannot be unpacked"):
            texts(tmp_path)
    pytest.importorskip("zstandard")
    (tmp_path / "a.jsonl.zst").write_bytes(b"no zstandard at all")
    with pytest.raises(DataError, match=r"a\.jsonl\.zst cannot be unpacked"):
        texts(tmp_path / "a.jsonl.zst")


def test_nothing_to_read_says_so(tmp_path):
    with pytest.raises(DataError, match="nothing to read in"):
        texts(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        texts(tmp_path / "nowhere")


def test_a_file_that_cannot_be_read_is_named():
    # The first page of a process's memory is never readable.
    path = Path("/proc/self/mem")
    if not path.exists():
        pytest.skip("needs Linux")
    with pytest.raises(DataError, match="/proc/self/mem cannot be read"):
        texts(path)


def test_large_plain_text_comes_in_parts_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "PART_BYTES", 64)
    text = "".join(f"line {i} {'ü' * (i % 60)}\n" for i in range(50)) + "ü" * 200 + "end"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    found = list(read([tmp_path]))
    assert "".join(document.text for document in found) == text
    assert not any(document.is_repaired for document in found)
    assert found[1].name == "a.txt, part 2"
    assert found[0].text.endswith("\n")


def test_a_line_of_50_mb_needs_memory_for_a_few_copies_of_it(tmp_path):
    path = tmp_path / "a.jsonl"
    size = 50_000_000
    path.write_bytes(b'{"text": "' + b"word " * (size // 5) + b'"}\n' + jsonl("next"))
    tracemalloc.start()
    assert [len(document.text) for document in read([path])] == [size, 4]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * size


def test_the_fingerprint_knows_names_and_contents_but_not_where_they_are(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("same")
    first, second = (find([tmp_path / folder]).fingerprint for folder in ("x", "y"))
    assert first == second
    (tmp_path / "y" / "a.txt").write_text("Same")
    assert find([tmp_path / "y"]).fingerprint != first
    (tmp_path / "x" / "a.txt").rename(tmp_path / "x" / "b.txt")
    assert find([tmp_path / "x"]).fingerprint != first


def test_the_reader_knows_how_far_it_is(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl("x" * 100_000, "y"))
    (tmp_path / "b.txt").write_text("z")
    reader = Reader(find([tmp_path]).files, invalid_utf8="stop", key="text")
    seen = [reader.bytes_read for _ in reader]
    assert seen == sorted(seen)
    assert reader.bytes_read == sum(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.parametrize("size", [1, 4, 20, -1])
def test_a_zstandard_file_that_is_cut_off_is_said(tmp_path, size):
    zstandard = pytest.importorskip("zstandard")
    rows = "".join(json.dumps({"text": f"text {number}"}) + "\n" for number in range(5000))
    packed = zstandard.compress(rows.encode())
    whole, cut = tmp_path / "whole.jsonl.zst", tmp_path / "cut.jsonl.zst"
    whole.write_bytes(packed)
    assert len(texts(whole)) == 5000
    cut.write_bytes(packed + packed[:size])
    with pytest.raises(DataError, match=r"cut\.jsonl\.zst cannot be unpacked \(its last frame"):
        texts(cut)


def test_ndjson_is_jsonl(tmp_path):
    (tmp_path / "a.ndjson").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert texts(tmp_path / "a.ndjson") == ["one", "two"]


def test_a_parquet_column_of_categories_is_text(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    column = pyarrow.array(["a b", "c", "a b"]).dictionary_encode()
    parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet") == ["a b", "c", "a b"]


def test_other_keys_and_columns_are_kept_where_asked(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "a.jsonl").write_text('{"text": "x", "id": 3}\n')
    parquet.write_table(pyarrow.table({"id": [4], "text": ["y"]}), tmp_path / "b.parquet")
    files = find([tmp_path]).files
    kept = Reader(files, invalid_utf8="replace", key="text", keeps_fields=True)
    assert [each.fields for each in kept] == [{"id": 3}, {"id": 4}]
    assert [each.fields for each in Reader(files, invalid_utf8="stop", key="text")] == [None, None]
