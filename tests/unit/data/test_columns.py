import pytest

from modernbert.base.errors import DataError
from modernbert.data.columns import Columns, guess


def rows(*names, count=8):
    """Rows whose last column has two values, and whose others never repeat."""
    return [
        {name: f"{name} is word {row}" for name in names[:-1]} | {names[-1]: f"{row % 2}"}
        for row in range(count)
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("text", "label"), Columns("text", "", ("label",))),
        (("Sentence", "Label"), Columns("Sentence", "", ("Label",))),
        (("index", "sentence1", "sentence2", "score"), ("sentence1", "sentence2", "score")),
        (("index", "premise", "hypothesis", "label"), ("premise", "hypothesis", "label")),
        (("index", "question", "sentence", "label"), ("question", "sentence", "label")),
        (("#1 ID", "#1 String", "#2 String", "Quality"), ("#1 String", "#2 String", "Quality")),
        (("idx", "text", "title", "category"), ("text", "", "category")),
    ],
)
def test_usual_names_are_known(names, expected):
    if not isinstance(expected, Columns):
        expected = Columns(expected[0], expected[1], (expected[2],))
    assert guess(Columns(), rows(*names), "t.csv") == expected


def test_unknown_names_are_told_apart_by_what_stands_below():
    given = [
        {"1": f"gj{i % 7}", "2": f"{i % 2}", "3": "", "4": f"The sailors rode on {i}"}
        for i in range(20)
    ]
    assert guess(Columns(), given, "t.tsv") == Columns("4", "", ("2",))


def test_what_was_said_is_kept():
    given = rows("text", "title", "label", "topic")
    told = Columns(text="title", label=("topic",))
    assert guess(told, given, "t.csv") == told
    assert guess(Columns(pair="title"), given, "t.csv") == Columns("text", "title", ("label",))
    assert guess(Columns(text="label"), given, "t.csv").label == ("topic",)


def test_rows_to_predict_need_no_label():
    given = [{"id": f"{i}", "text": f"word {i}"} for i in range(9)]
    assert guess(Columns(), given, "t.csv") == Columns("text", "", ())


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"t.csv has no column 'txt' \(it has text, label\): name"):
        guess(Columns(text="txt"), rows("text", "label"), "t.csv")


def test_no_column_of_texts_is_a_sentence():
    with pytest.raises(DataError, match="has the columns a, b, and none is seen to hold texts"):
        guess(Columns(), [{"a": 1, "b": 2}] * 9, "t.csv")
