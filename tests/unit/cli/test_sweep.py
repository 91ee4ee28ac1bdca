"""Sweeps as they are typed: ranked, gone on with, stopped, and failing one by one."""

import json
import signal

import pytest

from modernbert.infer.pretrained import load
from tests.runs import called, has_rows, rows_of, started, struck, untrained

pytestmark = pytest.mark.slow

WORDS = ("packed", "every", "packed", "place")
ROWS = [{"text": f"{word} batch", "label": word} for word in WORDS * 6]
FAST = ("--device", "cpu", "--precision", "float32", "--batch-size", "4")


@pytest.fixture
def given(tmp_path):
    """The beginning of a command, and where it writes."""
    untrained(tmp_path / "model")
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "rows.jsonl").write_text(lines)
    rows = tmp_path / "rows.jsonl"
    return [
        *("finetune", "classify", tmp_path / "model", "--train", rows, "--dev", rows),
        *("--test", rows, "--out", tmp_path / "grid", *FAST),
    ]


def test_runs_are_ranked_and_one_that_breaks_stops_no_other(given, tmp_path):
    axes = ["--sweep", "peak-lr=1e-9,3e-3,1e9", "seed=1,2", "--jobs", "2"]
    done = called(*given, *axes)
    assert done.returncode == 0, done.stderr
    assert "6 runs; 2 at a time, 1 threads each (--jobs)" in done.stderr
    head, first, second, third, *failures = done.stdout.splitlines()
    assert head.split()[:4] == ["settings", "dev", "accuracy", "test"]
    assert first.startswith("1  peak-lr=0.003  ")
    assert second.startswith("2  peak-lr=1e-09  ")
    assert third.split() == ["3", "peak-lr=1e+09", "failed", "0", "of", "2"]
    assert len(failures) == 2
    assert all("NaN or Inf in the output of" in line for line in failures)
    grid = tmp_path / "grid"
    record = json.loads((grid / "sweep.json").read_text())
    best = record["groups"][0]
    assert (best["settings"], len(best["runs"])) == ({"peak_lr": 0.003}, 2)
    dev = [run["dev"]["accuracy"] for run in best["runs"]]
    assert best["mean"] == pytest.approx(sum(dev) / 2)
    assert all(run["test"] == run["dev"] and run["peak_bytes"] > 0 for run in best["runs"])
    assert load(grid / "model").head.config.labels == ("every", "packed", "place")
    assert not list(grid.glob("runs/*seed=1/checkpoints"))
    # The same again repeats nothing, and one value more is one group more.
    before = {path: path.stat().st_mtime_ns for path in grid.glob("runs/*/metrics.jsonl")}
    assert called("finetune", "--resume", grid).stdout == done.stdout
    wider = called(*given, "--sweep", "peak-lr=1e-9,3e-3,1e-3", "seed=1,2")
    assert "6 runs, 4 are over" in wider.stderr
    after = {path: path.stat().st_mtime_ns for path in grid.glob("runs/*/metrics.jsonl")}
    assert len(after) == len(before) + 2
    assert before.items() <= after.items()
    other = called(*given, "--sweep", "peak-lr=3e-3", "seed=1", "--epochs", "4")
    assert "was begun with another model, data or options: give another" in other.stderr


def test_a_sweep_that_is_stopped_goes_on_where_it_was(given, tmp_path):
    grid = tmp_path / "grid"
    asked = [*given, "--epochs", "120", "--patience", "0", "--sweep", "seed=1,2"]
    status, said = struck(started(*asked), signal.SIGINT, has_rows(grid / "runs" / "seed=1", 9))
    assert status == 130
    assert "go on with: modernbert finetune --resume" in said
    assert list(grid.glob("runs/seed=1/checkpoints/step-*"))
    steps = rows_of(grid / "runs" / "seed=1" / "metrics.jsonl")
    assert 9 <= len(steps) < 720
    done = called("finetune", "--resume", grid, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert rows_of(grid / "runs" / "seed=1" / "metrics.jsonl")[: len(steps)] == steps
    assert json.loads((grid / "sweep.json").read_text())["groups"][0]["runs"][1]["steps"] == 720


def test_runs_end_with_the_sweep_that_was_killed(given, tmp_path):
    run = tmp_path / "grid" / "runs" / "seed=1"
    asked = [*given, "--epochs", "900", "--patience", "0", "--sweep", "seed=1"]
    status, _ = struck(started(*asked), signal.SIGKILL, has_rows(run, 9))
    assert status == -signal.SIGKILL
    log = run.with_name("seed=1.log")
    for _ in range(200):
        if "continue with" in log.read_text():
            break
        signal.sigtimedwait([], 0.05)
    assert "stopped after step" in log.read_text()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--sweep", "rate=1"], "there is no option 'rate'"),
        (["--sweep", "seed=1", "--jobs", "-1"], "--jobs is -1: give 1 or more"),
        (["--sweep", "peak-lr=1e9"], "failed: see what the files"),
        (["--sweep", "best-by=f2"], "best_by is 'f2', and what is measured here is accuracy, f1"),
    ],
)
def test_what_goes_wrong_is_a_sentence(given, more, sentence):
    done = called(*given, *more)
    assert done.returncode == 2
    assert sentence in done.stderr + done.stdout


def test_another_folder_is_left_alone(given, tmp_path):
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "notes").touch()
    done = called(*given, "--sweep", "seed=1")
    assert "is not empty: give another folder" in done.stderr
    (tmp_path / "grid" / "sweep.json").write_text('{"format": 1}')
    done = called("finetune", "--resume", tmp_path / "grid")
    assert "grid holds no sweep: give the folder of one" in done.stderr
