import dataclasses
import json

import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.infer.choose import choose
from modernbert.infer.pretrained import load
from modernbert.train.tune import tune
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, create, resume
from tests.corpora import WORDS
from tests.runs import interrupt_after, rows_of, untimed, untrained

FAST = {"device": "cpu", "precision": "float32", "threads": 1, "peak_lr": 3e-3, "batch_size": 16}


def rows(count, seed):
    """Two to four words, of which the context says one."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        words = rng.permutation(WORDS)[: rng.integers(2, 5)].tolist()
        right = int(rng.integers(len(words)))
        context = " ".join([words[right]] * int(rng.integers(1, 4)))
        found.append({"context": context, "choices": words, "answer": right})
    return found


def written(path, found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return str(path)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return Start("choice", str(untrained(tmp_path_factory.mktemp("start") / "model")))


@pytest.fixture
def config(tmp_path):
    train = written(tmp_path / "train.jsonl", rows(250, 0))
    return TuneConfig(train=train, dev=written(tmp_path / "dev.jsonl", rows(40, 1)), **FAST)


def test_the_word_that_the_context_says_is_learned(config, start, tmp_path, capsys):
    assert tune(create(dataclasses.replace(config, epochs=4), start, tmp_path / "out"))
    said = capsys.readouterr().err
    assert "questions from context, options from choices, the right one from answer" in said
    assert "answer: numbers from 0" in said
    assert "250 questions of 2 to 4 options" in said
    measured = rows_of(tmp_path / "out" / "evaluations.jsonl")
    assert max(row["accuracy"] for row in measured) > 0.9
    asked = rows(40, 2)
    best = load(tmp_path / "out" / "model")
    found = choose(best, [row["context"] for row in asked], [row["choices"] for row in asked])
    hits = [one[0].number == row["answer"] for one, row in zip(found, asked, strict=True)]
    assert sum(hits) > 0.9 * len(hits)


def test_a_run_that_was_stopped_goes_on_as_if_it_never_was(config, start, tmp_path):
    config = dataclasses.replace(config, epochs=2, dropout=0.1)
    assert tune(create(config, start, tmp_path / "through"))
    stopped = create(config, start, tmp_path / "stopped")
    interrupt_after(tmp_path / "stopped", 5)
    assert not tune(stopped)
    assert tune(resume(tmp_path / "stopped"))
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        assert untimed(tmp_path / "stopped" / name) == untimed(tmp_path / "through" / name)


@pytest.mark.parametrize("lowest", [0, 1])
def test_numbers_that_may_count_from_1_are_said(config, start, tmp_path, capsys, lowest):
    found = [
        row | {"choices": WORDS[:4], "answer": n % (4 - lowest) + lowest}
        for n, row in enumerate(rows(20, 0))
    ]
    config = dataclasses.replace(config, train=written(tmp_path / "train.jsonl", found))
    create(config, start, tmp_path / "out")
    said = "answer: numbers from 0 (though no row has 0: see that they do not count from 1)\n"
    assert (said in capsys.readouterr().err) == bool(lowest)


def test_without_dev_a_tenth_of_the_questions_is_held_out(config, start, tmp_path):
    data = create(dataclasses.replace(config, dev=""), start, tmp_path / "out").data
    assert (len(data.train.examples), len(data.dev.examples)) == (225, 25)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"choices": []}, r"dev.jsonl, line 41 has no options, and a choice needs two"),
        ({"choices": ["the"]}, "line 41 has 1 option, and a choice needs two"),
        ({"choices": ["the", ""]}, "line 41: 'option 2' is empty"),
        ({"answer": 2, "choices": ["the", "batch"]}, "line 41 has the answer 2, which is none of"),
    ],
)
def test_a_broken_dev_row_is_said_before_training(config, start, tmp_path, row, sentence):
    written(tmp_path / "dev.jsonl", [*rows(40, 1), rows(1, 5)[0] | row])
    with pytest.raises(DataError, match=sentence):
        create(config, start, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_columns_and_files_that_do_not_fit_are_said(config, start, tmp_path):
    two = dataclasses.replace(config, label=("answer", "context"))
    with pytest.raises(DataError, match="--label names 2 columns, and one says which option"):
        create(two, start, tmp_path / "out")
    other = dataclasses.replace(config, choices=("ending0", "ending1"))
    with pytest.raises(DataError, match=r"train\.jsonl has no column 'ending0'"):
        create(other, start, tmp_path / "out")
    written(tmp_path / "dev.jsonl", [])
    with pytest.raises(DataError, match=r"dev\.jsonl holds no row"):
        create(config, start, tmp_path / "out")
