import json

import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.columns import Columns
from modernbert.data.table import open_table
from modernbert.data.tagged import word_file
from modernbert.data.word_files import is_of_words
from modernbert.infer.answer import answer
from modernbert.infer.engine import Engine
from modernbert.infer.predict import predict
from modernbert.infer.sayings import Wishes
from modernbert.infer.tag import tag, word_tags
from modernbert.model.config import HeadConfig
from modernbert.model.hf_kept import TEXT_COLUMNS
from tests.sentence_folders import made

TAGS = HeadConfig(kind="tokens", labels=("O", "B-X", "I-X"))
ASKED = {"context": "the packed batch keeps every token", "question": "which batch"}


def table_of(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_table(path, "test")


def test_texts_are_tagged(tmp_path):
    ours, text = made(TAGS), "the packed batch"
    (row,) = predict(ours, table_of(tmp_path / "t.jsonl", [{"text": text}]), Columns(), Wishes())
    assert [each["start"] for each in row["prediction"]] == [e.start for e in tag(ours, [text])[0]]
    assert row.keys() == {"text", "prediction"}


def test_words_are_tagged_one_by_one(tmp_path):
    ours, words = made(TAGS), ["the", "packed", "batch"]
    table = table_of(tmp_path / "t.jsonl", [{"words": words}])
    (row,) = predict(ours, table, Columns(), Wishes(gives_all=True))
    (found,) = word_tags(ours, [words])
    assert row["word_tags"] == list(found.tags)
    assert [each["score"] for each in row["probabilities"]] == list(found.scores)


def test_words_in_columns_are_rows(tmp_path):
    (tmp_path / "t.conll").write_text("the\npacked\n\nbatch\n")
    assert [row.values for row in word_file(tmp_path / "t.conll")] == [
        {"tokens": ["the", "packed"]},
        {"tokens": ["batch"]},
    ]
    (tmp_path / "a.tsv").write_text("id\ttext\n1\tthe batch\n")
    (tmp_path / "b.tsv").write_text("the\tO\n")
    found = [is_of_words(tmp_path / name) for name in ("t.conll", "a.tsv", "b.tsv", "none.conll")]
    assert found == [True, False, True, False]


def test_questions_are_answered(tmp_path):
    ours = made(HeadConfig(kind="spans"))
    article = {"paragraphs": [{"context": ASKED["context"], "qas": [{"question": "which batch"}]}]}
    (right,) = answer(ours, [(ASKED["question"], ASKED["context"])], number=5, can_be_none=True)
    for rows in ([ASKED], [article]):
        table = table_of(tmp_path / "t.jsonl", rows)
        (row,) = predict(ours, table, Columns(), Wishes(gives_all=True, can_be_none=True))
        assert (row["prediction"], row["start"]) == (right[0].text, right[0].start)
        assert [each["text"] for each in row["probabilities"]] == [each.text for each in right]


def test_options_are_chosen(tmp_path):
    ours, options = made(HeadConfig(kind="choice")), ["a batch", "a place"]
    table = table_of(tmp_path / "t.jsonl", [{"question": "which", "choices": options}])
    (row,) = predict(ours, table, Columns(), Wishes(gives_all=True))
    (right,) = Engine(ours).choose(["which"], [options])
    assert (row["prediction"], row["number"]) == (right[0].text, right[0].number)
    assert [each["score"] for each in row["probabilities"]] == [each.score for each in right]


def columns_of(path, learned, row, given):
    """Return which texts of a row a model reads that learned from these columns."""
    ours = made(HeadConfig(kind="sequence", labels=("a", "b")))
    ours.model.kept = {TEXT_COLUMNS: list(learned)}
    (found,) = predict(ours, table_of(path / "t.jsonl", [row]), given, Wishes(gives_all=True))
    ours.model.kept = {}
    tried = [row["one"], row["two"], (row["one"], row["two"]), (row["two"], row["one"])]
    names = ["one", "two", "one two", "two one"]
    for name, labels in zip(names, ours_classify(ours, tried), strict=True):
        if {each.name: each.score for each in labels} == found["probabilities"]:
            return name
    raise AssertionError(found)


def ours_classify(ours, texts):
    return [labels for text in texts for labels in Engine(ours).classify([text])]


ROW = {"one": "the packed batch", "two": "keeps a token of every place"}


@pytest.mark.parametrize(
    ("learned", "given", "read"),
    [
        ((), Columns(), "two"),
        (("one",), Columns(), "one"),
        (("one", "two"), Columns(), "one two"),
        (("two", "one"), Columns(), "two one"),
        (("one", "two"), Columns("two", "one"), "two one"),
        (("text",), Columns(), "two"),
        (("text",), Columns("one"), "one"),
        (("text", "other"), Columns("one", "two"), "one two"),
    ],
)
def test_columns_are_those_that_the_model_learned_from(tmp_path, learned, given, read):
    assert columns_of(tmp_path, learned, ROW, given) == read


@pytest.mark.parametrize("given", [Columns(), Columns("one")])
def test_a_model_of_pairs_is_not_given_single_texts(tmp_path, given):
    with pytest.raises(DataError, match="from pairs of texts, in text and other: name both"):
        columns_of(tmp_path, ("text", "other"), ROW, given)


def test_a_model_of_single_texts_is_not_given_pairs(tmp_path):
    row = {"sentence1": "the packed batch", "sentence2": "keeps"} | ROW
    ours = made(HeadConfig(kind="sequence", labels=("a", "b")))
    ours.model.kept = {TEXT_COLUMNS: ["text"]}
    (found,) = predict(ours, table_of(tmp_path / "t.jsonl", [row]), Columns(), Wishes())
    (alone,) = Engine(ours).classify([row["sentence1"]])
    with pytest.raises(DataError, match="learned from single texts: give single texts"):
        Engine(ours).classify([("one", "two")])
    assert found["probability"] == alone[0].score


def test_what_says_nothing_is_said(tmp_path):
    table = table_of(tmp_path / "t.jsonl", [ASKED])
    with pytest.raises(
        ConfigError, match=r"no head that says something of rows \(its head: masked_"
    ):
        next(predict(made(), table, Columns(), Wishes()))
    with pytest.raises(ConfigError, match="can_be_none is of questions, and this model has a head"):
        next(predict(made(TAGS), table, Columns(), Wishes(can_be_none=True)))
    with pytest.raises(DataError, match="holds no row"):
        next(predict(made(TAGS), table_of(tmp_path / "e.jsonl", []), Columns(), Wishes()))
