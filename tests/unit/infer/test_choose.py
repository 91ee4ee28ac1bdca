import pytest
import torch

from modernbert.base.errors import ConfigError, DataError
from modernbert.batch import pack
from modernbert.infer.choose import choice_scores, choose
from modernbert.model.config import HeadConfig
from tests.sentence_folders import made

QUESTIONS = ["the packed batch", "every token " * 300, ("documents apart", "the batch keeps")]
OPTIONS = [["place", "token", "a batch"], ["the", "apart " * 50], ["every token", "documents"]]


@pytest.fixture(scope="module")
def model():
    return made(HeadConfig(kind="choice"))


def test_scores_are_the_model_s_own_and_keep_their_order(model):
    found = choice_scores(model, QUESTIONS * 20, OPTIONS * 20)
    assert [len(scores) for scores in found] == [3, 2, 2] * 20
    tokens = model.tokenizer
    one, two = (ids.tolist() for ids in tokens.encode_many([QUESTIONS[0], "token"]))
    ids = [tokens.cls_id, *one, tokens.sep_id, *two, tokens.sep_id]
    with torch.no_grad():
        right = model(pack([ids]))[0, 0]
    torch.testing.assert_close(found[0][1], right, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[57][1], right, rtol=1e-4, atol=1e-5)
    joined = choice_scores(model, ["documents apart"], [["the batch keeps every token", "the"]])
    torch.testing.assert_close(found[2][0], joined[0][0], rtol=1e-4, atol=1e-5)


def test_the_likeliest_option_comes_first(model):
    scores = choice_scores(model, QUESTIONS, OPTIONS)
    for given, options, right in zip(
        OPTIONS, choose(model, QUESTIONS, OPTIONS), scores, strict=True
    ):
        assert options[0].number == int(right.argmax())
        assert [option.text for option in options] == [given[option.number] for option in options]
        shares = right.softmax(-1).sort(descending=True).values.tolist()
        assert [option.score for option in options] == pytest.approx(shares)
        assert sum(option.score for option in options) == pytest.approx(1)
    assert choose(model, [], []) == []


@pytest.mark.parametrize(
    ("questions", "options", "sentence"),
    [
        (["a", "b"], [["x", "y"]], "there are 2 questions and 1 lists of options: give one list"),
        (["a"], [[]], "question 0 has no options, and a choice needs two"),
        (["a", "b"], [["x", "y"], ["x"]], "question 1 has 1 option, and a choice needs two"),
        (["a"], [["x", ""]], "question 0: 'option 1' is empty"),
        ([" "], [["x", "y"]], "question 0: 'text' is empty"),
        ([("a", "")], [["x", "y"]], "question 0: 'text' is empty"),
        ([None], [["x", "y"]], "None is neither a text nor a pair of texts: give either"),
        ([("a", "b", "c")], [["x", "y"]], "is neither a text nor a pair of texts: give either"),
        ("a", [["x", "y"]], "questions is a single text: give a list of texts"),
        (["a"], None, "options is of type NoneType: give a list of texts"),
        (["a"], ["xy"], r"options\[0\] is a single text: give a list of texts"),
        (["a"], [None], r"options\[0\] is of type NoneType: give a list of texts"),
        (["a"], [["x", None]], "question 0: 'option 1' is None, not a text: complete it"),
    ],
)
def test_what_cannot_be_chosen_from_is_said(model, questions, options, sentence):
    with pytest.raises(DataError, match=sentence):
        choose(model, questions, options)


def test_other_heads_do_not_choose():
    with pytest.raises(
        ConfigError, match="no head that chooses: make one with `modernbert finetun"
    ):
        choose(made(), QUESTIONS, OPTIONS)
