import hashlib
import itertools
import json
import subprocess
import sys
import tracemalloc

import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.train_tokenizer import _units, thinned, train
from tests.corpora import texts, tokenizer

SCRIPT = """
import hashlib
from tests.corpora import tokenizer
print(hashlib.sha256(tokenizer()._indented.encode()).hexdigest())
"""


def test_other_processes_train_the_same_file(pytestconfig):
    here = hashlib.sha256(tokenizer()._indented.encode()).hexdigest()
    for parallelism in ("true", "false"):
        there = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"TOKENIZERS_PARALLELISM": parallelism},
            cwd=pytestconfig.rootpath,
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here


def test_ties_are_broken_the_same_way():
    # Every pair occurs as often as any other.
    words = [f"{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]
    files = {train(iter(words), 320)._indented for _ in range(5)}
    assert len(files) == 1


def test_it_is_of_modernberts_kind():
    spec = json.loads(tokenizer()._spec)
    assert spec["normalizer"] == {"type": "NFC"}
    assert spec["pre_tokenizer"]["type"] == spec["decoder"]["type"] == "ByteLevel"
    special = {t["content"]: t for t in spec["added_tokens"] if t["special"]}
    assert list(special) == ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    assert [name for name, token in special.items() if token["lstrip"]] == ["[MASK]"]
    pair = spec["post_processor"]["pair"]
    assert [next(iter(part.values()))["id"] for part in pair] == [
        "[CLS]",
        "A",
        "[SEP]",
        "B",
        "[SEP]",
    ]


def test_the_vocabulary_is_filled_up():
    assert train(iter(["few words"]), 512).vocab_size == 512
    assert tokenizer().vocab_size == 512
    assert train(iter(texts(50)), 320).vocab_size == 320


def test_every_byte_has_a_token():
    given = "".join(map(chr, range(1, 0x250))) + "日本語 😀"
    (ids,) = tokenizer().encode_many([given])
    assert tokenizer().unk_id not in ids
    assert tokenizer().decode(ids) == given


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="1000 is no multiple of 64: give 960 or 1024"):
        train(iter(["x"]), 1000)
    with pytest.raises(ConfigError, match="256 has no room for 256 bytes"):
        train(iter(["x"]), 256)
    with pytest.raises(ConfigError, match="sample_bytes is 0"):
        train(iter(["x"]), 320, sample_bytes=0)


def test_no_text_is_refused():
    with pytest.raises(DataError, match="no text to train"):
        train(iter([""]), 320)


def test_a_sample_keeps_to_its_size_and_is_spread_evenly():
    kept = thinned((f"{i:04}" for i in range(1000)), 400)
    assert sum(map(len, kept)) <= 400
    numbers = [int(text) for text in kept]
    gaps = {b - a for a, b in itertools.pairwise(numbers)}
    assert len(gaps) == 1
    assert numbers[-1] > 1000 - 2 * gaps.pop()
    assert thinned(iter(["ab", "cd"]), 100) == ["ab", "cd"]


def test_memory_does_not_grow_with_the_text_behind_a_sample():
    def peak(times):
        many = (f"{number} " + "word " * 400 for number in range(500 * times))
        tracemalloc.start()
        try:
            kept = thinned(_units(many), 1_000_000)
            return tracemalloc.get_traced_memory()[1], sum(map(len, kept))
        finally:
            tracemalloc.stop()

    (small, _), (large, kept) = peak(1), peak(20)
    assert 400_000 < kept <= 1_000_000
    assert large < 1.2 * small < 2_000_000


def test_one_long_text_is_sampled_along_its_whole_length():
    long = "".join(f"{'zebra' if i > 30_000 else 'lion'}\n" for i in range(60_000))
    found = train(iter([long]), 320, sample_bytes=140_000)
    assert [len(ids) for ids in found.encode_many(["zebra", "lion"])] == [1, 1]
