import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from modernbert.base.errors import ConfigError
from modernbert.base.records import from_plain, to_plain
from modernbert.infer.classify import probabilities
from modernbert.infer.pretrained import load
from modernbert.tasks.calibration import honesty
from modernbert.train.calibrate import Calibration, calibrate
from modernbert.train.tune import outputs_of
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, create, resume
from tests.unit.train.test_tune import FAST, rows, tuned, tuned_autocast, written

CONLL = "every\tO\nplace\tB-X\n\npacked\tO\nbatch\tI-X\n\n" * 8


def confused(count, seed=0):
    """Rows of which a fifth says the wrong label, so that nobody can be sure."""
    found, rng = rows(count, seed), np.random.default_rng(seed)
    other = {"sea": "land", "land": "sea"}
    return [row | {"label": other[row["label"]]} if rng.random() < 0.2 else row for row in found]


@pytest.fixture
def config(tmp_path):
    return TuneConfig(
        train=written(tmp_path / "train.jsonl", confused(64)),
        dev=written(tmp_path / "dev.jsonl", confused(60, seed=1)),
        calibrate=True,
        epochs=3,
        patience=0,
        **FAST,
    )


def scores_of(folder, data):
    best = load(folder / "model").model
    return torch.stack(outputs_of(best, data.dev, tuned_autocast()))


def notes_in(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def test_every_tool_that_opens_the_folder_gets_calibrated_scores(config, start, tmp_path, capsys):
    tuning = tuned(config, start, tmp_path / "out")
    before = scores_of(tuning.folder, tuning.data)
    found = calibrate(tuning)
    after = scores_of(tuning.folder, tuning.data)
    torch.testing.assert_close(after, before / found.temperature, rtol=1e-4, atol=1e-5)
    assert torch.equal(after.argmax(-1), before.argmax(-1))
    told = from_plain(Calibration, json.loads((tmp_path / "out" / "calibration.json").read_text()))
    assert told == found
    assert (told.examples, told.answers) == (60, 60)
    assert told.after.nll < told.before.nll
    answers = tuning.data.dev.task.answers(list(after))
    assert honesty(answers).nll == pytest.approx(found.after.nll, rel=1e-4)
    head = load(tmp_path / "out" / "model").model.head_config
    right = probabilities(after, head).gather(1, tuning.data.dev.task.targets[:, None])
    assert -right.log().mean().item() == pytest.approx(found.after.nll, rel=1e-4)
    said = capsys.readouterr().err
    assert f"calibrated by the temperature {found.temperature:.3f}: expected error of" in said
    assert "these examples chose the best model too" in said


@pytest.mark.parametrize("is_recorded", [True, False])
def test_nothing_is_divided_twice(config, start, tmp_path, is_recorded):
    first = calibrate(tuned(config, start, tmp_path / "out"))
    weights = (tmp_path / "out" / "model" / "model.safetensors").read_bytes()
    if not is_recorded:
        (tmp_path / "out" / "calibration.json").unlink()
    again = calibrate(resume(tmp_path / "out"))
    assert (tmp_path / "out" / "model" / "model.safetensors").read_bytes() == weights
    assert again.temperature == pytest.approx(first.temperature, rel=1e-4)
    assert again.before.nll == pytest.approx(first.before.nll, rel=1e-4)
    assert (again == first) or not is_recorded


def test_a_better_model_is_calibrated_anew(config, start, tmp_path):
    tuning = tuned(config, start, tmp_path / "out")
    first = calibrate(tuning)
    path = tmp_path / "out" / "model" / "model.safetensors"
    assert "temperature" in notes_in(path)
    other = tuned(dataclasses.replace(config, seed=2), start, tmp_path / "other")
    path.write_bytes((other.folder / "model" / "model.safetensors").read_bytes())
    second = calibrate(tuning)
    assert second.temperature != first.temperature
    assert notes_in(path) == {"format": "pt", "temperature": repr(second.temperature)}


def test_an_adapter_is_calibrated_with_its_model(config, start, tmp_path):
    config = dataclasses.replace(config, lora_rank=4, peak_lr=3e-2)
    tuning = tuned(config, start, tmp_path / "out")
    path = tmp_path / "out" / "adapter" / "adapter_model.safetensors"
    before, undivided = load_file(path), path.read_bytes()
    found = calibrate(tuning)
    after = load_file(path)
    for name, weight in before.items():
        is_divided = name.startswith("base_model.model.classifier.")
        torch.testing.assert_close(after[name] * (found.temperature if is_divided else 1), weight)
    classifier = load(tmp_path / "out" / "model").model.head.classifier
    assert torch.equal(after["base_model.model.classifier.weight"], classifier.weight)
    path.write_bytes(undivided)  # as a kill between the two files leaves it
    assert calibrate(tuning) == found
    assert torch.equal(load_file(path)["base_model.model.classifier.bias"], classifier.bias)


def test_several_labels_are_calibrated_by_one_temperature(config, start, tmp_path):
    for name in ("train", "dev"):
        many = [row | {"label": [row["label"]]} for row in confused(64, seed=len(name))]
        many[0]["label"] = []
        written(tmp_path / f"{name}.jsonl", many)
    tuning = tuned(dataclasses.replace(config, problem="multi_label"), start, tmp_path / "out")
    before = scores_of(tuning.folder, tuning.data)
    found = calibrate(tuning)
    assert (found.examples, found.answers) == (64, 128)
    after = scores_of(tuning.folder, tuning.data)
    marks = tuning.data.dev.task.targets
    each = torch.nn.functional.binary_cross_entropy_with_logits(after, marks)
    assert each.item() == pytest.approx(found.after.nll, rel=1e-4)
    assert torch.equal(after > 0, before > 0)


def test_tags_are_calibrated_word_by_word(config, start, tmp_path):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.conll").write_text(CONLL)
    chosen = dataclasses.replace(
        config, train=str(tmp_path / "train.conll"), dev=str(tmp_path / "dev.conll"), epochs=1
    )
    start = Start("tokens", start.model)
    tuning = tuned(dataclasses.replace(chosen, peak_lr=1e-4), start, tmp_path / "out")
    found = calibrate(tuning)
    assert (found.examples, found.answers) == (16, 32)
    assert found.after.nll <= found.before.nll


def test_right_answers_alone_say_nothing(config, start, tmp_path, capsys):
    for name in ("train", "dev"):
        written(tmp_path / f"{name}.jsonl", rows(80))
    tuning = tuned(config, start, tmp_path / "out")
    assert calibrate(tuning).temperature == 1
    assert "all 80 answers are right, so nothing says how sure to be" in capsys.readouterr().err


def test_numbers_have_no_probability(config, start, tmp_path):
    scored = [row | {"label": n / 7} for n, row in enumerate(rows(20))]
    for name in ("train", "dev"):
        written(tmp_path / f"{name}.jsonl", scored)
    with pytest.raises(ConfigError, match="no labels are learned: leave it out"):
        create(config, start, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_record_is_plain(config, start, tmp_path):
    found = calibrate(tuned(config, start, tmp_path / "out"))
    assert json.loads(json.dumps(to_plain(found)))["format"] == 1
