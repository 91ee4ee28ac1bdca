"""A run taken up at any of its checkpoints comes to the same weights and losses, bit for bit."""

import json
import shutil

import pytest

from modernbert.base.errors import CheckpointError
from modernbert.train import run as runs
from modernbert.train.checkpoint import found
from modernbert.train.description import config_of
from modernbert.train.feed import Progress
from modernbert.train.loop import train
from tests.runs import outcome, rows_of


def step_of(place):
    return int(place.name.removeprefix("step-"))


def taken_up(folder):
    run = runs.resume(folder)
    first = run.progress
    assert train(run)
    run.finish()
    run.close()
    return first


@pytest.fixture
def stopped_at(undisturbed_run, tmp_path):
    """Make a run that took all of its steps but kept no checkpoint after one of them."""

    def cut(which: int):
        steps = [step_of(place) for place in found(undisturbed_run.folder / "checkpoints")]
        folder = shutil.copytree(undisturbed_run.folder, tmp_path / "run")
        shutil.rmtree(folder / "model")
        for place in found(folder / "checkpoints"):
            if step_of(place) > steps[which]:
                shutil.rmtree(place)
        return folder, steps[which]

    return cut


@pytest.mark.parametrize("which", [1, 3, -2])
def test_a_run_goes_on_exactly(stopped_at, undisturbed, which):
    folder, step = stopped_at(which)
    assert taken_up(folder).step == step
    assert outcome(folder) == undisturbed


def test_a_finished_run_is_left_as_it_is(stopped_at, undisturbed, undisturbed_run):
    folder, _ = stopped_at(-1)
    taken_up(folder)
    assert outcome(folder) == undisturbed
    for name in ("config.json", "tokenizer_config.json"):
        there, here = (each / "model" / name for each in (undisturbed_run.folder, folder))
        assert here.read_text() == there.read_text()


def test_two_stops_are_as_good_as_none(stopped_at, undisturbed):
    folder, _ = stopped_at(1)
    taken_up(folder)
    *_, earlier, last = found(folder / "checkpoints")
    shutil.rmtree(last)
    assert taken_up(folder).step == step_of(earlier)
    assert outcome(folder) == undisturbed


def test_a_run_without_a_whole_checkpoint_starts_anew_unless_steps_were_taken(
    stopped_at, undisturbed
):
    folder, _ = stopped_at(0)
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(CheckpointError, match="has taken steps but has no checkpoint left"):
        runs.resume(folder)
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        (folder / name).unlink()
    assert taken_up(folder) == Progress()
    assert outcome(folder) == undisturbed


def test_what_a_kill_left_behind_is_swept(stopped_at, undisturbed):
    folder, _ = stopped_at(-3)
    for half in (".partial-model", "checkpoints/.partial-step-00000039", ".partial-run.json"):
        (folder / half).mkdir()
        (folder / half / "model.safetensors").write_bytes(b"half")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "tok')
    taken_up(folder)
    assert outcome(folder) == undisturbed
    assert not list(folder.rglob(".partial-*"))


def test_a_row_that_lacks_its_end_is_taken_again(stopped_at, undisturbed):
    folder, step = stopped_at(-2)
    rows = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)[: step + 1]
    (folder / "metrics.jsonl").write_text("".join(rows).removesuffix("\n"))
    taken_up(folder)
    assert outcome(folder) == undisturbed


def test_steps_are_numbered_without_gaps(undisturbed_run):
    rows = rows_of(undisturbed_run.folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))


def test_a_description_repeats_the_run(undisturbed_run, undisturbed, tmp_path):
    again = runs.create(config_of(undisturbed_run.folder), tmp_path / "again")
    assert train(again)
    again.finish()
    again.close()
    assert outcome(tmp_path / "again") == undisturbed
    ours, theirs = (
        json.loads((folder / "run.json").read_text())
        for folder in (tmp_path / "again", undisturbed_run.folder)
    )
    assert ours["config"] == theirs["config"]
