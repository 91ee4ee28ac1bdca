import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.data.columns import Columns
from modernbert.data.examples import first_rows, read_texts, said_in, shortened, texts_in
from modernbert.data.table import Row, open_table
from tests.corpora import tokenizer


def read(*texts, max_length=64):
    return list(read_texts(texts, tokenizer(), max_length))


def test_texts_and_pairs_have_their_marks():
    tokens = tokenizer()
    one, two = read(("the packed batch",), ("every token",))
    inner = tokens.encode_many(["the packed batch", "every token"])
    assert one.ids.tolist() == [tokens.cls_id, *inner[0], tokens.sep_id]
    (pair,) = read(("the packed batch", "every token"))
    assert pair.ids.tolist() == [*one.ids, *two.ids[1:]]
    assert (one.num_cut, pair.num_cut) == (0, 0)


def test_long_texts_are_cut_and_that_is_counted():
    (whole,), (cut,) = read(("token " * 40,)), read(("token " * 40,), max_length=16)
    assert len(cut.ids) == 16
    assert np.array_equal(cut.ids[:-1], whole.ids[:15])
    assert cut.ids[-1] == tokenizer().sep_id
    assert cut.num_cut == len(whole.ids) - 16


def test_order_stays_over_many_texts():
    given = [(f"token {number}",) for number in range(2500)]
    alone = [read(each)[0].ids for each in given[::500]]
    for mine, right in zip(read(*given)[::500], alone, strict=True):
        assert np.array_equal(mine.ids, right)


def test_pairs_are_cut_as_the_library_cuts_them():
    from tokenizers import Tokenizer, models, pre_tokenizers

    theirs = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    theirs.pre_tokenizer = pre_tokenizers.Whitespace()
    for room in range(2, 12):
        theirs.enable_truncation(room, strategy="longest_first")
        for first in range(1, 14):
            for second in range(1, 14):
                ids = theirs.encode("a " * first, "b " * second).ids
                assert shortened([first, second], room) == [ids.count(0), ids.count(1)]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, r"line 7 has no 'text' \(it has \): complete it, or leave the row out"),
        ({"text": 3}, "line 7: 'text' is 3, not a text: complete it"),
        ({"text": None}, "line 7: 'text' is None, not a text: complete it"),
        ({"text": " \n"}, "line 7: 'text' is empty: complete it, or leave it out"),
        ({"text": "ab\ud83d"}, "line 7: 'text' is no Unicode at character 2: mend it, or"),
    ],
)
def test_a_row_without_a_text_is_named(values, sentence):
    with pytest.raises(DataError, match=sentence):
        texts_in(Row(values, "line 7"), Columns("text"))


def test_labels_of_one_column_or_several():
    row = Row({"text": "a", "x": 1, "y": 0}, "line 2")
    assert said_in(row, Columns("text", label=("x",))).value == 1
    assert said_in(row, Columns("text", label=("x", "y"))).value == {"x": 1, "y": 0}
    with pytest.raises(DataError, match=r"line 2 has no 'z' \(it has .*\): complete it"):
        said_in(row, Columns("text", label=("z",)))


def test_a_file_without_rows_is_named(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no row: give a file with examples"):
        first_rows(open_table(tmp_path / "t.jsonl"))
