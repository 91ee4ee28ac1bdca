"""Examples that cannot be learned from: a sentence each, before training begins, nothing left."""

import json

import pytest

from modernbert.cli.main import main
from tests.corpora import WORDS
from tests.runs import rows_of, untrained

FAST = ["--device", "cpu", "--precision", "float32", "--epochs", "1", "--threads", "1"]
TABLE = "text,label\n" + "".join(f"{' '.join(WORDS[n % 5 :])},{'ab'[n % 2]}\n" for n in range(10))
NUMBERS = "text,score\n" + "".join(f"row {n} of words,{n / 4}\n" for n in range(10))
CONLL = "every\tO\ntoken\tB-X\n\nthe\tO\npacked\tB-X\n\n" * 4
QUESTIONS = "question,A,B,answer\n" + "what is packed?,batch,token,A\nand who?,every,place,B\n" * 4
MANY = "token " * 17_000
"""A hundred thousand characters."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("untrained") / "model")


def lines(*rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


BROKEN = {
    "classify": [
        ("a.csv", "number,comment\n1,one\n2,two\n", "none is seen to hold labels: name it"),
        ("a.csv", TABLE + ",a\n", "line 12: 'text' is empty: complete it, or leave it out"),
        ("a.csv", TABLE + "more,\n", "line 12 has no label (''): complete it"),
        ("a.csv", "text,label\none row,a\nand two,a\n", "label says 'a' in all rows"),
        ("a.csv", "text,label\none,0\ntwo,1\nmore,nan\n", "line 4 has no label ('nan')"),
        ("a.csv", NUMBERS + "more,nan\n", "line 12 has the value 'nan', which is no finite number"),
        ("a.csv", NUMBERS + "more,inf\n", "line 12 has the value 'inf', which is no finite number"),
        ("a.csv", TABLE + "more\n", "line 12 has 1 columns and the first line 2: mend it"),
        ("a.csv", TABLE.encode() + b"caf\xe9,a\n", "a.csv, line 12 is not UTF-8: save the file"),
        ("a.csv", TABLE.encode("utf-16"), "a.csv is UTF-16: save it as UTF-8"),
        ("a.csv", TABLE.encode("utf-16-le"), "a.csv holds zero bytes, as UTF-16 does: save it"),
        ("a.csv", TABLE.replace("\n", "\r"), "carriage returns alone: save it with line feeds"),
        ("a.csv", "text;label\none;0,70\ntwo;1\nmore;0,5\n", "label says '0,70': write 0.70, or"),
        ("a.csv", "text,label\none,a\n", "there is nothing to tell apart"),
        ("a.jsonl", lines({"text": "a", "label": "a"}, {"label": "b"}), "line 2 has no 'text'"),
        ("a.jsonl", lines({"text": "a", "label": ["a"]}, {"text": "b"}), "line 2 has no 'label'"),
    ],
    "tokens": [
        ("a.jsonl", lines({"tokens": ["a"], "labels_": ["O"]}), "are no two lists of one length"),
        ("a.jsonl", lines({"tokens": [], "tags": []}), "line 1: 'tokens' is empty: complete it"),
        ("a.jsonl", lines({"text": "", "spans": []}), "line 1: 'text' is empty: complete it"),
        ("a.conll", "every\tO\n\ntoken\tO\n\n", "all words have the tag 'O': there is nothing to"),
        ("a.conll", CONLL + "more\t\n", "line 25 has a word without a tag: complete it"),
        ("a.conll", CONLL + "\tO\n", "line 25 has a tag without a word: complete it, or remove"),
        ("a.jsonl", '{"tokens": ["a"], "tags": [NaN]}\n', "line 1 has a word without a tag"),
        ("a.conll", CONLL + "a\tDisease\n", "line 25 has the tag 'Disease', and others say where"),
        ("a.conll", "every\tO\nplace\tB-X\n", "there is 1 example, and none to measure on"),
        ("a.conll", CONLL.encode() + b"caf\xe9\tO\n", "a.conll, line 25 is not UTF-8: save the"),
        ("a.conll", CONLL.encode("utf-16"), "a.conll is UTF-16: save it as UTF-8"),
    ],
    "choice": [
        ("a.csv", "question,answer\nwhat?,A\n", "none is seen to hold options: name it with --cho"),
        ("a.csv", "A,B,answer\na,b,A\n", "none is seen to hold questions: name it with --text"),
        ("a.csv", "question,A,B\nwhat?,a,b\n", "none is seen to hold the right option: name it"),
        ("a.csv", QUESTIONS + ",a,b,A\n", "line 10: 'question' is empty: complete it, or leave"),
        ("a.csv", QUESTIONS + "what?,,b,B\n", "line 10: 'A' is empty: complete it, or leave"),
        ("a.csv", QUESTIONS + "what?,,,A\n", "line 10 has no options, and a choice needs two"),
        ("a.csv", QUESTIONS + "what?,a,,A\n", "line 10 has 1 option, and a choice needs two"),
        (
            "a.csv",
            QUESTIONS + "what?,a,b,C\n",
            "line 10 has the answer 'C', which is none of its 2",
        ),
        ("a.csv", QUESTIONS + "what?,a,b,nan\n", "line 10 has the answer 'nan', which is none of"),
        ("a.csv", QUESTIONS.encode() + b"caf\xe9,a,b,A\n", "a.csv, line 10 is not UTF-8"),
        ("a.csv", QUESTIONS.encode("utf-16"), "a.csv is UTF-16: save it as UTF-8"),
    ],
}
WHOLE = {
    "classify": [("a.csv", TABLE), ("b.csv", TABLE + f"{MANY},b\n")],
    "tokens": [
        ("a.conll", CONLL),
        ("b.conll", CONLL + "token\tO\n" * 17_000 + "x" * 9000 + "\tO\n"),
    ],
    "choice": [("a.csv", QUESTIONS), ("b.csv", QUESTIONS + f"{MANY},place,{MANY},A\n")],
}
UNKNOWN = [
    ("classify", "some text,c\n", "line 12 has the label 'c', which training has not: known are a"),
    ("tokens", "more\tB-Y\n", "line 25 has the tag 'B-Y', which training has not: known are O, B-"),
    ("choice", "what?,a,b,3\n", "line 10 has the answer '3', which is none of its 2 options"),
]


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("task", "name", "content", "sentence"),
    [(task, *case) for task, cases in BROKEN.items() for case in cases],
)
def test_a_broken_file(model, refused, tmp_path, task, name, content, sentence):
    out = tmp_path / "out"
    given = ("--train", written(tmp_path / name, content), "--out", out)
    assert sentence in refused("finetune", task, model, *given)
    assert not out.exists()


@pytest.mark.parametrize(("task", "more", "sentence"), UNKNOWN)
def test_a_dev_file_that_says_what_training_has_not(model, refused, tmp_path, task, more, sentence):
    (name, content), out = WHOLE[task][0], tmp_path / "out"
    train = written(tmp_path / name, content)
    dev = written(tmp_path / f"dev-{name}", content + more)
    given = ("--train", train, "--dev", dev, "--out", out)
    assert sentence in refused("finetune", task, model, *given)
    assert not out.exists()


@pytest.mark.parametrize("task", WHOLE)
def test_a_hundred_thousand_characters_are_learned_from(model, tmp_path, task, capsys):
    name, content = WHOLE[task][1]
    train, out = written(tmp_path / name, content), tmp_path / "out"
    with pytest.raises(SystemExit) as caught:
        main(["finetune", task, *map(str, (model, "--train", train, "--out", out)), *FAST])
    assert not caught.value.code, capsys.readouterr().err
    assert rows_of(out / "evaluations.jsonl")


def test_gaps_between_numbered_labels_are_said(model, tmp_path, capsys):
    table = "text,label\n" + "".join(f"row {n} of,{(0, 1, 5)[n % 3]}\n" for n in range(12))
    words = "".join(f"every\t{(0, 1, 5)[n % 3]}\n\n" for n in range(12))
    for task, name, content in (("classify", "a.csv", table), ("tokens", "a.conll", words)):
        given = ("--train", written(tmp_path / name, content), "--out", tmp_path / task)
        with pytest.raises(SystemExit):
            main(["finetune", task, str(model), *map(str, given), *FAST])
        assert "between these, no row has 2, 3, 4" in capsys.readouterr().err
