import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.data.choice_columns import ChoiceColumns, guess_choices
from modernbert.data.choices import Choice, question_in, read_options, spelling_of
from modernbert.data.examples import read_texts
from modernbert.data.table import Row
from tests.corpora import tokenizer

SWAG = {"sent1": "One.", "sent2": "He", "ending0": "a", "ending1": "b", "ending2": "c", "label": 2}
RACE = {"article": "One.", "question": "Who?", "options": ["x", "y"], "answer": "B"}
COPA = {"premise": "Rain.", "choice1": "a", "choice2": "b", "question": "effect", "label": "2"}
COMMON = {"label": ["A", "B", "C"], "text": ["bank", "mall", "park"]}
ROWS = {
    "swag": (SWAG, ("sent1", "sent2"), ("ending0", "ending1", "ending2"), "label"),
    "race": (RACE, ("article", "question"), ("options",), "answer"),
    "copa": (COPA, ("premise", "question"), ("choice1", "choice2"), "label"),
    "commonsense_qa": (
        {"question": "Where?", "choices": COMMON, "answerKey": "C"},
        ("question",),
        ("choices",),
        "answerKey",
    ),
    "hellaswag": (
        {"ctx_a": "A", "ctx": "A man", "endings": ["a", "b"], "label": "1"},
        ("ctx",),
        ("endings",),
        "label",
    ),
    "winogrande": (
        {"sentence": "It.", "option1": "a", "option2": "b", "answer": "1"},
        ("sentence",),
        ("option1", "option2"),
        "answer",
    ),
    "letters": (
        {"Question": "Who?", "A": "a", "B": "b", "C": "c", "Answer": "c"},
        ("Question",),
        ("A", "B", "C"),
        "Answer",
    ),
    "piqa": (
        {"goal": "To.", "sol1": "a", "sol2": "b", "label": 0},
        ("goal",),
        ("sol1", "sol2"),
        "label",
    ),
}


def asked(*rows, **given):
    """Return what rows ask and which options they call right, by number."""
    columns = guess_choices(ChoiceColumns(**given), rows, "t.csv")
    read = [question_in(Row(row, f"line {n}"), columns) for n, row in enumerate(rows, start=2)]
    spelling = spelling_of(answer for _, answer in read)
    return [question for question, _ in read], [a.number(spelling) for _, a in read], spelling


@pytest.mark.parametrize(("row", "texts", "options", "label"), ROWS.values(), ids=ROWS)
def test_the_usual_columns_are_known(row, texts, options, label):
    found = guess_choices(ChoiceColumns(), [row], "t.csv")
    assert (found.texts, found.options, found.label) == (texts, options, label)


def test_what_was_said_is_kept():
    row = {"story": "One.", "cue": "He", "first": "a", "second": "b", "gold": "second"} | SWAG
    (question,), right, _ = asked(
        row, text="story", pair="cue", options=("first", "second"), label="gold"
    )
    assert question == Choice(("One.", "He"), ("a", "b"))
    assert right == [1]
    assert guess_choices(ChoiceColumns(text="sent2"), [SWAG], "t.csv").texts == ("sent2",)


@pytest.mark.parametrize(
    ("labels", "right", "spelling"),
    [
        ([0, 2], [0, 2], "numbers from 0"),
        (["0", "1"], [0, 1], "numbers from 0"),
        ([1.0, "2.0"], [1, 2], "numbers from 0"),
        (["C", "a"], [2, 0], "letters"),
        (["ending1"], [1], "names of options"),
        ([" an end", "1"], [2, 1], "texts of options"),
    ],
)
def test_the_right_option_is_read_as_it_is_spelled(labels, right, spelling):
    row = SWAG | {"ending0": "one", "ending1": "1", "ending2": "an end"}
    if "1" in labels and spelling != "texts of options":
        row["ending1"] = "two"
    assert asked(*(row | {"label": label} for label in labels))[1:] == (right, spelling)


def test_numbers_count_from_1_only_where_it_is_plain():
    one, two, none = ({**COPA, "label": label} for label in ("1", "2", "0"))
    assert asked(one, two)[1:] == ([0, 1], "numbers from 1")
    assert asked(one, none)[1:] == ([1, 0], "numbers from 0")
    assert asked(one, one)[1:] == ([1, 1], "numbers from 0")
    with pytest.raises(DataError, match=r"line 4 has the answer '0', .* \(answers are numbers fro"):
        asked(one, two, none, two)
    with pytest.raises(
        DataError, match=r"line 3 has the answer 3, .* \(answers are numbers from 0"
    ):
        asked({**SWAG, "label": 0}, {**SWAG, "label": 3}, {**SWAG, "label": 1})


def test_options_come_in_lists_bars_columns_or_with_letters():
    listed = {"question": "Where?", "choices": ["a", "b"], "answer": 0}
    assert asked(listed)[0] == [Choice(("Where?",), ("a", "b"))]
    assert asked(listed | {"choices": "a|b|c"})[0][0].options == ("a", "b", "c")
    numbered = {"label": ["1", "2"], "text": ["a", "b"]}
    keyed = {"question": "Where?", "choices": COMMON, "answerKey": "C"}
    both = asked(keyed, keyed | {"choices": numbered, "answerKey": "1"})
    assert both[1:] == ([2, 0], "names of options")
    short = asked(SWAG, SWAG | {"ending2": None, "label": 1})
    assert [len(question.options) for question in short[0]] == [3, 2]
    del (fewer := dict(SWAG))["ending2"]
    assert asked(SWAG, fewer | {"label": 0})[0][1].options == ("a", "b")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"ending0": "", "ending1": "", "ending2": ""},
            "line 3 has no options, and a choice needs",
        ),
        ({"ending1": None, "ending2": " "}, "line 3 has 1 option, and a choice needs two"),
        ({"ending1": " "}, "line 3: 'ending1' is empty: complete it, or leave it out"),
        ({"ending1": 7}, "line 3: 'ending1' is 7, not a text: complete it"),
        ({"sent1": ""}, "line 3: 'sent1' is empty"),
        ({"ending1": "\udc00"}, "line 3: 'ending1' is no Unicode at character 0: mend it"),
        ({"label": 3}, "line 3 has the answer 3, which is none of its 3 options"),
        ({"label": -1}, "line 3 has the answer -1, which is none of its 3 options"),
        ({"label": None}, "line 3 has the answer None, which is none of its 3 options"),
        ({"label": True}, "line 3 has the answer True, which is none of its 3 options"),
        ({"label": "9" * 5000}, "which is none of its 3 options"),
    ],
)
def test_a_row_that_cannot_be_chosen_from_is_named(change, sentence):
    with pytest.raises(DataError, match=sentence):
        asked(SWAG, SWAG | change, SWAG)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "line 2 has no options, and a choice needs two: complete it, or leave it out"),
        (None, "line 2 has no options, and a choice needs two"),
        ("a", "line 2 has 1 option, and a choice needs two"),
        (["a", ""], "line 2: 'option 2' is empty: complete it, or leave it out"),
        (["a", None], "line 2: 'option 2' is None, not a text: complete it"),
        (7, "line 2: 'options' is no list of options: give one, or a column for each option"),
        ({"label": ["A"], "text": ["a", "b"]}, "line 2: 'options' is no list of options"),
    ],
)
def test_a_list_that_cannot_be_chosen_from_is_named(options, sentence):
    with pytest.raises(DataError, match=sentence):
        asked(RACE | {"options": options})


@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [
        (("sent1", "sent2"), "has the columns ending0, .* hold questions: name it with --text"),
        (("ending1", "ending2"), "and none is seen to hold options: name it with --choices"),
        (("label",), "and none is seen to hold the right option: name it with --label"),
    ],
)
def test_columns_that_are_not_seen_are_asked_for(lacking, sentence):
    with pytest.raises(DataError, match=sentence):
        asked({name: value for name, value in SWAG.items() if name not in lacking})


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"t.csv has no column 'ending9' \(it has sent1, sent2"):
        asked(SWAG, options=("ending0", "ending9"))


def test_each_option_stands_behind_its_question():
    questions = [
        Choice(("the packed batch",), ("every token", "place")),
        Choice(("documents " * 30, "keeps"), ("apart", "token " * 30, "the")),
    ]
    for length in (64, 16):
        found = list(read_options(questions, tokenizer(), length))
        begun = [tuple(" ".join([*q.texts[1:], option]) for option in q.options) for q in questions]
        pairs = [
            (q.texts[0], each) for q, own in zip(questions, begun, strict=True) for each in own
        ]
        right = list(read_texts(pairs, tokenizer(), length))
        assert [len(each) for each in found] == [2, 3]
        for mine, theirs in zip([r for each in found for r in each], right, strict=True):
            assert np.array_equal(mine.ids, theirs.ids)
            assert mine.num_cut == theirs.num_cut


def test_many_questions_keep_their_order():
    many = [Choice((f"token {n}",), ("the", f"place {n}")) for n in range(600)]
    found = list(read_options(many, tokenizer(), 64))
    for number in (0, 255, 256, 599):
        (alone,) = read_options([many[number]], tokenizer(), 64)
        for mine, right in zip(found[number], alone, strict=True):
            assert np.array_equal(mine.ids, right.ids)
