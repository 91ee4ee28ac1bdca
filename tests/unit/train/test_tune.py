import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from modernbert.base.errors import CheckpointError, ConfigError, DataError, TrainingError
from modernbert.infer.classify import label_scores
from modernbert.infer.engine import Engine
from modernbert.infer.pretrained import load
from modernbert.model.config import HeadConfig
from modernbert.model.init import with_head
from modernbert.train.finish import finish
from modernbert.train.summary import read_summary
from modernbert.train.tune import outputs_of, tune
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, create, resume
from tests.runs import interrupt_after, rows_of, untimed

WORDS = {"sea": ("the", "packed", "batch"), "land": ("documents", "every", "token")}
FAST = {"device": "cpu", "precision": "float32", "threads": 1, "peak_lr": 3e-3, "batch_size": 8}


def rows(count, seed=0):
    """Texts whose words say their label."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(WORDS), count)
    sizes = rng.integers(2, 30, count)
    texts = [
        " ".join(rng.choice(WORDS[label], size)) for label, size in zip(labels, sizes, strict=True)
    ]
    return [
        {"text": text, "label": label} for text, label in zip(texts, labels.tolist(), strict=True)
    ]


def written(path, found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return str(path)


@pytest.fixture
def config(tmp_path):
    train, dev = rows(80), rows(40, seed=1)
    return TuneConfig(
        train=written(tmp_path / "train.jsonl", train),
        dev=written(tmp_path / "dev.jsonl", dev),
        **FAST,
    )


def tuned(config, start, folder):
    tuning = create(config, start, folder)
    assert tune(tuning)
    return tuning


def test_what_words_say_is_learned_and_the_best_model_is_kept(config, start, tmp_path):
    tuned(config, start, tmp_path / "out")
    steps = rows_of(tmp_path / "out" / "metrics.jsonl")
    assert [step["step"] for step in steps] == list(range(1, 31))
    assert sum(step["examples"] for step in steps) == 3 * 80
    measured = rows_of(tmp_path / "out" / "evaluations.jsonl")
    assert [row["epoch"] for row in measured] == [1, 2, 3]
    assert measured[-1]["accuracy"] > 0.95
    best = load(tmp_path / "out" / "model")
    assert best.head.config.labels == ("land", "sea")
    data = create(config, start, tmp_path / "again").data
    again = data.dev.task.measure(outputs_of(best.model, data.dev, tuned_autocast()))
    assert again["accuracy"] == max(row["accuracy"] for row in measured)


def tuned_autocast():
    from modernbert.base.device import Autocast

    return Autocast(torch.device("cpu"), "float32")


def test_equal_seeds_give_equal_runs_and_micro_batches_change_nothing(config, start, tmp_path):
    losses = []
    for name, changed in (("a", {}), ("b", {}), ("c", {"row_tokens": 64}), ("d", {"seed": 1})):
        tuned(dataclasses.replace(config, epochs=1, **changed), start, tmp_path / name)
        losses.append([row["loss"] for row in rows_of(tmp_path / name / "metrics.jsonl")])
    assert losses[0] == losses[1] != losses[3]
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)


def test_training_stops_when_nothing_improves(config, start, tmp_path):
    stuck = dataclasses.replace(config, epochs=9, peak_lr=1e-12, patience=2)
    tuned(stuck, start, tmp_path / "out")
    measured = rows_of(tmp_path / "out" / "evaluations.jsonl")
    assert [row["is_best"] for row in measured] == [True, False, False]


def test_frozen_layers_stay_and_lower_layers_move_less(config, start, tmp_path):
    before = load(start.model).model.state_dict()
    tuning = tuned(dataclasses.replace(config, epochs=1, frozen_layers=2), start, tmp_path / "a")
    for name, weight in tuning.model.encoder.state_dict().items():
        is_frozen = name.startswith(("embeddings.", "layers.0.", "layers.1."))
        assert torch.equal(weight, before[f"encoder.{name}"]) == is_frozen, name
    scaled = create(dataclasses.replace(config, layer_decay=0.5), start, tmp_path / "b")
    rates = {
        name: group["lr_scale"]
        for group in scaled.optimizer.param_groups
        for name, weight in scaled.model.named_parameters()
        if any(weight is each for each in group["params"])
    }
    assert rates["encoder.embeddings.tok_embeddings.weight"] == 0.5**4
    assert rates["encoder.layers.2.mlp.Wi.weight"] == 0.5
    assert rates["head.classifier.weight"] == rates["encoder.final_norm.weight"] == 1.0


def test_without_dev_a_tenth_is_held_out(config, start, tmp_path, capsys):
    data = create(dataclasses.replace(config, dev=""), start, tmp_path / "a").data
    assert (len(data.train.examples), len(data.dev.examples)) == (72, 8)
    assert "no --dev: 8 of 80 examples are held out to measure on" in capsys.readouterr().err


def test_the_old_head_s_dense_layer_is_kept(start):
    old = load(start.model).model
    head = HeadConfig(kind="sequence", labels=("a", "b"))
    made = with_head(old, head, 0)
    assert torch.equal(made.head.dense.weight, old.head.dense.weight)
    assert torch.equal(with_head(old, head, 0).head.classifier.weight, made.head.classifier.weight)
    again = with_head(made, dataclasses.replace(head, pooling="cls"), 1)
    assert torch.equal(again.head.classifier.weight, made.head.classifier.weight)
    other = with_head(made, dataclasses.replace(head, labels=("b", "c")), 1)
    assert not torch.equal(other.head.classifier.weight, made.head.classifier.weight)


def test_numbers_that_break_are_named(config, start, tmp_path):
    tuning = create(config, start, tmp_path / "a")
    with torch.no_grad():
        tuning.model.encoder.layers[1].mlp.Wo.weight[0, 0] = float("inf")
    with pytest.raises(TrainingError, match=r"NaN or Inf in the output of encoder\.layers\.1\.mlp"):
        tune(tuning)


def test_a_run_that_was_stopped_goes_on_as_if_it_never_was(config, start, tmp_path):
    config = dataclasses.replace(config, epochs=6, frozen_layers=1, dropout=0.1, patience=0)
    tuned(config, start, tmp_path / "through")
    stopped = create(config, start, tmp_path / "stopped")
    interrupt_after(tmp_path / "stopped", 7)
    assert not tune(stopped)
    again = resume(tmp_path / "stopped")
    assert 7 <= again.progress.step < 60
    assert tune(again)
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        assert untimed(tmp_path / "stopped" / name) == untimed(tmp_path / "through" / name)
    ours, right = (load(tmp_path / n / "model").model.state_dict() for n in ("stopped", "through"))
    assert all(torch.equal(weight, right[name]) for name, weight in ours.items())


def test_a_measure_is_chosen_and_a_finished_run_says_what_came_of_it(config, start, tmp_path):
    changed = dataclasses.replace(config, best_by="matthews", test=config.train)
    tuning = tuned(changed, start, tmp_path / "out")
    summary = finish(tuning)
    assert summary == read_summary(tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "evaluations.jsonl")
    best = max(rows, key=lambda row: row["matthews"])
    assert (summary.decisive, summary.step) == ("matthews", best["step"])
    assert summary.dev == {name: best[name] for name in ("accuracy", "f1", "matthews")}
    assert summary.test["accuracy"] > 0.9
    assert (summary.steps, summary.dev_examples, summary.test_examples) == (30, 40, 80)
    steps = rows_of(tmp_path / "out" / "metrics.jsonl")
    assert summary.tokens == sum(step["tokens"] for step in steps)
    assert summary.tokens_per_second == summary.tokens / sum(step["seconds"] for step in steps)
    assert read_summary(tmp_path / "none") is None
    page = (tmp_path / "out" / "model" / "README.md").read_text()
    place = tmp_path.name
    assert f"| train | `{place}/train.jsonl` | 80 |" in page
    assert f"| test | `{place}/train.jsonl` | 80 |" in page
    assert f"the best on the dev examples by matthews. Settings: epochs {config.epochs}," in page
    shown = f"| accuracy | {summary.dev['accuracy']:.4f} | {summary.test['accuracy']:.4f} |"
    assert shown in page
    with pytest.raises(ConfigError, match="best_by is 'f2', and what is measured here is accur"):
        create(dataclasses.replace(config, best_by="f2"), start, tmp_path / "b")


def test_a_run_goes_on_from_any_folder_and_may_be_called_json(config, start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    near = dataclasses.replace(config, train="train.jsonl", dev="train.jsonl", epochs=1)
    create(near, Start("classify", os.path.relpath(start.model)), Path("out.json"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = resume(Path("../out.json"))
    assert tune(again)
    assert finish(again).dev_examples == 80


def test_a_folder_s_own_part_is_measured_on(start, tmp_path, capsys):
    folder = tmp_path / "set"
    folder.mkdir()
    written(folder / "train.jsonl", rows(40, seed=1))
    written(folder / "validation.jsonl", rows(10, seed=2))
    written(folder / "test.jsonl", rows(15, seed=3))
    config = TuneConfig(train=str(folder), test=str(folder), **FAST | {"epochs": 1})
    tuning = create(config, start, tmp_path / "out")
    assert len(tuning.data.train.examples) == 40
    assert len(tuning.data.dev.examples) == 10
    assert f"no --dev: what is measured on is the dev part of {folder}" in capsys.readouterr().err
    assert resume(tmp_path / "out").config.dev == str(folder)
    assert tune(tuning)
    assert finish(tuning).test_examples == 15


def test_spans_in_texts_are_found_again_as_they_were_measured(start, tmp_path):
    text = "the packed batch's place keeps every token apart"
    spans = [{"start": 4, "end": 16, "label": "THING"}, {"start": 31, "end": 36, "label": "HOW"}]
    path = written(tmp_path / "train.jsonl", [{"text": text, "spans": spans}] * 16)
    config = TuneConfig(train=path, dev=path, **FAST | {"epochs": 12})
    tuning = create(config, Start("tokens", start.model), tmp_path / "out")
    assert tune(tuning)
    assert max(row["f1"] for row in rows_of(tmp_path / "out" / "evaluations.jsonl")) == 1
    (found,) = Engine.load(str(tmp_path / "out" / "model")).tag([text])
    assert [(each.start, each.end, each.label) for each in found] == [
        (4, 16, "THING"),
        (31, 36, "HOW"),
    ]


def test_texts_are_cut_afterwards_as_they_were_when_measured(config, start, tmp_path):
    config = dataclasses.replace(config, max_length=12, epochs=1)
    tuning = tuned(config, start, tmp_path / "out")
    best = load(tmp_path / "out" / "model")
    measured = outputs_of(tuning.best_model(), tuning.data.dev, tuning.autocast)
    found = label_scores(best, [row["text"] for row in rows(40, seed=1)])
    torch.testing.assert_close(found, torch.stack(measured), rtol=1e-4, atol=1e-5)
    # Where sentence-transformers' CrossEncoder looks, and what follows when the model is written.
    assert best.sentence.config.max_length == 12
    best.save(tmp_path / "again")
    assert load(tmp_path / "again").max_length == 12


def test_a_tag_that_only_held_out_sentences_have_is_known(start, tmp_path):
    lines = [f"every\tO\nplace\tB-x{n}\n\n" for n in range(20)]
    (tmp_path / "train.conll").write_text("".join(lines))
    config = TuneConfig(train=str(tmp_path / "train.conll"), **FAST)
    data = create(config, Start("tokens", start.model), tmp_path / "out").data
    assert len(data.dev.examples) == 2
    assert len(data.head.labels) == 1 + 2 * 20


def test_other_examples_or_another_folder_are_not_gone_on_with(config, start, tmp_path):
    create(config, start, tmp_path / "out")
    written(tmp_path / "train.jsonl", rows(80, seed=5))
    with pytest.raises(
        DataError, match=r"the examples are not those that .* began with: put those"
    ):
        resume(tmp_path / "out")
    (tmp_path / "out" / "run.json").write_text(json.dumps({"format": 1, "config": {}}))
    with pytest.raises(CheckpointError, match="holds no fine-tuning: give the folder of one"):
        resume(tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "kind", "sentence"),
    [
        ({"frozen_layers": 4}, ConfigError, "frozen_layers is 4, and the model has 3"),
        ({"max_length": 65}, ConfigError, "max_length is 65: the model reads 3 to 64 tokens"),
        (
            {"choices": ("a",)},
            ConfigError,
            "choices means nothing for classify, it is of choice: l",
        ),
        (
            {"class_weights": "balanced", "problem": "multi_label"},
            ConfigError,
            "class_weights balance the rows of single labels, and this is multi_label: leave them",
        ),
        ({"max_length": 2}, ConfigError, "max_length is 2: the model reads 3 to 64 tokens"),
        ({"text": "txt"}, DataError, "has no column 'txt'"),
        ({"train": "none.csv"}, DataError, r"none\.csv does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_before_a_folder_is_made(
    config, start, tmp_path, changed, kind, sentence
):
    with pytest.raises(kind, match=sentence):
        create(dataclasses.replace(config, **changed), start, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_used_is_left_alone(config, start, tmp_path):
    with pytest.raises(ConfigError, match="is not empty: give another folder for the run"):
        create(config, start, tmp_path)


def test_rows_without_labels_and_a_single_row_are_refused(config, start, tmp_path):
    texts = [{"text": f"row {n} of words", "id": f"{n}"} for n in range(9)]
    path = written(tmp_path / "texts.jsonl", texts)
    with pytest.raises(DataError, match="none is seen to hold labels: name it with --label"):
        create(dataclasses.replace(config, train=path), start, tmp_path / "out")
    path = written(tmp_path / "one.jsonl", [{"text": "a", "label": 0.5}])
    one = dataclasses.replace(config, train=path, dev="")
    with pytest.raises(DataError, match="label has one value in all rows"):
        create(one, start, tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"threads": 5000}, "threads is 5000: give 0 to 1024"),
        ({"epochs": 0}, "epochs, batch_size, row_tokens and evaluations are"),
        ({"peak_lr": -1.0}, "cannot be negative"),
        ({"warmup": 1.0}, "must lie from 0 to below 1, layer_decay 1.0 above 0"),
        ({"layer_decay": 0.0}, "layer_decay 0.0 above 0 and at most 1"),
        ({"betas": (1.0, 0.9)}, "betas"),
    ],
)
def test_numbers_without_sense_are_refused(given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        TuneConfig(**given)
