import json
from itertools import pairwise

import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.data.columns import Columns
from modernbert.data.questions import read_questions
from modernbert.data.windows import question_windows
from tests.corpora import tokenizer

CONTEXT = "The red boat came first, then the blue boat."
ASKED = {"context": CONTEXT, "question": "Which boat was first?"}


def read(path, content, given=None):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return [*read_questions(path, "train", given or Columns())]


def answers_of(found):
    return [each.context[begin:end] for each in found for begin, end in each.answers]


def test_squad_s_own_files(tmp_path):
    qas = [
        {"id": "1", "question": "Which?", "answers": [{"text": "red boat", "answer_start": 4}]},
        {"id": "2", "question": "Where?", "answers": [], "is_impossible": True},
        {"id": "3", "question": "Second?", "answers": [{"text": "boat", "answer_start": 39}] * 3},
    ]
    article = {"title": "Boats", "paragraphs": [{"context": CONTEXT, "qas": qas}]}
    found = read(tmp_path / "t.json", {"version": "2.0", "data": [article]})
    assert [each.text for each in found] == ["Which?", "Where?", "Second?"]
    assert [each.answers for each in found] == [((4, 12),), (), ((39, 43),)]
    assert found[1].where.endswith("t.json, row 1, paragraph 1, question 2")


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["red boat"], "answer_start": [4]},
        {"text": ["red boat"], "answer_start": [5]},
        {"text": ["red boat"]},
        [{"text": " red boat", "answer_start": 3}],
        ["red boat"],
        "red boat",
    ],
)
def test_answers_of_every_form(tmp_path, answers):
    found = read(tmp_path / "t.jsonl", ASKED | {"answers": answers})
    assert answers_of(found) == ["red boat"]
    assert found[0].answers == ((4, 12),)


def test_cells_of_a_table_and_columns_of_other_names(tmp_path):
    table = f'page,asked,answer,answer_start\n"{CONTEXT}",Which?,boat,37\n"{CONTEXT}",Who?,,\n'
    found = read(tmp_path / "t.csv", table, Columns("page", "asked"))
    assert [each.answers for each in found] == [((39, 43),), ()]
    assert found[0].text == "Which?"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"answers": ["green boat"]}, "line 1: the answer 'green boat' is not in its context"),
        ({"answers": 3}, "'answers' is '3': give a text, a list of them, or"),
        ({"answers": [{"answer_start": 3}]}, "give a text, a list of them"),
        ({"answers": [], "context": ""}, "'context' is empty: complete it"),
        ({"answers": [], "context": "a\ud83d"}, "'context' is no Unicode at character 1: mend it"),
        ({}, "and none is seen to hold answers: name it with --label"),
        ({"question": None, "answers": []}, "'question' is None, not a text"),
    ],
)
def test_what_is_no_question_is_a_sentence(tmp_path, row, sentence):
    with pytest.raises(DataError, match=sentence):
        read(tmp_path / "t.jsonl", ASKED | row)


def test_columns_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match="none is seen to hold questions: name both, with --text"):
        read(tmp_path / "t.jsonl", {"context": CONTEXT, "answers": []})
    with pytest.raises(DataError, match="none is seen to hold contexts: name both"):
        read(tmp_path / "t.jsonl", {"question": "Who?", "answers": []})
    with pytest.raises(DataError, match=r"line 1 has no column 'q' \(it has context, question\)"):
        read(tmp_path / "t.jsonl", ASKED, Columns("", "q"))
    with pytest.raises(DataError, match="holds no row"):
        read(tmp_path / "t.jsonl", "")
    with pytest.raises(DataError, match="its paragraphs are no list: give SQuAD's form"):
        read(tmp_path / "t.jsonl", {"paragraphs": "none"})
    with pytest.raises(DataError, match=r"row 1, paragraph 1 has no list of qas: give SQuAD's"):
        read(tmp_path / "t.json", [{"paragraphs": [{"context": "a"}]}])


def test_windows_hold_the_question_and_overlap():
    tokens, ids, question = tokenizer(), np.arange(300) + 5, np.arange(7) + 400
    (whole,) = question_windows(3, question, ids, tokens, 400)
    assert whole.ids.tolist() == [tokens.cls_id, *question, tokens.sep_id, *ids, tokens.sep_id]
    assert (whole.ids[whole.places] == ids).all()
    found = [*question_windows(3, question, ids, tokens, 100)]
    assert max(len(window.ids) for window in found) <= 100
    assert all((window.ids[window.places] == ids[window.units]).all() for window in found)
    covered = [unit for window in found for unit in window.units.tolist()]
    assert sorted({*covered}) == list(range(300))
    for one, two in pairwise(found):
        assert one.units[-1] - two.units[0] + 1 >= 20
    (long,) = question_windows(0, np.arange(50) + 5, ids[:9], tokens, 40)
    assert len(long.ids) <= 40
    assert len(long.units) == 9
