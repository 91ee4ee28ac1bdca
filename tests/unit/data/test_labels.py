import pytest

from modernbert.base.errors import DataError
from modernbert.data.labels import LabelSet, gaps, learn
from modernbert.data.said import Said


def said(*values):
    return [Said(value, f"t.csv, line {line}") for line, value in enumerate(values, start=2)]


def learned(*values, problem=None, class_names=()):
    return learn(said(*values), "label", problem, class_names)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("pos", "neg", "pos"), LabelSet("single_label", ("neg", "pos"))),
        (("10", "9", "1", "1"), LabelSet("single_label", ("1", "9", "10"))),
        ((1, 0, 1), LabelSet("single_label", ("0", "1"))),
        ((True, False), LabelSet("single_label", ("False", "True"))),
        (("5.000", "3.2", "1.0"), LabelSet("regression", ("label",))),
        ((0.5, 1, 2), LabelSet("regression", ("label",))),
        ((0.0, 1.0, 2.0), LabelSet("regression", ("label",))),
        ((0.0, 1.0, 1.0), LabelSet("single_label", ("0", "1"))),
        (("1.0", "0.0"), LabelSet("single_label", ("0", "1"))),
        (("2.0", "10.0", "n/a", "v.0"), LabelSet("single_label", ("10", "2", "n/a", "v.0"))),
        (("1.5", "n/a"), LabelSet("single_label", ("1.5", "n/a"))),
        ((["b", "a"], [], ["a"]), LabelSet("multi_label", ("a", "b"))),
        (("a|b", "a", "", "b"), LabelSet("multi_label", ("a", "b"))),
        (("a|b", "a | c", "b|c", "a| b|c"), LabelSet("multi_label", ("a", "b", "c"))),
        (("a|b", "c", "c"), LabelSet("single_label", ("a|b", "c"))),
        (({"x": 1, "y": "0"}, {"x": 0, "y": "1"}), LabelSet("multi_label", ("x", "y"))),
    ],
)
def test_the_form_of_labels_says_what_is_learned(values, expected):
    assert learned(*values) == expected


def test_what_is_learned_can_be_said():
    assert learned("1", "2", problem="regression").problem == "regression"
    assert learned("a|b", "a", "", problem="multi_label").names == ("a", "b")
    assert learned(1.0, 0.0, problem="single_label").names == ("0", "1")


def test_names_of_a_folder_stand_for_numbers():
    labels = learned(1, 0, class_names=("neg", "pos", "neutral"))
    assert labels.names == ("neg", "pos", "neutral")
    assert labels.number(Said(1, "row 1")) == 1
    marks = learned([1], [0, 2], class_names=("a", "b", "c"))
    assert marks.marks(Said([0, 2], "row 1")) == [1.0, 0.0, 1.0]


def test_labels_become_what_a_model_learns():
    assert [learned("b", "a").number(each) for each in said("a", " b ")] == [0, 1]
    assert [learned("0.0", "1.0").number(each) for each in said("1", 0, "1.0")] == [1, 0, 1]
    several = learned(["a", "b"], ["c"])
    assert [several.marks(each) for each in said(["c", "a"], [], None)] == [
        [1.0, 0.0, 1.0],
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
    ]
    columns = learned({"x": 1, "y": 0}, {"x": 0, "y": 1})
    assert columns.marks(Said({"x": "yes", "y": ""}, "line 2")) == [1.0, 0.0]
    assert learned("0.5", "1").value(Said(" 2.5 ", "line 2")) == 2.5


@pytest.mark.parametrize(
    ("values", "problem", "sentence"),
    [
        (("a", "a"), None, "label says 'a' in all rows: there is nothing to tell apart"),
        (("a", ""), None, r"t.csv, line 3 has no label \(''\): complete it"),
        (("a", None), None, r"t.csv, line 3 has no label \(None\): complete it"),
        (("0", "1", "NaN"), None, r"t.csv, line 4 has no label \('NaN'\): complete it"),
        (("a", float("nan")), None, r"t.csv, line 3 has no label \(nan\): complete it"),
        (("a", 1.5), "single_label", r"line 3 has no label \(1.5\)"),
        (("a", ["b"]), "single_label", r"line 3 has several labels \(\[\"b\"\]\), and one is le"),
        (("1.5", "x"), "regression", "line 3 has the value 'x', which is no finite number"),
        (("3,5", "x"), "regression", "line 2 has .*no finite number: write it with a point, 3.5"),
        (("0.5", "", "2"), None, "line 3 has the value '', which is no finite number: mend it"),
        ((0.5, None, 2), None, "line 3 has the value None, which is no finite number: mend it"),
        (("1.0", " ", "0.0"), None, r"line 3 has no label \(' '\): complete it"),
        ((0.5, float("nan")), None, "line 3 has the value nan, which is no finite number"),
        ((0.5, True), "regression", "line 3 has the value True, which is no finite number"),
        ((0.5, 0.5), None, "label has one value in all rows: there is nothing to learn"),
        (([0, 0], [0, 0]), None, "label says no label in any row: there is nothing to learn"),
        (([], []), None, "label says no label in any row: there is nothing to learn"),
        (({"x": 2}, {"x": 1}), None, "line 2: column 'x' has 2: a label's column has 0 or 1"),
        (tuple(map(str, range(1001))), None, "label says 1001 different labels, such as 0, 1, 2"),
    ],
)
def test_labels_that_cannot_be_learned_are_named(values, problem, sentence):
    with pytest.raises(DataError, match=sentence):
        learned(*values, problem=problem)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (([0, 1, 0], [1, 0, 0]), LabelSet("multi_label", ("0", "1", "2"), (), True)),
        (([0.0, 1.0], [1.0, 1.0]), LabelSet("multi_label", ("0", "1"), (), True)),
        (([True, False], [False, False]), LabelSet("multi_label", ("0", "1"), (), True)),
        (([0, 1], [1, 0]), LabelSet("multi_label", ("0", "1"))),
        (([0, 1, 0], [1, 0]), LabelSet("multi_label", ("0", "1"))),
        (([0, 1], [2, 2]), LabelSet("multi_label", ("0", "1", "2"))),
        ((["0", "1", "0"], ["1", "0", "0"]), LabelSet("multi_label", ("0", "1"))),
    ],
)
def test_lists_of_0_and_1_have_a_place_for_each_label(values, expected):
    assert learned(*values) == expected


def test_marks_by_place_are_those_of_the_list():
    labels = learned([0, 1, 0], [1, 0, 0], class_names=("x", "y", "z"))
    assert labels == LabelSet("multi_label", ("x", "y", "z"), (), True)
    assert labels.marks(Said([False, 1, 1.0], "row 1")) == [0.0, 1.0, 1.0]
    assert learned([0, 1, 0], [1, 0, 0], class_names=("x", "y")).names == ("0", "1", "2")
    assert learned([0, 0], [0, 1], problem="multi_label").marks(*said([1, 0])) == [1.0, 0.0]
    for value in ([0, 1], [0, 1, 2], ["0", "1", "0"], None, "x"):
        with pytest.raises(DataError, match=r"line 2 has .*, and labels have a place each: give a"):
            labels.marks(*said(value))


WORDS = tuple(f"w{number}" for number in range(11))


def test_a_label_of_its_own_for_most_rows_is_refused():
    with pytest.raises(
        DataError, match=r"label says 11 different labels in 21 rows, such as w0, w1, .*: name an"
    ):
        learned(*WORDS, *WORDS[:10])
    assert len(learned(*WORDS, *WORDS).names) == 11
    assert len(learned(*WORDS[:10]).names) == 10
    assert len(learned(*WORDS, problem="single_label").names) == 11
    assert len(learned(*range(11), class_names=WORDS).names) == 11


def test_numbers_with_a_comma_are_no_labels():
    with pytest.raises(DataError, match=r"label says '0,7': write 0\.7, or say that these are la"):
        learned("0,7", "1", "0,7", "1", "-2,25")
    assert learned("0,7", "1", problem="single_label").names == ("0,7", "1")
    assert learned("0,7", "a").names == ("0,7", "a")


def test_nan_between_words_is_a_word():
    assert learned("nan", "zho", "nan").names == ("nan", "zho")


def test_labels_that_training_has_not_are_named():
    with pytest.raises(DataError, match="line 2 has the label 'c', which training has not: known"):
        learned("a", "b").number(*said("c"))
    with pytest.raises(DataError, match="line 2 has label 5, and the folder names 2: copy it aga"):
        learned(0, 1, class_names=("a", "b")).number(*said(5))


@pytest.mark.parametrize(
    ("names", "missing"),
    [(("0", "1", "3"), [2]), (("0", "1"), []), (("a", "3"), []), (("1", "2"), [0]), ((), [])],
)
def test_gaps_between_numbered_labels_are_found(names, missing):
    assert gaps(names) == missing
