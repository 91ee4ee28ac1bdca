import dataclasses
import json
import shutil
import sys

import pytest

from modernbert.base.errors import MachineError
from modernbert.base.records import to_plain
from modernbert.train import run as runs
from modernbert.train.loop import train
from modernbert.train.track import Tracked, tracked
from modernbert.train.trackers import TRACKERS, flat, need
from tests.runs import NUMBERS, called, interrupt_after, rows_of, shortened
from tests.unit.train.test_hooks import ROW

STAND_IN = """
import json, pathlib
PLACE = pathlib.Path(__file__).parent / "points.jsonl"
class Run:
    def __init__(self, **given):
        self.given = given
        self.write({"init": given})
    def write(self, row):
        with PLACE.open("a") as file:
            file.write(json.dumps(row) + "\\n")
    def log(self, numbers, step):
        self.write({"step": step, "numbers": numbers})
    def finish(self):
        print("finished")
        self.write({"finish": True})
def init(**given):
    print("a dashboard is at ...")
    return Run(**given)
"""
"""Of trackio, which does not go with the pillow of this environment."""


class Failing:
    """A service that goes away after some steps."""

    reached = 0

    def __init__(self, steps):
        self.kept = {}
        self.left, self.sent, self.closed = steps, [], 0

    def log(self, numbers, step):
        if not self.left:
            raise ConnectionError("the line is dead")
        self.left -= 1
        self.sent.append(step)

    def close(self, *, is_finished):
        self.closed += 1
        raise ConnectionError("the line is still dead")


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Nothing is sent; what services write outside of a run goes to a folder of the test."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))


@pytest.fixture(scope="module")
def short(config):
    return dataclasses.replace(shortened(config, 4000), evaluate_every_tokens=1500)


@pytest.fixture(scope="module")
def plain(short, tmp_path_factory):
    """The run that nobody tracks."""
    return numbers_of(trained(short, tmp_path_factory.mktemp("plain") / "run"))


@pytest.fixture
def trackio(monkeypatch, tmp_path):
    place = tmp_path / "stand-in"
    place.mkdir()
    (place / "trackio.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(place)
    monkeypatch.delitem(sys.modules, "trackio", raising=False)
    yield lambda: rows_of(place / "points.jsonl")
    sys.modules.pop("trackio", None)


def trained(config, folder):
    run = runs.create(config, folder)
    assert train(run)
    run.close()
    return folder


def tracking(config, name):
    return dataclasses.replace(config, track=(name,))


def numbers_of(folder):
    rows = rows_of(folder / "metrics.jsonl")
    return [tuple(row[name] for name in NUMBERS) for row in rows]


def interrupted(config, folder):
    """Stop a run, lose its last checkpoints, and take it to its end."""
    run = runs.create(dataclasses.replace(config, save_every_tokens=1000), folder)
    interrupt_after(folder, 4)
    assert not train(run)
    run.close()
    shutil.rmtree(sorted((folder / "checkpoints").iterdir())[-1])
    again = runs.resume(folder)
    assert again.progress.step < run.progress.step
    assert train(again)
    again.close()
    return folder


def test_nothing_is_tracked_unless_asked(short, plain, tmp_path):
    run = runs.create(short, tmp_path / "run")
    assert tracked(run) == []
    run.close()
    assert not (run.folder / "trackers.json").exists()


def test_trackio_is_told_each_step_and_no_number_changes(short, plain, trackio, tmp_path, capsys):
    folder = trained(tracking(short, "trackio"), tmp_path / "run")
    assert numbers_of(folder) == plain
    began, *points, last = trackio()
    assert began["init"]["project"] == "modernbert"
    assert began["init"]["config"]["phases"][0]["peak_lr"] == short.phases[0].peak_lr
    assert last == {"finish": True}
    told = [(p["step"], p["numbers"]["tokens"], p["numbers"]["loss"]) for p in points]
    assert told == [(row[0], row[1], row[3]) for row in plain]
    heldout = [(p["step"], p["numbers"].get("heldout/all/loss")) for p in points]
    written = [e for e in rows_of(folder / "evaluations.jsonl") if e["source"] == "all"]
    assert [pair for pair in heldout if pair[1] is not None] == [
        (e["step"], e["loss"]) for e in written
    ]
    assert {"phase", "ends_phase", "step"}.isdisjoint(points[0]["numbers"])
    assert capsys.readouterr().out == ""


def test_trackio_goes_on_in_the_same_run_and_no_step_is_told_twice(short, plain, trackio, tmp_path):
    folder = interrupted(tracking(short, "trackio"), tmp_path / "run")
    assert numbers_of(folder) == plain
    began = [row["init"] for row in trackio() if "init" in row]
    assert len(began) == 2
    assert began[0]["name"] == began[1]["name"]
    assert {each["resume"] for each in began} == {"allow"}
    steps = [row["step"] for row in trackio() if "step" in row]
    assert steps == [row[0] for row in plain]


@pytest.mark.slow
def test_trackio_itself(short, plain, tmp_path):
    pytest.importorskip("trackio", reason="trackio is not installed: it holds pillow back")
    folder = interrupted(tracking(short, "trackio"), tmp_path / "run")
    assert numbers_of(folder) == plain


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlflow_has_each_step_once_in_one_run(short, plain, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    folder = interrupted(tracking(short, "mlflow"), tmp_path / "run")
    assert numbers_of(folder) == plain
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("modernbert")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["phases.0.peak_lr"] == str(short.phases[0].peak_lr)
    for name, place in (("loss", 3), ("tokens", 1)):
        history = client.get_metric_history(found.info.run_id, name)
        told = [(point.step, point.value) for point in history]
        assert told == [(row[0], row[place]) for row in plain]
    measured = client.get_metric_history(found.info.run_id, "heldout/books/loss")
    written = [e for e in rows_of(folder / "evaluations.jsonl") if e["source"] == "books"]
    assert [(p.step, p.value) for p in measured] == [(e["step"], e["loss"]) for e in written]


@pytest.mark.slow
def test_wandb_goes_on_under_one_name_without_a_network(recorded_wandb, plain):
    folder = recorded_wandb
    assert numbers_of(folder) == plain
    parts = list((folder / "wandb").glob("offline-run-*/*.wandb"))
    assert len(parts) == 2
    assert len({part.name for part in parts}) == 1
    for part in parts:
        assert b"heldout/all/loss" in part.read_bytes()


@pytest.fixture
def recorded_wandb(short, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    return interrupted(tracking(short, "wandb"), tmp_path / "run")


@pytest.mark.slow
def test_what_a_new_run_cannot_open_stops_it_before_a_step(short, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    record = tmp_path / "tracked.json"
    record.write_text(json.dumps({"format": 1, "config": to_plain(tracking(short, "wandb"))}))
    nobody = {"WANDB_MODE": "online", "WANDB_API_KEY": "", "HOME": str(tmp_path)}
    done = called("pretrain", record, "--out", tmp_path / "run", **nobody)
    assert done.returncode == 2, done.stderr
    said = "error: wandb cannot be opened (No API key configured. Use `wandb login` to log in.): "
    assert f"{said}mend that and go on with `modernbert pretrain --resume" in done.stderr
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_what_cannot_be_opened_keeps_no_run_from_going_on(
    short, plain, trackio, tmp_path, monkeypatch, capsys
):
    folder, config = tmp_path / "run", tracking(short, "trackio")
    run = runs.create(config, folder)
    interrupt_after(folder, 3)
    assert not train(run)
    run.close()
    monkeypatch.setattr(sys.modules["trackio"], "init", None)
    again = runs.resume(folder)
    assert train(again)
    again.close()
    assert numbers_of(folder) == plain
    said = "warning: trackio cannot be opened ('NoneType' object is not callable); training goes on"
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_tracker_that_fails_is_named_once_and_ends_nothing(finished, capsys):
    service = Failing(2)
    hook = Tracked(finished, "wandb", service, was_known=False)
    for step in range(1, 6):
        hook.after_step(dataclasses.replace(ROW, step=step))
    hook.close()
    assert (service.sent, service.closed) == ([1, 2], 1)
    said = capsys.readouterr().err
    assert said.count("warning: wandb failed (the line is dead) and gets no more numbers") == 1
    assert "still dead" not in said


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_named_before_anything_is_made(short, name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    said = rf"--track {name} needs the package {name}, .* pip install 'modernbert\[{name}\]', or"
    with pytest.raises(MachineError, match=said):
        runs.create(tracking(short, name), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(MachineError, match=said):
        need([name])


@pytest.mark.slow
def test_an_unknown_tracker_is_refused(corpus_folder, tmp_path):
    given = ("--corpus", corpus_folder, "--out", tmp_path / "run", "--track", "tensorboard")
    done = called("pretrain", "tiny", *given)
    assert done.returncode == 2
    assert "trackio" in done.stderr


def test_settings_have_the_names_of_the_command_line():
    plain = {"seed": 1, "betas": [0.9, 0.98], "phases": [{"name": "a", "schedule": {"floor": 0}}]}
    assert dict(flat(plain)) == {
        "seed": 1,
        "betas": [0.9, 0.98],
        "phases.0.name": "a",
        "phases.0.schedule.floor": 0,
    }
