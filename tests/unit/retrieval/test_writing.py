import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.entries import Entry, EntryFiles
from modernbert.retrieval import index_files, pending
from modernbert.retrieval.index import Index
from modernbert.retrieval.index_files import AddedFacts
from modernbert.retrieval.options import SearchOptions
from modernbert.retrieval.writing import Writer
from tests.indexes import entries, make_index, write_model
from tests.runs import called, environment, started, struck

DOCUMENTS = entries(30)
WORDS = SearchOptions(mode="words", number=100)


def write_rows(path, documents):
    rows = [{"id": each.id, "title": each.title, "text": each.text} for each in documents]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def names_in(index):
    return {each.name for each in (index / "segments").iterdir()}


def test_documents_are_added_replaced_and_deleted(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:5])
    index.add(DOCUMENTS[5:8])
    assert len(index) == 8
    index.add([Entry("d6", "quite another text")], replaces=True)
    assert len(index) == 8
    assert [hit.id for hit in index.search(["quite another"], WORDS)[0]] == ["d6"]
    assert index.delete(["d6", "d1", "x"]) == ["x"]
    assert len(Index.open(index.folder)) == 6
    index.add([Entry("d6", "a third text")])
    assert len(Index.open(index.folder)) == 7


def test_an_id_that_is_there_twice_is_refused(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:5])
    path = write_rows(tmp_path / "more.jsonl", [DOCUMENTS[8], DOCUMENTS[3]])
    with pytest.raises(DataError, match="line 2 has the id 'd3', which the index has already: le"):
        index.add(EntryFiles([path]))
    path = write_rows(tmp_path / "twice.jsonl", [DOCUMENTS[8], DOCUMENTS[9], DOCUMENTS[8]])
    with pytest.raises(DataError, match=r"line 3 has the id 'd8' of .*twice.jsonl, line 1: give"):
        index.add(EntryFiles([path]))
    assert len(Index.open(index.folder)) == 5


def test_an_id_that_comes_again_in_a_later_segment_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pending, "_GROUP", 1)
    monkeypatch.setattr(pending.Pending.is_full, "__defaults__", (1,))
    model = write_model(tmp_path / "model")
    with pytest.raises(DataError, match="a document has the id 'd8', which the index has already"):
        Index.create(tmp_path / "index", model, [DOCUMENTS[8], DOCUMENTS[9], DOCUMENTS[8]])


def test_files_are_looked_through_before_anything_is_embedded(tmp_path, monkeypatch):
    monkeypatch.setattr(pending, "_GROUP", 1)
    monkeypatch.setattr(pending.Pending.is_full, "__defaults__", (1,))
    model = write_model(tmp_path / "model")
    twice = write_rows(tmp_path / "twice.jsonl", [DOCUMENTS[8], DOCUMENTS[9], DOCUMENTS[8]])
    with pytest.raises(DataError, match=r"line 3 has the id 'd8' of .*twice.jsonl, line 1: give"):
        Index.create(tmp_path / "index", model, EntryFiles([twice]))
    assert not (tmp_path / "index").exists()
    index = make_index(tmp_path, "dense", DOCUMENTS[:5])
    path = write_rows(tmp_path / "more.jsonl", [DOCUMENTS[8], DOCUMENTS[3]])
    with pytest.raises(DataError, match="line 2 has the id 'd3', which the index has already: le"):
        index.add(EntryFiles([path]))
    assert len(Index.open(index.folder)) == 5


def test_what_an_unfinished_index_lacks_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pending, "_GROUP", 1)
    monkeypatch.setattr(pending.Pending.is_full, "__defaults__", (1,))
    files = EntryFiles([write_rows(tmp_path / "all.jsonl", DOCUMENTS[:5])])
    write, written = Writer._write, []

    def stopped(*arguments):
        written.append(0)
        if len(written) == 4:
            raise KeyboardInterrupt
        write(*arguments)

    model = write_model(tmp_path / "model")
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_write", stopped)
        with pytest.raises(KeyboardInterrupt):
            Index.create(tmp_path / "index", model, files)
    index = Index.open(tmp_path / "index")
    for others in ([DOCUMENTS[8]], EntryFiles([write_rows(tmp_path / "b.jsonl", DOCUMENTS[8:9])])):
        with pytest.raises(ConfigError, match=r"all.jsonl was not added whole, 3 of its documents"):
            index.add(others)
    assert not index.facts.source.is_done
    Index.create(tmp_path / "index", model, files)
    assert "going on behind the first 3 documents of all.jsonl" in capsys.readouterr().err
    assert len(Index.open(tmp_path / "index")) == 5


def test_an_unfinished_index_is_left_so_where_that_is_said(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:3])
    source = AddedFacts(name="all.jsonl", fingerprint="x", rows=3, is_done=False)
    index_files.commit(index.folder, replace(index.facts, source=source))
    index = Index.open(index.folder)
    index.add([DOCUMENTS[8]], replaces=True)
    assert len(index) == 4


def test_a_document_whose_metadata_changed_is_another(tmp_path):
    index = make_index(tmp_path, "dense", [Entry("a", "one text", metadata={"year": 2026})])
    index.add([Entry("a", "one text", metadata={"year": 2027})], replaces=True)
    (hit,) = index.search(["one"], SearchOptions(filter=("year=2027",)))[0]
    assert hit.metadata == {"year": 2027}


def test_compacting_leaves_one_segment_and_nothing_deleted(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:5])
    for entry in DOCUMENTS[5:9]:
        index.add([entry])
    index.delete(["d1", "d5"])
    before = index.search(["the packed batch"])
    index.compact()
    assert [segment.documents for segment in index.facts.segments] == [7]
    assert names_in(index.folder) == {index.facts.segments[0].name}
    assert not [*index.folder.glob("deleted-*")]
    after = index.search(["the packed batch"])
    assert [hit.id for hit in after[0]] == [hit.id for hit in before[0]]
    assert index.facts.keys == ("odd", "year")


def test_what_index_json_does_not_name_is_no_part_and_goes(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:5])
    for name in ("segments/000077", "segments/.partial-000078", "neighbours-000079", ".partial-x"):
        (index.folder / name).mkdir()
    (index.folder / "deleted-000080.npy").touch()
    assert len(Index.open(index.folder).search(["token"], WORDS)[0])
    index.delete(["d1"])
    assert names_in(index.folder) == {"000000"}
    assert {each.name for each in index.folder.iterdir()} == {
        ".lock",
        "index.json",
        "segments",
        "deleted-000001.npy",
    }


def test_one_writer_at_a_time_and_a_dead_one_holds_nothing(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:5])
    with (
        Writer(index.folder),
        pytest.raises(ConfigError, match=rf"written to by process {os.getpid()}: "),
    ):
        index.delete(["d1"])
    (index.folder / ".lock").write_text("1")
    assert index.delete(["d1"]) == []


def test_an_opened_index_stays_what_it_was(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:5])
    opened = Index.open(index.folder)
    index.delete(["d1"])
    assert len(opened) == 5
    assert len(opened.search(["title"], WORDS)[0]) == 5
    index.compact()
    with pytest.raises(DataError, match="open the index again if it was written to meanwhile"):
        opened.search(["packed batch"])


# The command line with two documents a segment.
CHILD = """
import sys
from modernbert.cli.main import main
from modernbert.retrieval import pending
pending._GROUP = 2
pending.Pending.is_full.__defaults__ = (2,)
main(sys.argv[1:])
"""


def begun(*arguments):
    command = [sys.executable, "-W", "error", "-c", CHILD, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "after"), [(signal.SIGINT, 2), (signal.SIGKILL, 0), (signal.SIGKILL, 3)]
)
def test_an_index_that_was_stopped_goes_on_where_it_was(tmp_path, number, after):
    pytest.importorskip("usearch", reason="usearch is not installed here")
    model = write_model(tmp_path / "model")
    documents = [Entry(f"d{n}", f"word{n} packed") for n in range(60)]
    path = write_rows(tmp_path / "docs.jsonl", documents)
    index = tmp_path / "index"
    arguments = ("index", model, path, "--out", index, "--approximate-above", "3")

    def is_under_way():
        there = index / "index.json"
        done = len(json.loads(there.read_text())["segments"]) if there.is_file() else 0
        return (index / "segments").is_dir() and done >= after

    status, said = struck(begun(*arguments), number, is_under_way)
    assert status == (130 if number == signal.SIGINT else -signal.SIGKILL), said
    if number == signal.SIGINT:
        assert "documents are in" in said
        assert "the same command goes on" in said
    opened = Index.open(index) if after else None
    assert opened is None or 2 * after <= len(opened) < 60
    status, said = struck(begun(*arguments), 0, lambda: True)
    assert status == 0, said
    assert not after or "going on behind the first" in said
    found = Index.open(index)
    assert len(found) == 60
    hits = found.search([f"word{n}" for n in range(60)], WORDS)
    assert [[hit.id for hit in each] for each in hits] == [[f"d{n}"] for n in range(60)]
    assert found.facts.neighbours


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_same_command_goes_on(tmp_path):
    pytest.importorskip("usearch", reason="usearch is not installed here")
    model = write_model(tmp_path / "model")
    path = write_rows(tmp_path / "docs.jsonl", [Entry(f"d{n}", f"word{n}") for n in range(300)])
    index = tmp_path / "index"
    arguments = ("index", model, path, "--out", index, "--approximate-above", "5")
    ran = called(*arguments, limit_bytes=20_000)
    assert ran.returncode == 2
    assert "there is no room: " in ran.stderr
    assert not index.exists()
    ran = called(*arguments, limit_bytes=50_000)
    assert ran.returncode == 2
    assert "neighbours-000001 cannot be written (" in ran.stderr
    assert len(Index.open(index).search(["word7"], WORDS)[0]) == 1
    assert called(*arguments).returncode == 0
    assert Index.open(index).facts.neighbour_vectors == 300


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_last_good_state(tmp_path):
    index = make_index(tmp_path, "dense", DOCUMENTS[:5])
    path = write_rows(tmp_path / "more.jsonl", DOCUMENTS[5:])
    sizes = {5, 30}
    for delay in (0.0, 0.002, 0.01, 0.03):
        process = started("update-index", index.folder, "--add", path, "--replace", "--compact")
        until = time.monotonic() + 60
        while not any((index.folder / "segments").glob(".partial-*")) and process.poll() is None:
            assert time.monotonic() < until
        time.sleep(delay)
        process.kill()
        process.communicate()
        opened = Index.open(index.folder)
        assert len(opened) in sizes
        assert opened.search(["the packed batch"])[0]
