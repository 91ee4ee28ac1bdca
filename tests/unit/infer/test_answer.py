import math

import pytest
import torch

from modernbert.base.errors import ConfigError, DataError
from modernbert.batch import pack
from modernbert.infer.answer import answer
from modernbert.infer.engine import Engine
from modernbert.model.config import HeadConfig
from tests.sentence_folders import made

ASKED = [
    ("which batch", "the packed batch keeps every token apart"),
    ("where", "documents  \N{THUMBS UP SIGN}\tkeep na\u00efve places"),
    ("which batch", "the packed batch keeps every token apart"),
    ("what", "every packed token stays " * 300),
]


def model():
    return made(HeadConfig(kind="spans"))


def test_answers_are_parts_of_their_texts_the_best_first():
    found = answer(model(), ASKED, number=4)
    assert found[0] == found[2]
    for (_, text), answers in zip(ASKED, found, strict=True):
        assert 2 <= len(answers) <= 4
        assert not any(each.text != each.text.strip() for each in answers)
        assert [text[each.start : each.end] for each in answers] == [a.text for a in answers]
        scores = [each.score for each in answers]
        assert scores == sorted(scores, reverse=True)
        assert 0 < scores[-1] < scores[0] <= 1
    assert [each[0] for each in found] == [each[0] for each in answer(model(), ASKED)]


def test_scores_are_the_head_s_over_the_text_and_cls():
    ours = model()
    (found,) = answer(ours, ASKED[:1], number=2, can_be_none=True, max_tokens=1)
    question, text = (ours.tokenizer.encode_texts([each])[0].tolist() for each in ASKED[0])
    cls, sep = ours.tokenizer.cls_id, ours.tokenizer.sep_id
    ids = [cls, *question, sep, *text, sep]
    with torch.no_grad():
        scores = ours(pack([ids]))
    kept = scores[[0, *range(len(question) + 2, len(ids) - 1)]].softmax(0)
    ranked = kept.prod(1).sort(descending=True)
    assert [each.score for each in found] == pytest.approx(ranked.values[:2].tolist(), rel=1e-3)
    assert [each.text == "" for each in found] == [int(n) == 0 for n in ranked.indices[:2]]


def test_none_is_an_answer_when_it_may_be():
    everything = answer(model(), ASKED, number=10**6, can_be_none=True, max_tokens=2)
    for (_, text), answers in zip(ASKED, everything, strict=True):
        assert sum(each.text == "" for each in answers) == 1
        assert all(not math.isnan(each.score) for each in answers)
        assert {text[each.start : each.end] for each in answers} == {a.text for a in answers}


def test_what_cannot_be_answered_is_said():
    with pytest.raises(ConfigError, match="no head that finds answers: make one with"):
        answer(made(), ASKED)
    with pytest.raises(ConfigError, match="number and max_tokens are 0 and 64: ask for 1 or more"):
        answer(model(), ASKED, number=0)
    for asked in ([("who", " ")], [("", "text")], ["who"], [("who", 3)], ["no"]):
        with pytest.raises(DataError, match="is no pair of a question and a text: give both"):
            answer(model(), asked)
    with pytest.raises(DataError, match="texts is a single text: give a list of texts"):
        answer(model(), "who")
    assert answer(model(), []) == []


def test_the_engine_asks_the_head_that_is_there(tmp_path):
    heads = {
        "classify": (HeadConfig(kind="sequence", labels=("a", "b")), ["every token"]),
        "tag": (HeadConfig(kind="tokens", labels=("O", "B-X")), ["every token"]),
        "answer": (HeadConfig(kind="spans"), [("which", "every token")]),
        "choose": (HeadConfig(kind="choice"), ["which"], [["every", "token"]]),
    }
    for name, (head, *given) in heads.items():
        made(head).save(tmp_path / name)
        engine = Engine.load(tmp_path / name, device="cpu")
        assert len(getattr(engine, name)(*given)) == 1
        for other in heads.keys() - {name}:
            with pytest.raises(ConfigError, match="make one with `modernbert finetune"):
                getattr(engine, other)(*heads[other][1:])


@pytest.mark.parametrize("given", [None, 5, b"who", (each for each in ["who"])])
def test_what_is_no_list_is_said_by_every_head(given):
    heads = {
        "classify": HeadConfig(kind="sequence", labels=("a", "b")),
        "tag": HeadConfig(kind="tokens", labels=("O", "B-X")),
        "answer": HeadConfig(kind="spans"),
        "choose": HeadConfig(kind="choice"),
    }
    for name, head in heads.items():
        more = [[["x", "y"]]] if name == "choose" else []
        with pytest.raises(DataError, match="give a list of texts"):
            getattr(Engine(made(head)), name)(given, *more)


@pytest.mark.parametrize("given", [None, 5, b"model"])
def test_what_is_no_name_of_a_model_is_said(given):
    with pytest.raises(ConfigError, match=r"the model is of type .*: give its folder, or its name"):
        Engine.load(given)
