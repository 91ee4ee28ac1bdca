"""Processes that fail, are killed or told to stop: one sentence, no loss, and the same numbers."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from modernbert.train.checkpoint import found
from tests.dist.launch import begun, ended_by, root_cause, together, workers
from tests.runs import has_rows, outcome

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("MODERNBERT_KILLS", "2"))
"""How often a worker is killed; the record in lab/LOG.md was made with 10."""


def waited_for(condition, process) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"] if KILLS > 2 else ["ddp"])
def test_killed_at_random_and_started_again_by_the_launcher(recorded, shared, tmp_path, kind):
    folder, chance = tmp_path / "run", random.Random(KILLS)
    launcher = begun(
        2, "pretrain", recorded[kind], "--out", folder, options=("--max-restarts", str(KILLS + 3))
    )
    struck: list[int] = []
    while len(struck) < KILLS and launcher.poll() is None:
        # A start takes about three seconds, the steps of the run two.
        until = time.monotonic() + chance.uniform(2.0, 5.5)
        while launcher.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        alive = sorted(set(workers(launcher)) - set(struck))
        if alive:
            struck.append(chance.choice(alive))
            os.kill(struck[-1], signal.SIGKILL)
    said = launcher.communicate(timeout=300)[1]
    assert launcher.returncode == 0, said
    assert struck
    assert outcome(folder) == outcome(shared[kind])
    assert not list(folder.rglob(".partial-*"))


def test_a_scheduler_that_repeats_the_command_goes_on(recorded, shared, tmp_path):
    folder = tmp_path / "run"
    words = ("pretrain", recorded["ddp"], "--out", folder, "--or-resume")
    first = begun(2, *words)
    waited_for(has_rows(folder, 8), first)
    said = ended_by(first, signal.SIGTERM)
    assert f"continue with: modernbert pretrain --resume {folder}" in said
    done = together(2, *words)
    assert done.returncode == 0, done.stderr
    assert f"resuming {folder} after step" in done.stderr
    assert outcome(folder) == outcome(shared["ddp"])
    done = together(2, *words, "--seed", "18")
    said = f"{folder} holds a run that began with other values of seed: give the options that it began with"
    assert said in done.stderr


def test_the_launcher_s_report_holds_the_sentence_of_the_rank_that_failed(recorded, tmp_path):
    done = together(3, "pretrain", recorded["ddp"], "--out", tmp_path / "run")
    sentence = "; ".join(
        f"phase {name}: a batch of 4 rows (batch_tokens 512 by row_tokens 128) cannot be dealt "
        f"evenly to 3 processes: start 1, 2 or 4, or give --phases.{number}.row-tokens 170"
        for number, name in enumerate(("pretrain", "context", "decay"))
    )
    assert done.returncode == 1
    rank, said = root_cause(done.stderr)
    assert (rank, said.strip()) == (0, sentence)
    assert done.stderr.count(f"error: {sentence}") == 1
    assert not (tmp_path / "run").exists()


def test_a_rank_whose_numbers_break_says_which_of_its_documents_did(recorded, tmp_path):
    rates = [f"--phases.{phase}.peak-lr" for phase in range(3)]
    words = [word for rate in rates for word in (rate, "1e30")]
    done = together(2, "pretrain", recorded["ddp"], "--out", tmp_path / "run", *words)
    rank, said = root_cause(done.stderr)
    assert "NaN or Inf in" in said
    assert "start a new run with a lower peak_lr" in said
    assert done.stderr.count("error: step") == 1
    assert rank in (0, 1)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_full_disk_in_the_background_ends_the_run_and_spares_what_was_saved(
    recorded, shared, tmp_path, kind
):
    folder = tmp_path / "run"
    # Each part fits; what the first process joins them to does not.
    blocks = largest(found(shared[kind] / "checkpoints")[-1]) // 1024 - 8
    limit = f"ulimit -f {blocks}"
    done = together(2, "pretrain", recorded[kind], "--out", folder, prefix=limit)
    assert done.returncode == 1
    rank, said = root_cause(done.stderr)
    assert rank == 0
    assert said.strip().startswith("there is no room: ")
    assert [place.name for place in found(folder / "checkpoints")] == ["step-00000000"]
    done = together(2, "pretrain", "--resume", folder)
    assert done.returncode == 0, done.stderr
    assert outcome(folder) == outcome(shared[kind])


def largest(folder: Path) -> int:
    return max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
