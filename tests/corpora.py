"""Small texts, a tokenizer and corpora made of them, the same ones for every test."""

import functools
from pathlib import Path

import numpy as np
import pytest

from modernbert.data.build import build
from modernbert.data.corpus import Corpus
from modernbert.data.manifest import BuildOptions, Manifest, Plan, SourceFacts, write_manifest
from modernbert.data.shards import write_shard
from modernbert.data.tokenizer import Tokenizer
from modernbert.data.train_tokenizer import train

WORDS = ("the", "packed", "batch", "keeps", "documents", "apart", "every", "token", "place")
SHARED = Path(__file__).parents[2] / "shared" / "data"

needs_shared_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the data folder beside the repository is not there"
)


def texts(count: int, seed: int = 0, longest: int = 300) -> list[str]:
    """Sentences of 1 to `longest` words, no two alike."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, longest, count)
    return [f"{i} " + " ".join(rng.choice(WORDS, size)) for i, size in enumerate(sizes)]


@functools.cache
def tokenizer() -> Tokenizer:
    """A tokenizer of 512 ids."""
    return train(iter(texts(40)), 512)


def write_texts(folder: Path, many: list[str]) -> Path:
    """One text file a text."""
    folder.mkdir(parents=True)
    for number, text in enumerate(many):
        (folder / f"{number:04}.txt").write_text(text, encoding="utf-8")
    return folder


def make_corpus(folder: Path, sizes: dict[str, int], **options) -> Corpus:
    """Build a corpus with so many documents a source, in `folder/corpus`."""
    sources = {
        name: [write_texts(folder / f"texts-{name}", texts(count, seed))]
        for seed, (name, count) in enumerate(sizes.items())
    }
    options = {"heldout_fraction": 0.1, "shard_bytes": 20_000} | options
    build(sources, tokenizer(), folder / "corpus", options=BuildOptions(**options), report=print)
    return Corpus.open(folder / "corpus")


def corpus_of_lengths(folder: Path, lengths: list[int]) -> Corpus:
    """Write a corpus of one source whose documents have these lengths, in tokens."""
    folder.mkdir()
    ids = np.random.default_rng(0).choice(tokenizer().ordinary_ids, sum(lengths))
    documents = np.split(ids, np.cumsum(lengths)[:-1])
    (folder / "source").mkdir()
    facts = write_shard(folder / "source" / "train-00000", documents, 0, "uint16")
    source = SourceFacts("source", len(lengths), 0, 0, 0, train=(facts,), heldout=())
    plan = Plan(tokenizer().fingerprint, tokenizer().vocab_size, "uint16", BuildOptions(), ())
    tokenizer().save(folder)
    write_manifest(folder, Manifest.of(plan, (source,), 0))
    return Corpus.open(folder)
