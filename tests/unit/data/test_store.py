import shutil
import sys
import zlib

import fsspec
import numpy as np
import pytest

from modernbert.base.errors import ConfigError, DataError, MachineError
from modernbert.base.files import read_json, write_json
from modernbert.data import store as stores
from modernbert.data.corpus import Corpus
from modernbert.data.manifest import _checksum
from modernbert.data.store import is_address
from modernbert.data.stream import Stream, StreamConfig, StreamState
from tests.s3 import KEY, Bucket, serving

PLENTY = 10**9


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MODERNBERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stores, "_WAITS_S", (0.0, 0.0, 0.0))
    return tmp_path / "cache"


@pytest.fixture
def copy(corpus, tmp_path):
    return shutil.copytree(corpus.folder, tmp_path / "there" / "corpus")


@pytest.fixture
def memory(corpus):
    """The corpus in memory, which has no folders to be confused with."""
    files = fsspec.filesystem("memory")
    files.put(str(corpus.folder), "/bucket/corpus", recursive=True)
    yield "memory://bucket/corpus"
    files.rm("/bucket", recursive=True)


@pytest.fixture
def bucket(copy, monkeypatch):
    s3fs = pytest.importorskip("s3fs", reason="the extra s3fs is not installed")
    with serving(Bucket("bucket", copy.parent)) as bucket:
        for name, value in bucket.environment().items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield bucket
    s3fs.S3FileSystem.clear_instance_cache()


def assert_same(ours, theirs):
    assert ours.fingerprint == theirs.fingerprint
    for split in ("train", "heldout"):
        lengths = theirs.lengths(split)
        np.testing.assert_array_equal(ours.lengths(split), lengths)
        places = [(number, 0, int(length)) for number, length in enumerate(lengths)]
        places += [(number, 1, int(length) // 2) for number, length in enumerate(lengths)]
        for a, b in zip(
            ours.read_many(split, places), theirs.read_many(split, places), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(ours.unigram_counts(), theirs.unigram_counts())


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def small(folder):
    ids = sum(path.stat().st_size for path in folder.rglob("*.ids"))
    return size_of(folder) - ids


def test_addresses_are_told_from_folders():
    assert is_address("s3://bucket/corpus")
    assert not any(map(is_address, ("corpus", "/a/b", "s3/b", "")))


@pytest.mark.parametrize("room", [0, 30_000, PLENTY])
def test_a_corpus_in_memory_is_that_of_the_folder(corpus, memory, cache, room):
    bound = small(corpus.folder) + room
    assert_same(Corpus.at(memory, bound), corpus)
    assert size_of(cache) <= bound
    assert bool(list(cache.rglob("*.ids"))) == bool(room)


def test_a_corpus_behind_a_file_address_is_that_of_the_folder(corpus, cache):
    ours = Corpus.at(f"file://{corpus.folder}", PLENTY)
    assert ours.place == f"file://{corpus.folder}"
    assert_same(ours, corpus)


def test_a_folder_needs_neither_fsspec_nor_cache(corpus, cache, monkeypatch):
    monkeypatch.setattr(fsspec.core, "url_to_fs", None)
    assert_same(Corpus.at(str(corpus.folder), 0), corpus)
    assert not cache.exists()


def test_the_stream_of_a_store_is_that_of_the_folder(corpus, memory):
    config = StreamConfig(64, 256, seed=1, purpose="store", weights={"books": 0.5, "web": 0.5})
    ours, theirs = Stream(Corpus.at(memory, 60_000), config), Stream(corpus, config)
    state = StreamState()
    for _ in range(10):
        a, b = ours.take(state, 3), theirs.take(state, 3)
        assert a.state == b.state
        for mine, other in zip(a.rows, b.rows, strict=True):
            np.testing.assert_array_equal(mine.ids, other.ids)
        state = b.state


def test_what_the_cache_has_is_not_asked_for_again(corpus, memory, cache):
    assert_same(Corpus.at(memory, PLENTY), corpus)
    files = fsspec.filesystem("memory")
    for path in files.find("/bucket"):
        if path.endswith((".ids", ".index", ".int64")):
            files.rm(path)
    assert_same(Corpus.at(memory, PLENTY), corpus)


def test_another_corpus_at_the_same_address_is_noticed(corpus, memory, tmp_path):
    Corpus.at(memory, PLENTY)
    files = fsspec.filesystem("memory")
    value = read_json(corpus.folder / "manifest.json")
    value["plan"]["inputs"] = []
    value["checksum"] = _checksum(value)
    write_json(tmp_path / "manifest.json", value)
    files.put_file(str(tmp_path / "manifest.json"), "/bucket/corpus/manifest.json")
    assert Corpus.at(memory, PLENTY).fingerprint == value["checksum"]


@pytest.mark.parametrize("missing", ["manifest.json", "unigrams.int64", "tokenizer.json"])
def test_what_is_not_there_is_named(memory, missing):
    fsspec.filesystem("memory").rm(f"/bucket/corpus/{missing}")
    with pytest.raises(DataError, match=rf"corpus/{missing} is not there: see that the address"):
        Corpus.at(memory, PLENTY)


def test_a_broken_manifest_names_the_address(memory):
    fsspec.filesystem("memory").pipe("/bucket/corpus/manifest.json", b"{")
    with pytest.raises(DataError, match=r"^memory://bucket/corpus: .*manifest.json is broken"):
        Corpus.at(memory, PLENTY)


def test_names_that_lead_out_of_the_cache_are_refused(copy):
    value = read_json(copy / "manifest.json")
    value["sources"][0]["name"] = "../../outside"
    value["checksum"] = _checksum(value)
    write_json(copy / "manifest.json", value)
    with pytest.raises(DataError, match=r"manifest.json names files that lie elsewhere: not read"):
        Corpus.at(f"file://{copy}", PLENTY)


def flip(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("room", [0, PLENTY])
def test_ids_altered_in_the_store_are_noticed(copy, room):
    flip(copy / "books" / "train-00000.ids")
    ours = Corpus.at(f"file://{copy}", room)
    with pytest.raises(DataError, match=r"books/train-00000/document 0 was altered .* file://"):
        ours.read("train", 0, 0, 5)


def test_an_altered_copy_is_dropped_and_fetched_anew(corpus, copy, cache):
    place = f"file://{copy}"
    Corpus.at(place, PLENTY).read("train", 0, 0, 5)
    (mine,) = cache.rglob("books/train-00000.ids")
    flip(mine)
    for index in cache.rglob("*.index"):
        flip(index)
    with pytest.raises(DataError, match="the cache, which has dropped its copy: repeat"):
        Corpus.at(place, PLENTY).read("train", 0, 0, 5)
    assert_same(Corpus.at(place, PLENTY), corpus)


def test_a_shorter_file_in_the_store_is_noticed(copy, cache):
    path = copy / "books" / "train-00000.ids"
    path.write_bytes(path.read_bytes()[:-2])
    size = path.stat().st_size
    ours = Corpus.at(f"file://{copy}", PLENTY)
    with pytest.raises(DataError, match=rf"gave {size} bytes where {size + 2} were asked for"):
        ours.read("train", 0, 0, 5)
    assert not list(cache.rglob("*.ids"))


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("nothing://b/c", ConfigError, r"nothing://b/c is no address that can be read \(Protocol"),
        ("file:///nowhere/c", DataError, "file:///nowhere/c/manifest.json is not there"),
    ],
)
def test_addresses_that_lead_nowhere(address, error, message):
    with pytest.raises(error, match=message):
        Corpus.at(address, PLENTY)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MachineError, match=r"gs://b/c cannot be opened .*'modernbert\[s3fs\]'"):
        Corpus.at("gs://b/c", PLENTY)


class Unsteady:
    """A store that fails some times, then reads files of a folder."""

    def __init__(self, folder, failures, error):
        self.folder, self.failures, self.error, self.calls = folder, failures, error, 0

    def cat_file(self, path, start=None, end=None):
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise self.error
        return (self.folder / path.strip("/")).read_bytes()[start:end]


@pytest.mark.parametrize(
    ("failures", "error", "calls"),
    [
        (3, TimeoutError("slow"), 4),
        (3, ConnectionResetError(104, "reset"), 4),
        (9, PermissionError("Forbidden"), 1),
        (9, FileNotFoundError("x"), 1),
    ],
)
def test_faults_that_pass_are_tried_again(
    corpus, cache, monkeypatch, capsys, failures, error, calls
):
    files = Unsteady(corpus.folder, failures, error)
    monkeypatch.setattr(stores, "_file_system", lambda address: (files, ""))
    store = stores.Store.at("s3://b/c", PLENTY)
    if failures == 3:
        assert zlib.crc32(store.part("manifest.json", 0, 9)) == zlib.crc32(b'{\n  "form')
    else:
        said = "may not be read" if isinstance(error, PermissionError) else "is not there"
        with pytest.raises((MachineError, DataError), match=said):
            store.part("manifest.json", 0, 9)
    assert files.calls == calls
    assert capsys.readouterr().err.count("s3://b/c does not answer (") == (failures == 3)


def test_a_store_that_stays_away_is_one_sentence(corpus, monkeypatch):
    files = Unsteady(corpus.folder, 99, OSError(113, "No route to host"))
    monkeypatch.setattr(stores, "_file_system", lambda address: (files, ""))
    with pytest.raises(MachineError) as raised:
        stores.Store.at("s3://b/c", PLENTY).part("manifest.json", 0, 9)
    assert str(raised.value) == (
        "the store cannot be reached: s3://b/c/manifest.json was tried 4 times (No route to host); "
        "repeat the command when it answers, or go on with --resume: what was saved is intact"
    )


def test_if_there_does_without_a_store_that_is_away(corpus, monkeypatch, tmp_path, capsys):
    assert Corpus.if_there(str(tmp_path), 0) is None
    assert Corpus.if_there(str(corpus.folder), 0).fingerprint == corpus.fingerprint
    assert Corpus.if_there("nothing://b", 0) is None
    assert "without the corpus: nothing://b is no address" in capsys.readouterr().err


@pytest.mark.parametrize("room", [0, 30_000, PLENTY])
def test_a_corpus_in_s3_is_that_of_the_folder(corpus, bucket, cache, room):
    bound = small(corpus.folder) + room
    assert_same(Corpus.at("s3://bucket/corpus", bound), corpus)
    assert size_of(cache) <= bound
    ids = [each for _, path, each in bucket.asked if path.endswith(".ids")]
    assert ids
    assert all(ids), "parts are asked for, never a whole shard where a document is wanted"


@pytest.mark.parametrize(
    ("address", "key", "error", "message"),
    [
        ("s3://none/corpus", KEY, DataError, "s3://none/corpus/manifest.json is not there"),
        ("s3://bucket/other", KEY, DataError, "s3://bucket/other/manifest.json is not there"),
        ("s3://bucket/corpus", "wrong", MachineError, r"may not be read \(.*\): give the cred"),
    ],
)
def test_what_s3_refuses(bucket, monkeypatch, address, key, error, message):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    with pytest.raises(error, match=message):
        Corpus.at(address, PLENTY)


def test_without_credentials(bucket, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(MachineError, match="give the credentials as the store's own tools"):
        Corpus.at("s3://bucket/corpus", PLENTY)


def test_broken_answers_and_busy_servers_are_tried_again(corpus, bucket):
    bucket.cut, bucket.failing = 3, 3
    assert_same(Corpus.at("s3://bucket/corpus", PLENTY), corpus)
    assert (bucket.cut, bucket.failing) == (0, 0)
