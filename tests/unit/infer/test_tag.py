import numpy as np
import pytest
import torch

from modernbert.base.errors import ConfigError, DataError
from modernbert.batch import pack
from modernbert.infer.tag import WordTags, tag, word_tags
from modernbert.model.config import HeadConfig
from modernbert.model.hf_kept import TAGS_TOKENS
from tests.sentence_folders import made

NAMES = ("O", "B-X", "I-X")
EMOJI = "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"
TEXT = f"na\u00efve {EMOJI}\tthe  packed (batch),\n{'x' * 3000} \u6771\u4eac keeps its place"


def model(names=NAMES):
    return made(HeadConfig(kind="tokens", labels=names))


def test_spans_are_parts_of_the_text_with_their_scores():
    for found in tag(model(), [TEXT, "every token", TEXT * 3]):
        assert found == sorted(found, key=lambda each: each.start)
        assert all(0 < each.score <= 1 and each.label == "X" for each in found)
    (found,) = tag(model(), [TEXT])
    assert found
    assert [TEXT[each.start : each.end] for each in found] == [each.text for each in found]
    assert not any(each.text[0].isspace() or each.text[-1].isspace() for each in found)


def test_a_word_has_the_tag_of_its_first_token_in_running_text():
    ours, words = model(), ["the", "packed", "batch", "keeps"]
    (found,) = word_tags(ours, [words])
    text = " ".join(words)
    ids = ours.tokenizer.encode(text).tolist()
    with torch.no_grad():
        scores = ours(pack([ids])).softmax(-1)[1:-1]
    ((_, offsets),) = ours.tokenizer.encode_with_offsets([text])
    firsts = [int(np.flatnonzero(offsets[:, 1] > begin)[0]) for begin, _ in found.places]
    assert list(found.tags) == [NAMES[int(n)] for n in scores[firsts].argmax(-1)]
    assert found.scores == pytest.approx(scores[firsts].amax(-1).tolist(), abs=1e-4)
    assert [text[begin:end] for begin, end in found.places] == words
    assert word_tags(ours, [text]) == [found]


def test_a_head_of_spans_in_texts_tags_each_token():
    ours, text = model(), TEXT.replace("x" * 3000, "x" * 30)
    ours.model.kept = {TAGS_TOKENS: True}
    (found,) = word_tags(ours, [text])
    ((ids, offsets),) = ours.tokenizer.encode_with_offsets([text])
    with torch.no_grad():
        scores = ours(pack([ours.tokenizer.encode(text).tolist()])).softmax(-1)[1:-1]
    assert len(found.tags) == len(ids) < ours.config.max_length
    begins = np.flatnonzero([a >= b for a, b in zip(offsets[1:, 0], offsets[:-1, 1], strict=True)])
    best = [NAMES[int(n)] for n in scores.argmax(-1)]
    assert {*range(len(ids))} - {*(begins + 1)} > {0}, "some characters are of several tokens"
    assert [found.tags[at] for at in (0, *(begins + 1))] == [best[at] for at in (0, *(begins + 1))]
    assert [stop for _, stop in found.places] == offsets[:, 1].tolist()
    assert [text[a:b] for a, b in found.places] == [
        text[a:b].lstrip() or text[a:b] for a, b in offsets
    ]
    assert all(each.text.strip() for each in tag(ours, [text, " \n\t "])[0])
    entities = tag(ours, [text])[0]
    ends = [each.end for each in entities[:-1]]
    assert all(end <= each.start for end, each in zip(ends, entities[1:], strict=True))
    words = ["the", "packed", "batch"]
    assert [text[a:b] for a, b in word_tags(ours, [words])[0].places] != words
    assert len(word_tags(ours, [words])[0].tags) == 3


def test_order_stays_and_texts_of_no_word_have_none():
    texts = ["", " \n", TEXT, "packed", *("every token apart " * n for n in range(1, 20))]
    together = word_tags(model(), texts)
    assert [each.text for each in together] == texts
    assert together[0].tags == together[1].tags == ()
    assert tag(model(), []) == []
    (alone,) = word_tags(model(), texts[-1:])
    assert alone.tags == together[-1].tags


def test_long_texts_are_read_in_windows_and_every_word_is_said():
    (found,) = word_tags(model(), ["every packed token " * 600])
    assert len(found.tags) == 1800
    assert min(found.scores) > 0


def test_entities_are_merged_and_scored():
    places = ((0, 2), (3, 5), (6, 8), (9, 11))
    words = WordTags("EU in New Yo", places, ("B-ORG", "O", "B-LOC", "I-LOC"), (0.9, 1, 0.8, 0.6))
    one, two = words.entities(is_chunked=True)
    assert (one.label, one.text, one.score) == ("ORG", "EU", 0.9)
    assert (two.start, two.end, two.score) == (6, 11, pytest.approx(0.7))
    alone = WordTags("a b", ((0, 1), (2, 3)), ("DET", "O"), (0.9, 0.8)).entities(is_chunked=False)
    assert [(each.label, each.start, each.end) for each in alone] == [("DET", 0, 1)]


def test_what_cannot_be_tagged_is_said():
    with pytest.raises(ConfigError, match="no head that tags words: make one with `modernbert f"):
        tag(made(), ["a"])
    with pytest.raises(DataError, match="texts is a single text: give a list of texts"):
        tag(model(), "one text")
    with pytest.raises(DataError, match=r"\[1\] is neither a text nor a list of words: give eith"):
        tag(model(), [[1]])
    with pytest.raises(DataError, match="5 is neither a text nor a list of words: give either"):
        tag(model(), [5])
    with pytest.raises(DataError, match="the text is no Unicode at character 0"):
        tag(model(), ["\ud800"])
