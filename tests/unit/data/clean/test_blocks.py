"""What stands between datatrove's blocks, beside datatrove's own way where it has one."""

import struct

import numpy as np
import pytest

pytest.importorskip("datatrove", reason="datatrove is not installed")

from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontFilter
from datatrove.pipeline.dedup import MinhashDedupSignature

from modernbert.base.errors import ConfigError
from modernbert.base.files import read_json
from modernbert.data.clean.blocks import copies
from modernbert.data.clean.blocks.index import config_of, runs_of, sources_of, write_index
from modernbert.data.clean.blocks.language import check_languages, model, pieces
from modernbert.data.clean.blocks.words import WORDS
from modernbert.data.clean.evaluations import Example
from modernbert.data.clean.options import MinHash
from tests.unit.data.clean.planted import prose


def test_words_and_sentences_need_no_model():
    assert WORDS.word_tokenize("Don't say (e.g.) foo.bar, 漢字!") == [
        *("Don't", "say", "(", "e.g", ".", ")", "foo.bar", ",", "漢", "字", "!"),
    ]
    assert WORDS.sent_tokenize("One is. Two is? Three") == ["One is.", "Two is?"]
    assert WORDS.word_tokenize("") == []


def test_signatures_made_piece_by_piece_are_datatroves(tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_BLOCK", 7)
    config = copies.minhash_config(MinHash())
    ours = copies.Signature(str(tmp_path), config, language=WORDS)
    theirs = MinhashDedupSignature(str(tmp_path), config, language=WORDS)
    shingles = theirs.get_shingles(prose(1))
    assert len(shingles) > 3 * 7
    assert ours.get_signature(shingles) == theirs.get_signature(shingles)


def test_the_first_of_a_group_is_kept(tmp_path):
    groups, out = tmp_path / "groups", tmp_path / "out"
    groups.mkdir()
    (groups / "000000.clusters").write_bytes(struct.pack("<6I", 3, 1, 5, 0, 6, 1))
    (groups / "000002.clusters").write_bytes(struct.pack("<4I", 0, 0, 1, 2))
    copies.KeepFirst(groups, out).run()
    removed = {path.name: path.read_bytes() for path in out.glob("*.remove")}
    assert removed == {
        "000000.remove": struct.pack("<I", 6),
        "000002.remove": struct.pack("<I", 0),
    }
    assert read_json(out / "firsts.json") == [[0, 5], [0, 3], [2, 1]]


def test_words_of_an_evaluation_set_are_found_by_datatrove(tmp_path):
    examples = [Example("a:1", "too short"), Example("a:2", prose(1)), Example("a:3", prose(2))]
    indexed = write_index(tmp_path, "set", examples, 12)
    assert (indexed.texts, indexed.too_short) == (3, 1)
    step = NGramsDecontFilter(str(tmp_path), config_of(12), language=WORDS)
    held = Document(f"Something before. {prose(2).upper()}!", "x")
    assert step.filter(held) == (False, "contaminated")
    run = held.metadata["contaminated_ngram"]
    assert sources_of(tmp_path, 12, {"set": [run]}) == {run: "a:3"}
    assert step.filter(Document(prose(3), "x")) is True


def test_rows_of_numbers_are_no_sign_of_an_example():
    assert list(runs_of("1 2 3 4 5 6 7 8 9 10 11 12 13", 12)) == []
    assert len(list(runs_of("a b c d e f g h i j k l m", 12))) == 2


def test_languages_are_told_apart_without_a_network():
    sentences = {
        "en": "It is a truth universally acknowledged that a man must be in want of a wife.",
        "de": "Es ist eine allgemein anerkannte Wahrheit, dass ein Mann eine Frau sucht.",
        "fr": "C'est une vérité reconnue que tout homme doit avoir envie de se marier.",
        "pt": "É uma verdade reconhecida que um homem deve estar à procura de uma esposa.",
    }
    found = {name: model().classify(text)[0] for name, text in sentences.items()}
    assert found == {name: name for name in sentences}


def test_a_long_text_is_judged_by_pieces():
    text = "".join(np.random.default_rng(1).choice(list("abcdef"), 50_000))
    found = pieces(text)
    assert (len(found), found[:1000], found[-1000:]) == (4003, text[:1000], text[-1000:])
    assert pieces("short") == "short"


def test_unknown_languages_are_refused():
    check_languages(("en", "de"))
    with pytest.raises(ConfigError, match="--language 'eng' is not known: did you mean en"):
        check_languages(("eng",))
