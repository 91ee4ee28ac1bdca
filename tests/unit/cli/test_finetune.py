import json

import pytest

from modernbert.cli.main import main
from modernbert.infer.pretrained import Pretrained
from modernbert.model.init import build
from tests.corpora import tokenizer
from tests.nets import config_of
from tests.runs import rows_of

FAST = ["--device", "cpu", "--precision", "float32", "--epochs", "2", "--batch-size", "4"]
ROWS = [{"text": f"{word} batch", "label": word} for word in ("packed", "every", "packed") * 4]
CONLL = "every\tO\nplace\tB-X\n\npacked\tO\nbatch\tI-X\n\n" * 4


@pytest.fixture
def place(tmp_path):
    """A folder with a model, and files to learn from."""
    tokens = tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(vocab_size=tokens.vocab_size, max_length=64, **ids)
    Pretrained(build(config, 0), tokens).save(tmp_path / "model")
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "train.jsonl").write_text(lines)
    (tmp_path / "train.conll").write_text(CONLL)
    return tmp_path


def run(*arguments):
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in arguments])
    return caught.value.code or 0


@pytest.mark.parametrize(("task", "name"), [("classify", "train.jsonl"), ("tokens", "train.conll")])
def test_a_task_is_learned_and_gone_on_with(place, task, name, capsys):
    out = place / "out"
    given = ["finetune", task, place / "model", "--train", place / name, "--out", out]
    assert run(*given, *FAST) == 0
    assert f"the best model is in {out / 'model'}" in capsys.readouterr().err
    steps = rows_of(out / "metrics.jsonl")
    assert run("finetune", "--resume", out) == 0
    assert f"{out} is finished: the best model is in" in capsys.readouterr().err
    assert rows_of(out / "metrics.jsonl") == steps


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
