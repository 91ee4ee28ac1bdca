import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from modernbert.base.errors import ConfigError, DataError, MachineError
from modernbert.data.build import build
from modernbert.data.corpus import Corpus
from modernbert.data.manifest import BuildOptions, read_manifest
from tests.corpora import make_corpus, texts, tokenizer, write_texts

CHILD = """
import sys
from pathlib import Path
from modernbert.data.build import build
from modernbert.data.manifest import BuildOptions
from modernbert.data.tokenizer import Tokenizer
folder = Path(sys.argv[1])
sources = {name: [folder / name] for name in ("a", "b")}
options = BuildOptions(heldout_fraction=0.1, shard_bytes=int(sys.argv[2]))
build(sources, Tokenizer.load(folder / "tokenizer"), Path(sys.argv[3]), options=options)
"""

# No file may grow beyond this size: writing fails as on a full disk.
SMALL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def build_small(folder, out, name="texts", **options):
    return build({name: [folder]}, tokenizer(), out, options=BuildOptions(**options), report=print)


@pytest.fixture
def small(tmp_path):
    return write_texts(tmp_path / "small", texts(30))


def all_texts(corpus, split):
    return [
        corpus.tokenizer.decode(corpus.read(split, document, 0, int(length)))
        for document, length in enumerate(corpus.lengths(split))
    ]


def test_every_document_lies_in_one_split_whole(tmp_path):
    corpus = make_corpus(tmp_path, {"a": 100}, heldout_fraction=0.2)
    train, heldout = all_texts(corpus, "train"), all_texts(corpus, "heldout")
    assert sorted(train + heldout) == sorted(texts(100))
    assert 5 < len(heldout) < 40


def test_the_split_depends_on_the_text_alone(tmp_path):
    many = texts(60)
    backwards = [*reversed(many), *many[:20]]
    held = []
    for name, given in (("x", many), ("y", backwards)):
        folder = write_texts(tmp_path / name, given)
        build_small(folder, tmp_path / f"out-{name}", heldout_fraction=0.3)
        held.append(set(all_texts(Corpus.open(tmp_path / f"out-{name}"), "heldout")))
    assert held[0] == held[1] != set()


def test_the_manifest_counts(tmp_path, capsys):
    folder = write_texts(tmp_path / "texts", ["one two", "", "caf", "\u0301"])
    (folder / "0002.txt").write_bytes(b"caf\xe9")
    (folder / "x.bin").write_bytes(b"\0")
    manifest = build_small(folder, tmp_path / "out", heldout_fraction=0.0)
    (source,) = manifest.sources
    assert (source.documents_read, source.dropped, source.repaired, source.skipped_files) == (
        4,
        1,
        1,
        1,
    )
    assert manifest.total("documents", "train") == 3
    assert manifest.total("text_bytes", "train") == len("one two") + 6 + 2
    corpus = Corpus.open(tmp_path / "out")
    assert corpus.token_counts("train") == {"texts": int(corpus.lengths("train").sum())}
    said = capsys.readouterr().out
    assert "texts: 1 binary files were passed over" in said
    assert "texts: 1 documents held bytes that are not UTF-8" in said
    assert "texts: 1 documents without a token were dropped" in said


def test_unigrams_are_those_of_the_train_split(tmp_path):
    corpus = make_corpus(tmp_path, {"a": 30, "b": 10})
    ids = [
        corpus.read("train", document, 0, int(length))
        for document, length in enumerate(corpus.lengths("train"))
    ]
    expected = np.bincount(np.concatenate(ids), minlength=corpus.vocab_size)
    np.testing.assert_array_equal(corpus.unigram_counts(), expected)


def test_the_order_of_sources_and_the_place_of_files_change_no_byte(tmp_path):
    out = []
    for name, order in (("x", "ab"), ("y", "ba")):
        folders = {key: write_texts(tmp_path / name / key, texts(20, ord(key))) for key in order}
        sources = {key: [folders[key]] for key in order}
        build(sources, tokenizer(), tmp_path / name / "out", report=print)
        out.append(tree(tmp_path / name / "out"))
    assert out[0] == out[1]


def test_shards_are_bounded(tmp_path):
    corpus = make_corpus(tmp_path, {"a": 100}, shard_bytes=5000)
    sizes = [path.stat().st_size for path in corpus.folder.rglob("train-*.ids")]
    longest = 2 * int(corpus.lengths("train").max())
    assert len(sizes) > 4
    assert max(sizes) <= 5000 + longest


def test_a_finished_corpus_is_not_built_twice(tmp_path, small):
    first = build_small(small, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.ids")}
    assert build_small(small, tmp_path / "out") == first
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_changed_inputs_tokenizer_or_options_are_noticed(tmp_path, small):
    out = tmp_path / "out"
    build_small(small, out)
    with pytest.raises(DataError, match="the option heldout_fraction changed"):
        build_small(small, out, heldout_fraction=0.5)
    with pytest.raises(DataError, match="the source 'other', the source 'texts' changed"):
        build_small(small, out, name="other")
    (small / "0003.txt").write_text("something else")
    with pytest.raises(DataError, match=r"made from other things \(the source 'texts' changed"):
        build_small(small, out)
    (out / "manifest.json").unlink()
    with pytest.raises(DataError, match="holds files that are no corpus"):
        build_small(small, out)


def test_another_tokenizer_is_noticed(tmp_path, small, monkeypatch):
    build_small(small, tmp_path / "out")
    monkeypatch.setitem(tokenizer().__dict__, "fingerprint", "another")
    with pytest.raises(DataError, match="the tokenizer changed"):
        build_small(small, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"heldout_fraction": 1.0}, ConfigError, "heldout_fraction is 1.0"),
        ({"shard_bytes": 0}, ConfigError, "shard_bytes is 0"),
        ({"dtype": "uint8"}, DataError, "'uint8' is not one of uint16, uint32"),
        ({"text_key": "body"}, DataError, "has no key 'body'"),
        ({"heldout_fraction": 0.9999999}, DataError, "no document is left to train on"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, error, message):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "some words"}))
    with pytest.raises(error, match=message):
        build_small(tmp_path / "a.jsonl", tmp_path / "out", **options)


def test_a_source_can_be_held_out_whole(tmp_path):
    corpus = make_corpus(tmp_path, {"a": 20, "test-set": 5}, heldout_sources=("test-set",))
    assert corpus.document_counts("heldout")["test-set"] == 5
    assert corpus.sources("train") == ("a",)
    with pytest.raises(ConfigError, match=r"no source 'tset' to hold out: did you mean test-set\?"):
        make_corpus(tmp_path / "b", {"test-set": 5}, heldout_sources=("tset",))


def test_sources_need_names_that_are_folder_names(tmp_path, small):
    with pytest.raises(ConfigError, match=r"cannot be called '\.\./x'"):
        build_small(small, tmp_path / "out", name="../x")
    with pytest.raises(ConfigError, match="no source to build from"):
        build({}, tokenizer(), tmp_path / "out")


def test_wider_ids_hold_the_same_documents(tmp_path, small):
    found = []
    for dtype in ("uint16", "uint32"):
        build_small(small, tmp_path / dtype, dtype=dtype)
        corpus = Corpus.open(tmp_path / dtype)
        found.append([all_texts(corpus, split) for split in ("train", "heldout")])
    assert found[0] == found[1]


def test_a_terminal_shows_how_far_it_is(tmp_path, small, monkeypatch):
    terminal = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr("modernbert.base.log.console", terminal)
    build_small(small, tmp_path / "out")
    shown = terminal.file.getvalue()
    assert "texts: 0 documents" in shown
    assert "0%" in shown


def test_a_line_of_many_megabytes_is_kept_whole(tmp_path):
    line = "the packed batch " * 30_000
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": line}) + "\n")
    build_small(tmp_path / "a.jsonl", tmp_path / "out", heldout_fraction=0.0)
    assert all_texts(Corpus.open(tmp_path / "out"), "train") == [line]


def prepared(folder: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        write_texts(folder / name, texts(count, ord(name)))
    tokenizer().save(folder / "tokenizer")
    return folder


def start(folder: Path, out: Path, shard_bytes: int, root: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(shard_bytes), str(out)],
        cwd=root,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, child: subprocess.Popen) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert child.poll() is None, "it was done before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.0005)


@pytest.mark.slow
def test_killed_twice_it_ends_with_the_bytes_of_an_unbroken_build(tmp_path, pytestconfig):
    folder = prepared(tmp_path, {"a": 100, "b": 250})
    out, shard_bytes = tmp_path / "out", 1000
    kept = {}
    for part in ("a/part-00002.json", "b/part-00001.json"):
        with start(folder, out, shard_bytes, pytestconfig.rootpath) as child:
            wait_for(out / part, child)
            child.kill()
        assert not (out / "manifest.json").exists()
        assert all((out / name).stat().st_mtime_ns == when for name, when in kept.items())
        names = [f"{part[0]}/train-0000{number}.ids" for number in range(2)]
        kept |= {name: (out / name).stat().st_mtime_ns for name in names}
    with pytest.raises(DataError, match="not a finished corpus"):
        Corpus.open(out)
    sources = {name: [folder / name] for name in ("a", "b")}
    options = BuildOptions(heldout_fraction=0.1, shard_bytes=shard_bytes)
    build(sources, tokenizer(), out, options=options, report=print)
    assert all((out / name).stat().st_mtime_ns == when for name, when in kept.items())
    build(sources, tokenizer(), tmp_path / "unbroken", options=options, report=print)
    assert tree(out) == tree(tmp_path / "unbroken")


def test_a_full_disk_is_said_and_finished_shards_stay(tmp_path, pytestconfig):
    folder = prepared(tmp_path, {"a": 20, "b": 800})
    out, shard_bytes = tmp_path / "out", 1 << 20
    child = subprocess.run(
        [sys.executable, "-c", SMALL_DISK + CHILD, str(folder), str(shard_bytes), str(out)],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 1
    assert f"MachineError: there is no room: {out}/b/train-00000.ids" in child.stderr
    first = (out / "a" / "train-00000.ids").stat().st_mtime_ns
    assert not list(out.rglob(".partial-*"))
    sources = {name: [folder / name] for name in ("a", "b")}
    options = BuildOptions(heldout_fraction=0.1, shard_bytes=shard_bytes)
    build(sources, tokenizer(), out, options=options, report=print)
    assert (out / "a" / "train-00000.ids").stat().st_mtime_ns == first
    assert Corpus.open(out).manifest == read_manifest(out)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, small):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        MachineError, match=r"file cannot be written: .*file is a file and no folder"
    ):
        build_small(small, tmp_path / "file")


def test_an_unfinished_build_from_other_things_makes_way(tmp_path, small, capsys):
    bad = tmp_path / "b.jsonl"
    bad.write_text('{"text": "a"}\n{"te\n')
    out = tmp_path / "out"
    sources = {"a": [small], "b": [bad]}
    with pytest.raises(DataError, match="line 2 is not JSON"):
        build(sources, tokenizer(), out, report=print)
    assert (out / "a" / "part-00000.json").exists()
    bad.write_text('{"text": "a"}\n{"text": "b"}\n')
    build(sources, tokenizer(), out, report=print)
    said = capsys.readouterr().out
    assert f"{out} held an unfinished build from other things (the source 'b' changed)" in said
    build(sources, tokenizer(), tmp_path / "other", report=print)
    for path in (tmp_path / "other").rglob("*"):
        same = out / path.relative_to(tmp_path / "other")
        assert path.is_dir() or path.read_bytes() == same.read_bytes()


def test_a_finished_corpus_on_a_disk_that_cannot_be_written_is_opened(tmp_path, small, monkeypatch):
    first = build_small(small, tmp_path / "out")

    def refuse(path, missing_ok=False):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    assert build_small(small, tmp_path / "out") == first
