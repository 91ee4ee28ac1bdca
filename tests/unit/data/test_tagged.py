import json
import math

import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.data.table import Row
from modernbert.data.tagged import in_one_scheme, read_tagged, words_in
from modernbert.data.tags import TagSpan
from modernbert.data.windows import first_tokens, windows
from tests.corpora import tokenizer

CONLL = "\n-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\nPeter NNP I-PER\n. . O\n"


def read(path, content, part="train"):
    path.write_text(content, encoding="utf-8")
    return [*read_tagged(path, part)]


def test_words_that_are_no_unicode_are_named():
    with pytest.raises(DataError, match="line 7: 'words' is no Unicode at character 2: mend it"):
        words_in(Row({"words": ["a", "\ud83d"]}, "line 7"))


def test_words_in_columns(tmp_path):
    one, two = read(tmp_path / "t.conll", CONLL)
    assert (one.text, one.words, one.tags) == ("EU rejects", ((0, 2), (3, 10)), ("B-ORG", "O"))
    assert two.text == "Peter ."
    assert one.where.endswith("t.conll, line 4")
    assert [each.tags for each in in_one_scheme([one, two])] == [("B-ORG", "O"), ("B-PER", "O")]


def test_a_word_with_a_blank_or_a_sign_of_a_comment_is_a_word(tmp_path):
    (one,) = read(tmp_path / "t.tsv", "# a = comment\nNew York\tB-LOC\n#\tO\n# 1\tO\n")
    assert one.text == "New York # # 1"
    assert one.words[0] == (0, 8)


@pytest.mark.parametrize(
    "row",
    [
        {"tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]},
        {"words": ["EU", "rejects"], "tags": ["B-ORG", "O"]},
    ],
)
def test_rows_of_words(tmp_path, row):
    (one,) = read(tmp_path / "t.jsonl", json.dumps(row))
    assert (one.text, one.tags) == ("EU rejects", ("B-ORG", "O"))


@pytest.mark.parametrize(
    "spans",
    [
        [{"start": 0, "end": 2, "label": "ORG"}],
        [[0, 2, "ORG"]],
        [{"start": 0, "end": 2, "type": "ORG"}],
    ],
)
def test_rows_of_texts_with_spans(tmp_path, spans):
    (one,) = read(tmp_path / "t.jsonl", json.dumps({"text": "EU rejects", "spans": spans}))
    assert (one.words, one.spans) == (None, (TagSpan(0, 2, "ORG"),))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.conll", "EU B-ORG\nrejects\n", "line 2 has 1 columns, not 2: a line is a word"),
        ("t.conll", "EU\n", "line 1 has 1 columns, not 2: a line is a word, then"),
        ("t.conll", "EU B-ORG\n\tO\n", "line 2 has a tag without a word: complete it, or remove"),
        ("t.conll", "EU\tO\nis\t\n", "line 2 has a word without a tag: complete it, O is none"),
        ("t.jsonl", {"tokens": [], "tags": []}, "'tokens' is empty: complete it, or leave it"),
        ("t.jsonl", {"tokens": [" "], "tags": ["O"]}, "'tokens' is empty: complete it, or leave"),
        ("t.jsonl", {"tokens": ["a"], "tags": [math.nan]}, "has a word without a tag"),
        ("t.jsonl", {"text": " ", "spans": []}, "'text' is empty: complete it, or leave it"),
        ("t.jsonl", {"tokens": ["a", "\ud83d"], "tags": ["O", "O"]}, "'tokens' is no Unicode"),
        ("t.jsonl", {"text": "\ud83d", "spans": []}, "line 1: 'text' is no Unicode at character 0"),
        ("t.jsonl", {"text": "ab", "spans": [[0, 1, math.nan]]}, r"has the span \[0, 1, nan\]"),
        ("t.jsonl", {"text": "a"}, "has text: give `tokens` and `tags`, or `text` and `spans`"),
        ("t.jsonl", {"tokens": ["a"], "tags": []}, "'tokens' and its tags are no two lists of one"),
        (
            "t.jsonl",
            {"tokens": ["a"], "tags": [None]},
            "has a word without a tag: complete it, O is",
        ),
        (
            "t.jsonl",
            {"text": "a", "spans": [[0, 2, "X"]]},
            r"has the span \[0, 2, 'X'\]: give start",
        ),
        ("t.jsonl", {"text": "ab", "spans": [[1, 1, "X"]]}, r"has the span \[1, 1, 'X'\]"),
        ("t.jsonl", {"text": "ab", "spans": [{"start": "0"}]}, "has the span"),
        ("t.jsonl", {"text": "ab", "spans": "X"}, "'spans' is no list of spans"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, sentence):
    content = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(DataError, match=sentence):
        read(tmp_path / name, content)


def test_a_word_is_its_first_token_whatever_it_holds():
    words = [
        "every",
        "\N{GRINNING FACE}\N{THUMBS UP SIGN}",
        "na\u00efve",
        "x" * 300,
        "\u6771\u4eac",
        ".",
    ]
    text, places, at = " ".join(words), [], 0
    for word in words:
        places.append((at, at + len(word)))
        at += len(word) + 1
    ((ids, offsets),) = tokenizer().encode_with_offsets([text])
    firsts = first_tokens(offsets, places)
    assert (firsts >= 0).all()
    assert np.all(np.diff(firsts) > 0)
    for first, (start, stop) in zip(firsts, places, strict=True):
        assert start <= offsets[first, 0] < stop
        assert first == 0 or offsets[first - 1, 1] <= start
    assert len(ids) > len(words)


@pytest.mark.parametrize("count", [1, 30, 31, 62, 200, 401])
def test_every_unit_is_said_in_one_window_with_context(count):
    ids = np.arange(10, 10 + count)
    firsts = np.arange(0, count, 2)
    found = [*windows(7, ids, firsts, tokenizer(), 32)]
    units = [unit for window in found for unit in window.units.tolist()]
    assert sorted(units) == list(range(len(firsts)))
    for window in found:
        assert len(window.ids) <= 32
        assert window.text == 7
        assert window.ids[window.places].tolist() == ids[firsts[window.units]].tolist()
        for place in window.places.tolist():
            # At least three tokens on each side, unless the text itself ends there.
            assert place >= 3 or window is found[0]
            assert place <= len(window.ids) - 4 or window is found[-1]
