import dataclasses
import time
from multiprocessing import get_context

import pytest
import torch
from torch import distributed

from modernbert.base.errors import TrainingError
from modernbert.train import run as runs
from modernbert.train.events import record
from modernbert.train.feed import Progress
from modernbert.train.loop import train
from tests.runs import interrupt_after, rows_of, shortened


def kinds(folder):
    return [(row["kind"], row["step"]) for row in rows_of(folder / "events.jsonl")]


def test_a_run_that_nobody_disturbs_is_begun_saved_and_finished(finished):
    saved = [step for kind, step in kinds(finished.folder) if kind == "checkpoint"]
    assert kinds(finished.folder)[:2] == [("start", 0), ("checkpoint", 0)]
    assert kinds(finished.folder)[-1] == ("finish", finished.progress.step)
    assert saved == sorted(set(saved))
    assert saved[-1] == finished.progress.step
    for row in rows_of(finished.folder / "events.jsonl"):
        assert (row["ranks"], row["repeated"]) == (1, 0)
        assert abs(time.time() - row["time"]) < 3600
    tokens = {row["step"]: row["tokens"] for row in rows_of(finished.folder / "metrics.jsonl")}
    assert all(
        row["tokens"] == tokens.get(row["step"], 0)
        for row in rows_of(finished.folder / "events.jsonl")
    )


def test_a_stop_and_a_resume_stay_in_the_record(config, tmp_path):
    folder = tmp_path / "run"
    run = runs.create(shortened(config, 5000), folder)
    interrupt_after(folder, 3)
    assert not train(run)
    run.close()
    stopped = run.progress.step
    assert kinds(folder)[-1] == ("stop", stopped)
    again = runs.resume(folder)
    assert train(again)
    again.finish()
    again.close()
    assert kinds(folder).count(("resume", stopped)) == 1
    assert [kind for kind, _ in kinds(folder)].count("start") == 1
    assert kinds(folder)[-1][0] == "finish"


def test_a_resume_says_how_many_steps_are_taken_again(config, tmp_path):
    run = runs.create(dataclasses.replace(shortened(config, 5000), save_every_tokens=0), tmp_path)
    assert train(run)
    run.close()
    last = run.progress.step
    for saved in sorted((tmp_path / "checkpoints").iterdir())[1:]:
        saved.rename(tmp_path / saved.name)
    runs.resume(tmp_path).close()
    (row,) = [row for row in rows_of(tmp_path / "events.jsonl") if row["kind"] == "resume"]
    assert (row["step"], row["repeated"]) == (0, last)
    runs.resume(tmp_path).close()
    assert rows_of(tmp_path / "events.jsonl")[-1]["repeated"] == 0


def test_numbers_that_are_not_finite_are_an_event(config, tmp_path):
    run = runs.create(shortened(config, 2600), tmp_path)
    with torch.no_grad():
        run.model.encoder.final_norm.weight.fill_(float("nan"))
    with pytest.raises(TrainingError):
        train(run)
    run.close()
    assert kinds(tmp_path)[-1] == ("failure", 0)


def _record_as(rank, folder):
    store = distributed.FileStore(str(folder / "store"), 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    record(folder, "checkpoint", Progress(step=rank + 1))
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.slow
def test_the_first_of_several_ranks_alone_writes(tmp_path):
    children = [
        get_context("spawn").Process(target=_record_as, args=(rank, tmp_path)) for rank in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    (row,) = rows_of(tmp_path / "events.jsonl")
    assert (row["step"], row["ranks"]) == (1, 2)
