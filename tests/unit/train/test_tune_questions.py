import json

import numpy as np
import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.infer.engine import Engine
from modernbert.train.tune import tune
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, create
from tests.runs import rows_of

FAST = {"device": "cpu", "precision": "float32", "threads": 1, "peak_lr": 3e-3, "batch_size": 8}
WORDS = ("the", "batch", "every", "token", "keeps", "its")


def asked(count, seed=0, longest=12):
    """Texts in which one word, ever the same, is the answer."""
    rng = np.random.default_rng(seed)
    found = []
    for size in rng.integers(3, longest, count):
        words = rng.choice(WORDS, size).tolist()
        words[int(rng.integers(size))] = "documents"
        answers = ["documents"]
        found.append({"context": " ".join(words), "question": "what", "answers": answers})
    return found


def config_for(tmp_path, rows, **options):
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TuneConfig(train=str(path), dev=str(path), **(FAST | options))


def test_what_answers_is_learned(start, tmp_path):
    config = config_for(tmp_path, asked(60), epochs=8)
    assert tune(create(config, Start("spans", start.model), tmp_path / "out"))
    assert rows_of(tmp_path / "out" / "evaluations.jsonl")[-1]["f1"] > 0.9
    text = "every token of documents keeps its place"
    (found,) = Engine.load(tmp_path / "out" / "model", device="cpu").answer([("what", text)])
    assert found[0].text == "documents"


def test_long_texts_are_said_to_be_read_in_windows(start, tmp_path, capsys):
    rows = asked(3, longest=4) + asked(1, longest=200, seed=1)
    create(config_for(tmp_path, rows, max_length=24), Start("spans", start.model), tmp_path / "o")
    assert "1 texts are longer than 24 tokens with their question" in capsys.readouterr().err


def test_answers_that_stand_elsewhere_are_said(start, tmp_path, capsys):
    rows = asked(4)
    right = rows[0]["context"].index("documents")
    rows[0]["answers"] = {"text": ["documents"], "answer_start": [right]}
    create(config_for(tmp_path, rows), Start("spans", start.model), tmp_path / "right")
    assert "answers stand elsewhere" not in capsys.readouterr().err
    rows[0]["answers"]["answer_start"] = [right + 40]
    create(config_for(tmp_path, rows), Start("spans", start.model), tmp_path / "wrong")
    said = "2 answers stand elsewhere than answer_start says, such as that of "
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "options", "kind", "sentence"),
    [
        (asked(3), {"max_length": 8}, ConfigError, "max_length is 8: a question and a part of its"),
        (
            [{**row, "answers": []} for row in asked(3)],
            {},
            DataError,
            r"no question of .*asked\.jsonl has an answer: there is nothing to learn",
        ),
    ],
)
def test_what_cannot_be_learned_is_said_first(start, tmp_path, rows, options, kind, sentence):
    with pytest.raises(kind, match=sentence):
        create(config_for(tmp_path, rows, **options), Start("spans", start.model), tmp_path / "out")
    assert not (tmp_path / "out").exists()
