import dataclasses
import json
import math

import pytest

from modernbert.train.evaluate import Evaluation, overall
from modernbert.train.hooks import is_due, report
from modernbert.train.metrics import MetricsFile, StepRow
from tests.runs import rows_of

ROW = StepRow(
    step=3,
    tokens=1500,
    phase="pretrain",
    loss=2.5,
    masked_accuracy=0.25,
    lr=1e-3,
    tokens_per_second=1000.0,
    fill=0.99,
    grad_norm=1.5,
    batch_tokens=500,
    mfu=0.1,
    seconds=0.5,
    ends_phase=False,
)
PROMISED = {
    *("step", "tokens", "phase", "loss", "masked_accuracy", "lr", "tokens_per_second", "fill"),
    "grad_norm",
}


@pytest.mark.parametrize(
    ("tokens", "every", "ends_phase", "due"),
    [
        (1500, 0, False, False),
        (1500, 0, True, True),
        (1500, 1500, False, True),
        (1499, 1500, False, False),
        (1999, 1500, False, True),
        (2000, 1500, False, False),
        (1500, 100, False, True),
        (1500, 10_000, True, True),
    ],
)
def test_a_step_is_due_when_it_crosses_a_multiple(tokens, every, ends_phase, due):
    row = dataclasses.replace(ROW, tokens=tokens, ends_phase=ends_phase)
    assert is_due(row, every) is due


def test_every_crossing_is_due_once():
    rows = [dataclasses.replace(ROW, tokens=500 * n) for n in range(1, 100)]
    assert sum(is_due(row, 1700) for row in rows) == 99 * 500 // 1700


def test_each_step_has_a_row_with_every_promised_number(finished):
    rows = rows_of(finished.folder / "metrics.jsonl")
    assert len(rows) == finished.progress.step
    for row in rows:
        assert row.keys() >= PROMISED
        assert all(math.isfinite(row[name]) for name in PROMISED - {"phase"})
        assert 0 <= row["masked_accuracy"] <= 1
        assert 0 < row["fill"] <= 1
        assert row["tokens_per_second"] > 0
        assert 0 < row["mfu"] < 1.5
    assert {row["phase"] for row in rows} == {"pretrain", "context", "decay"}
    assert rows[-1]["tokens"] == sum(row["batch_tokens"] for row in rows)


def test_a_row_is_on_disk_as_soon_as_its_step_is_taken(tmp_path):
    file = MetricsFile(tmp_path)
    for number in (1, 2):
        file.after_step(dataclasses.replace(ROW, step=number))
        assert [row["step"] for row in rows_of(tmp_path / "metrics.jsonl")][-1] == number
    file.close()


def test_a_run_learns(finished):
    rows = rows_of(finished.folder / "metrics.jsonl")
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]


def test_evaluations_have_a_row_a_source_and_their_mean(finished):
    rows = rows_of(finished.folder / "evaluations.jsonl")
    ends = [row["step"] for row in rows if row["source"] == "all"]
    assert len(ends) == 3
    for step in ends:
        parts = {row["source"]: row for row in rows if row["step"] == step}
        assert parts.keys() == {"books", "code", "all"}
        assert parts["all"]["hidden"] == parts["books"]["hidden"] + parts["code"]["hidden"]
        assert parts["all"]["loss"] == pytest.approx(
            sum(parts[n]["loss"] * parts[n]["hidden"] for n in ("books", "code"))
            / parts["all"]["hidden"]
        )


def test_tensorboard_sees_the_same_steps(finished):
    assert len(list((finished.folder / "tensorboard").glob("events.*"))) == 1


def test_no_evaluation_writes_no_row(finished, tmp_path):
    empty = dataclasses.replace(finished, folder=tmp_path)
    report(empty, ROW, [])
    assert list(tmp_path.iterdir()) == []


def test_the_mean_is_over_hidden_tokens():
    parts = [Evaluation("a", 1.0, 0.5, 0.0, 30), Evaluation("b", 3.0, 0.1, 0.2, 10)]
    mean = overall(parts)
    assert (mean.source, mean.loss, mean.hidden) == ("all", 1.5, 40)
    assert mean.masked_accuracy == pytest.approx(0.4)
    assert mean.most_frequent_token_accuracy == pytest.approx(0.05)
    assert json.dumps(dataclasses.asdict(mean))
