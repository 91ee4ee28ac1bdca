import json
import shutil

import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.base.files import read_json
from modernbert.data.corpus import Corpus
from modernbert.data.shards import Shard, dtype_for, write_shard
from modernbert.data.train_tokenizer import train
from tests.corpora import corpus_of_lengths, texts


@pytest.fixture
def copy(corpus, tmp_path):
    return shutil.copytree(corpus.folder, tmp_path / "copy")


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def read_all(folder):
    corpus = Corpus.open(folder)
    for split in ("train", "heldout"):
        for document, length in enumerate(corpus.lengths(split)):
            corpus.read(split, document, 0, int(length))
    corpus.unigram_counts()


def test_it_knows_its_sources_and_counts(corpus):
    assert corpus.sources("train") == ("books", "code", "web")
    assert corpus.vocab_size == 512
    assert sum(corpus.token_counts("train").values()) == corpus.lengths("train").sum()
    counts = [corpus.document_counts(split) for split in ("train", "heldout")]
    assert counts[0]["books"] + counts[1]["books"] == 60
    assert corpus.unigram_counts().sum() == corpus.lengths("train").sum()
    with pytest.raises(DataError, match="no split 'test': choose one of train, heldout"):
        corpus.sources("test")


def test_a_stretch_of_a_document_is_read(corpus):
    whole = corpus.read("train", 3, 0, 10**9)
    assert len(whole) == corpus.lengths("train")[3]
    np.testing.assert_array_equal(corpus.read("train", 3, 2, 5), whole[2:5])


def test_the_fingerprint_is_that_of_the_content(corpus, copy, tmp_path):
    assert Corpus.open(copy).fingerprint == corpus.fingerprint
    other = corpus_of_lengths(tmp_path / "other", [3, 4])
    assert other.fingerprint != corpus.fingerprint


def test_a_flipped_byte_of_a_shard_names_shard_and_document(corpus, copy):
    offsets = np.cumsum([0, *corpus.lengths("train")])
    first_shard = read_json(copy / "manifest.json")["sources"][0]["train"][0]
    for document in (0, 5, first_shard["documents"] - 1):
        for at in (2 * offsets[document], 2 * offsets[document + 1] - 1):
            flip(copy / "books" / "train-00000.ids", at)
            broken = Corpus.open(copy)
            with pytest.raises(DataError, match=rf"books/train-00000/document {document} was alt"):
                broken.read("train", document, 0, 1)
            other = document - 1 if document else 1
            broken.read("train", other, 0, 1)
            flip(copy / "books" / "train-00000.ids", at)
    read_all(copy)


@pytest.mark.parametrize("pattern", ["*/*.ids", "*/*.index", "manifest.json", "unigrams.int64"])
def test_a_flipped_byte_anywhere_is_noticed(copy, pattern):
    rng = np.random.default_rng(0)
    paths = sorted(copy.glob(pattern))
    for _ in range(20):
        path = paths[rng.integers(len(paths))]
        at = int(rng.integers(path.stat().st_size))
        flip(path, at)
        with pytest.raises(DataError, match=r"altered|broken|format"):
            read_all(copy)
        flip(path, at)
    read_all(copy)


def test_a_missing_or_shortened_file_is_named(copy):
    path = copy / "code" / "train-00000.ids"
    data = path.read_bytes()
    path.write_bytes(data[:-2])
    with pytest.raises(DataError, match=rf"{path} has {len(data) - 2} bytes, the manifest says"):
        Corpus.open(copy)
    path.unlink()
    with pytest.raises(DataError, match=rf"code/train-00000: {path} is missing"):
        Corpus.open(copy)
    path.write_bytes(data)
    (copy / "unigrams.int64").unlink()
    with pytest.raises(DataError, match=r"unigrams.int64 is missing"):
        Corpus.open(copy).unigram_counts()


def test_another_tokenizer_is_refused(copy):
    train(iter(texts(30, seed=9)), 448).save(copy)
    with pytest.raises(DataError, match="is not the one the corpus was built with"):
        Corpus.open(copy)


def test_another_format_is_refused_in_one_sentence(copy):
    value = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**value, "format": 2}))
    with pytest.raises(DataError, match="has format 2, this version reads format 1"):
        Corpus.open(copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "plan": 3}'])
def test_a_broken_manifest_is_refused(copy, text):
    (copy / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json is broken"):
        Corpus.open(copy)


def test_no_corpus_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a finished corpus"):
        Corpus.open(tmp_path)


def test_ids_take_the_narrowest_type_that_holds_the_vocabulary():
    assert dtype_for(65_536) == "uint16"
    assert dtype_for(65_537) == "uint32"
    with pytest.raises(DataError, match="65537 ids, uint16 holds 65536: use uint32"):
        dtype_for(65_537, "uint16")


def test_large_ids_survive(tmp_path):
    documents = [np.array([65_535, 65_536, 2**32 - 1]), np.array([0])]
    facts = write_shard(tmp_path / "train-00000", documents, 0, "uint32")
    shard = Shard(tmp_path, facts, "uint32")
    for number, ids in enumerate(documents):
        np.testing.assert_array_equal(shard.read(number, 0, 9), ids)
