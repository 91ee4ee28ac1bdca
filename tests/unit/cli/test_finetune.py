import json

import pytest

from modernbert.cli.main import main
from tests.runs import rows_of, untrained

FAST = ["--device", "cpu", "--precision", "float32", "--epochs", "2", "--batch-size", "4"]
ROWS = [{"text": f"{word} batch", "label": word} for word in ("packed", "every", "packed") * 4]
ASKED = [
    {"context": f"every {word} batch", "question": "which batch", "answers": [word]}
    for word in ("packed", "token", "packed") * 4
]
CSV = "question,A,B,answer\n" + "packed,batch,place,A\nevery,batch,place,B\n" * 4
CONLL = "every\tO\nplace\tB-X\n\npacked\tO\nbatch\tI-X\n\n" * 4


@pytest.fixture
def place(tmp_path):
    """A folder with a model, and files to learn from."""
    untrained(tmp_path / "model")
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "train.jsonl").write_text(lines)
    asked = "".join(json.dumps(row) + "\n" for row in ASKED)
    (tmp_path / "asked.jsonl").write_text(asked)
    (tmp_path / "train.conll").write_text(CONLL)
    (tmp_path / "train.csv").write_text(CSV)
    return tmp_path


def run(*arguments):
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in arguments])
    return caught.value.code or 0


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("classify", "train.jsonl"),
        ("tokens", "train.conll"),
        ("spans", "asked.jsonl"),
        ("choice", "train.csv"),
    ],
)
def test_a_task_is_learned_and_gone_on_with(place, task, name, capsys):
    out = place / "out"
    given = ["finetune", task, place / "model", "--train", place / name, "--out", out]
    assert run(*given, *FAST) == 0
    assert f"the best model is in {out / 'model'}" in capsys.readouterr().err
    steps = rows_of(out / "metrics.jsonl")
    assert run("finetune", "--resume", out) == 0
    assert f"{out} is finished: the best model is in" in capsys.readouterr().err
    assert rows_of(out / "metrics.jsonl") == steps


def test_calibration_follows_training_and_is_done_once(place, capsys):
    out = place / "out"
    given = ["finetune", "classify", place / "model", "--train", place / "train.jsonl"]
    assert run(*given, "--out", out, "--calibrate", *FAST) == 0
    record = (out / "calibration.json").read_text()
    weights = (out / "model" / "model.safetensors").read_bytes()
    assert (out / "calibration.svg").read_text().startswith("<svg xmlns=")
    capsys.readouterr()
    assert run("finetune", "--resume", out) == 0
    assert "is finished: the best model is in" in capsys.readouterr().err
    assert (out / "calibration.json").read_text() == record
    assert (out / "model" / "model.safetensors").read_bytes() == weights


def test_predictions_follow(place, capsys):
    out = place / "out"
    given = ["finetune", "classify", place / "model", "--train", place / "train.jsonl"]
    assert run(*given, "--out", out, *FAST) == 0
    capsys.readouterr()
    assert run("predict", out / "model", place / "train.jsonl") == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in printed] == [row["text"] for row in ROWS]
    assert run("predict", out / "model", place / "train.jsonl", "--out", place / "a.csv") == 0
    assert (place / "a.csv").read_text().startswith("text,label,prediction,probability\n")


def test_tags_and_answers_are_predicted_too(place, capsys):
    for task, name in (("tokens", "train.conll"), ("spans", "asked.jsonl")):
        given = ["finetune", task, place / "model", "--train", place / name, "--out", place / task]
        assert run(*given, *FAST) == 0
    capsys.readouterr()
    assert run("predict", place / "tokens" / "model", place / "train.conll") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["tokens"] for row in rows] == [["every", "place"], ["packed", "batch"]] * 4
    assert [len(row["word_tags"]) for row in rows] == [2] * 8
    asked = ["predict", place / "spans" / "model", place / "asked.jsonl", "--out", place / "a.csv"]
    assert run(*asked) == 0
    first = (place / "a.csv").read_text().splitlines()[0]
    assert first == "context,question,answers,prediction,start,end,probability"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["classify"], "a fine-tuning needs a task and a model, --train FILE and --out DIR"),
        (["--resume", "none", "--epochs", "3"], "--resume takes no other option"),
        (["--resume", "none"], "none holds no run"),
    ],
)
def test_what_is_missing_is_a_sentence(given, sentence, capsys):
    assert run("finetune", *given) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
