"""A run taken up at any of its checkpoints comes to the same weights and losses, bit for bit."""

import json
import shutil

import pytest

from modernbert.train import run as runs
from modernbert.train.checkpoint import found
from modernbert.train.feed import Progress
from modernbert.train.loop import train
from tests.runs import outcome, rows_of


def taken_up(folder):
    run = runs.resume(folder)
    first = run.progress
    assert train(run)
    run.finish()
    run.close()
    return first


@pytest.fixture
def stopped_at(undisturbed_run, tmp_path):
    """Make a run that has seen all of its steps but kept no checkpoint after one of them."""

    def cut(step: int):
        folder = shutil.copytree(undisturbed_run.folder, tmp_path / "run")
        shutil.rmtree(folder / "model")
        for place in found(folder / "checkpoints"):
            if int(place.name[-8:]) > step:
                shutil.rmtree(place)
        return folder

    return cut


@pytest.mark.parametrize("step", [0, 5, 13, 26, 36])
def test_a_run_goes_on_exactly(stopped_at, undisturbed, step):
    folder = stopped_at(step)
    assert taken_up(folder).step == step
    assert outcome(folder) == undisturbed


def test_a_finished_run_is_left_as_it_is(stopped_at, undisturbed):
    folder = stopped_at(100)
    taken_up(folder)
    assert outcome(folder) == undisturbed


def test_two_stops_are_as_good_as_none(stopped_at, undisturbed):
    folder = stopped_at(5)
    taken_up(folder)
    for place in found(folder / "checkpoints"):
        if int(place.name[-8:]) > 31:
            shutil.rmtree(place)
    assert taken_up(folder).step == 31
    assert outcome(folder) == undisturbed


def test_a_run_without_a_whole_checkpoint_starts_anew(stopped_at, undisturbed):
    folder = stopped_at(0)
    shutil.rmtree(folder / "checkpoints")
    assert taken_up(folder) == Progress()
    assert outcome(folder) == undisturbed


def test_what_a_kill_left_behind_is_swept(stopped_at, undisturbed):
    folder = stopped_at(26)
    for half in (".partial-model", "checkpoints/.partial-step-00000027", ".partial-run.json"):
        (folder / half).mkdir()
        (folder / half / "model.safetensors").write_bytes(b"half")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "tok')
    taken_up(folder)
    assert outcome(folder) == undisturbed
    assert not list(folder.rglob(".partial-*"))


def test_a_row_that_lacks_its_end_is_taken_again(stopped_at, undisturbed):
    folder = stopped_at(36)
    rows = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)[:37]
    (folder / "metrics.jsonl").write_text("".join(rows).removesuffix("\n"))
    taken_up(folder)
    assert outcome(folder) == undisturbed


def test_steps_are_numbered_without_gaps(undisturbed_run):
    rows = rows_of(undisturbed_run.folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))


def test_a_description_repeats_the_run(undisturbed_run, undisturbed, tmp_path):
    again = runs.create(runs.config_of(undisturbed_run.folder), tmp_path / "again")
    assert train(again)
    again.finish()
    again.close()
    assert outcome(tmp_path / "again") == undisturbed
    ours, theirs = (
        json.loads((folder / "run.json").read_text())
        for folder in (tmp_path / "again", undisturbed_run.folder)
    )
    assert ours["config"] == theirs["config"]
