"""Means of weights: of a run's checkpoints and of folders."""

import dataclasses
import json
import shutil

import pytest
import torch

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.cli.average import AverageOptions, average
from modernbert.model import folder as model_folder
from modernbert.model.init import build
from modernbert.train import checkpoint
from modernbert.train.average import Part, averaged, best, newest
from tests.nets import config_of
from tests.runs import rows_of


def named(model):
    return dict(model.named_parameters())


def test_a_mean_is_the_weighted_sum_of_each_weight(finished):
    places = checkpoint.found(finished.folder / "checkpoints")[-3:]
    shares = (1.0, 2.0, 5.0)
    mean = named(averaged([Part(*each) for each in zip(places, shares, strict=True)]))
    whole = [named(model_folder.read(place)) for place in places]
    for name, weight in mean.items():
        expected = sum(s * each[name].double() for s, each in zip(shares, whole, strict=True)) / 8
        torch.testing.assert_close(weight, expected.float(), rtol=0, atol=0)
    assert any(not torch.equal(weight, whole[-1][name]) for name, weight in mean.items())


def test_a_mean_of_one_model_is_that_model(finished):
    model = finished.folder / "model"
    for name, weight in named(averaged([Part(model, 3.0), Part(model, 0.5)])).items():
        torch.testing.assert_close(weight, named(model_folder.read(model))[name], rtol=1e-7, atol=0)


def test_the_best_are_chosen_by_what_was_measured(finished, tmp_path):
    run = shutil.copytree(finished.folder, tmp_path / "run")
    ends = [
        checkpoint.read_state(each).progress.step
        for each in checkpoint.found(run / "checkpoints")
        if checkpoint.read_state(each).ends_phase
    ]
    losses = dict(zip(ends, (3.0, 1.0, 2.0), strict=True))
    rows = [row for row in rows_of(run / "evaluations.jsonl") if row["step"] in losses]
    for row in rows:
        if row["source"] == "all":
            row["loss"] = losses[row["step"]]
            row["masked_accuracy"] = losses[row["step"]]
    (run / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = [checkpoint.read_state(each).progress.step for each in best(run, 2, "loss")]
    assert steps == [ends[1], ends[2]]
    steps = [checkpoint.read_state(each).progress.step for each in best(run, 1, "masked_accuracy")]
    assert steps == [ends[0]]
    with pytest.raises(
        CheckpointError, match="has 3 checkpoints that were also measured, and not 4"
    ):
        best(run, 4, "loss")


def test_the_newest_are_in_order(finished):
    there = checkpoint.found(finished.folder / "checkpoints")
    assert newest(finished.folder, 2) == there[-2:]
    with pytest.raises(
        CheckpointError, match="average fewer, or keep more with --keep-checkpoints"
    ):
        newest(finished.folder, len(there) + 1)


def test_the_command_writes_a_model_and_measures_it(finished, tmp_path, capsys):
    options = AverageOptions(best=2, last=1, weights=())
    average((str(finished.folder),), tmp_path / "mean", options)
    said = capsys.readouterr().err
    assert "their mean: held-out loss" in said
    losses = [
        float(line.split("loss ")[1].split(",")[0]) for line in said.splitlines() if "loss" in line
    ]
    told = {round(row["loss"], 4) for row in rows_of(finished.folder / "evaluations.jsonl")}
    assert set(losses[:-1]) <= told
    mean = model_folder.read(tmp_path / "mean")
    assert mean.head_config.kind == "masked_lm"
    assert (tmp_path / "mean" / "tokenizer.json").is_file()
    assert (tmp_path / "mean" / "modules.json").is_file()
    with pytest.raises(ConfigError, match="mean is not empty: give another folder for the model"):
        average((str(finished.folder),), tmp_path / "mean", options)


def test_folders_that_are_no_run_are_averaged_without_a_measure(finished, tmp_path, capsys):
    first, second = checkpoint.found(finished.folder / "checkpoints")[-2:]
    average((str(first), str(second)), tmp_path / "mean", AverageOptions(weights=(1, 3)))
    assert "held-out" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "options", "message"),
    [
        (1, {}, "a mean is of two models at least: give a run and --last 3"),
        (2, {"last": 2}, "choose among the checkpoints of one run, and 2 folders are given"),
        (2, {"weights": (1.0,)}, "--weights gives 1 numbers for 2 models: give one for each"),
        (1, {"last": -1}, "--last and --best count checkpoints: give 1 or more"),
        (2, {"weights": (1.0, -1.0)}, "the weights of a mean are 1, -1: give finite numbers"),
        (2, {"weights": (0.0, 0.0)}, "not all of them 0"),
    ],
)
def test_what_has_no_mean_is_refused(finished, tmp_path, number, options, message):
    models = (str(finished.folder / "model"),) * number
    with pytest.raises(ConfigError, match=message):
        average(
            models if number > 1 else (str(finished.folder),),
            tmp_path / "m",
            AverageOptions(**options),
        )
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("changed", [{"activation": "silu"}, {"local_window": 8}])
def test_what_shapes_of_tensors_do_not_tell_is_not_mixed_either(finished, tmp_path, changed):
    model = model_folder.read(finished.folder / "model")
    model.encoder.config = dataclasses.replace(model.config, **changed)
    model_folder.write(model, tmp_path / "other")
    with pytest.raises(CheckpointError, match="of another shape than"):
        averaged([Part(finished.folder / "model"), Part(tmp_path / "other")])


def test_a_run_that_is_not_there_is_said(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no run .*nothere: give its folder"):
        average((str(tmp_path / "nothere"),), tmp_path / "m", AverageOptions(last=2))


def test_models_of_two_shapes_have_no_mean(finished, tmp_path):
    model_folder.write(build(config_of(), 0), tmp_path / "other")
    with pytest.raises(CheckpointError, match="of another shape than"):
        averaged([Part(finished.folder / "model"), Part(tmp_path / "other")])
