import dataclasses
import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from modernbert.base.errors import CheckpointError, ConfigError, MachineError
from modernbert.infer.pretrained import Pretrained, load
from modernbert.model.config import HeadConfig
from modernbert.model.init import build
from modernbert.train import checkpoint, lora
from modernbert.train.tune import outputs_of, tune
from modernbert.train.tune_config import TuneConfig, usual_rate
from modernbert.train.tuning import Start, create, resume
from tests.corpora import tokenizer
from tests.nets import batch_of, config_of, lively
from tests.runs import interrupt_after, rows_of, untimed
from tests.unit.train.test_tune import FAST, rows, tuned, tuned_autocast, written

MODULES = ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")
HEAD = HeadConfig(kind="sequence", labels=("a", "b"))
RANK = 4


@pytest.fixture
def config(tmp_path):
    return TuneConfig(
        train=written(tmp_path / "train.jsonl", rows(80)),
        dev=written(tmp_path / "dev.jsonl", rows(40, seed=1)),
        lora_rank=RANK,
        **(FAST | {"peak_lr": 3e-2}),
    )


def adapted(**fields):
    """A float64 model whose adapters say something, and the same one without them."""
    model = lively(config_of(), head=HEAD).double()
    plain = lively(config_of(), head=HEAD).double()
    lora.add(model, TuneConfig(**({"lora_rank": RANK} | fields)), "start")
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.copy_(torch.randn(weight.shape, generator=source) / 4)
    return model, plain


def layers_of(model):
    return [n.rpartition(".lora_A")[0] for n, _ in model.named_parameters() if ".lora_A." in n]


def test_new_adapters_change_nothing_and_are_drawn_by_their_names():
    made = []
    for modules in (MODULES, ("mlp.Wo",)):
        model = lively(config_of(), head=HEAD)
        before = model(batch_of([5, 9]))
        lora.add(model, TuneConfig(lora_rank=RANK, lora_modules=modules), "start")
        assert torch.equal(model(batch_of([5, 9])), before)
        made.append(dict(model.named_parameters()))
    name = "encoder.layers.1.mlp.Wo.lora_A.default.weight"
    assert torch.equal(made[0][name], made[1][name])
    assert len(layers_of(model)) == 3


def test_only_adapters_and_the_head_are_trained():
    model, _ = adapted()
    moving = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert len(layers_of(model)) == 3 * len(MODULES)
    assert moving == {
        *(f"{layer}.lora_{part}.default.weight" for layer in layers_of(model) for part in "AB"),
        *(f"head.{name}" for name, _ in model.head.named_parameters()),
    }
    assert lora.trained(model).keys() == moving


def test_merging_changes_no_logit_and_the_gradients_are_those_of_the_merged_weights():
    model, plain = adapted()
    batch = batch_of([5, 9, 20])
    merged = lora.merged(model)
    assert {n for n, _ in merged.named_parameters()} == {n for n, _ in plain.named_parameters()}
    ours = model(batch)
    assert not torch.allclose(ours, plain(batch), rtol=0.01)
    torch.testing.assert_close(ours, merged(batch), rtol=1e-10, atol=1e-10)
    for each in (model, merged):
        each(batch).square().sum().backward()
    weights = dict(model.named_parameters())
    for layer in layers_of(model):
        a, b = (weights[f"{layer}.lora_{part}.default.weight"] for part in "AB")
        whole = 2 * merged.get_parameter(f"{layer}.weight").grad  # twice: alpha over the rank
        assert whole.abs().max() > 0
        torch.testing.assert_close(a.grad, b.T @ whole, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(b.grad, whole @ a.T, rtol=1e-8, atol=1e-8)


def test_a_plain_model_is_its_own_merged_one():
    model = lively(config_of(), head=HEAD)
    assert lora.merged(model) is model
    assert lora.trained(model) == {}


def test_the_base_stays_and_the_merged_model_is_what_was_measured(config, start, tmp_path, capsys):
    tuning = tuned(config, start, tmp_path / "out")
    said = capsys.readouterr().err
    moving = sum(weight.numel() for weight in lora.trained(tuning.model).values())
    assert f"{moving / 1e3:.3g}k of " in said
    before = load(start.model).model.encoder.state_dict()
    for name, weight in tuning.model.encoder.state_dict().items():
        if ".lora_" not in name:
            assert torch.equal(weight, before[name.replace(".base_layer", "")]), name
    assert {id(w) for group in tuning.optimizer.param_groups for w in group["params"]} == {
        id(w) for w in tuning.model.parameters() if w.requires_grad
    }
    measured = rows_of(tmp_path / "out" / "evaluations.jsonl")
    assert measured[-1]["accuracy"] > 0.95
    best = load(tmp_path / "out" / "model").model
    again = tuning.data.dev.task.measure(outputs_of(best, tuning.data.dev, tuned_autocast()))
    assert again["accuracy"] == max(row["accuracy"] for row in measured)
    (newest,) = checkpoint.found(tmp_path / "out" / "checkpoints")
    opened = load(newest).model(batch_of([5, 9]))
    torch.testing.assert_close(opened, tuning.model.eval()(batch_of([5, 9])), rtol=1e-4, atol=1e-5)


def test_the_adapter_s_file_holds_what_was_trained(config, start, tmp_path):
    tuning = tuned(dataclasses.replace(config, epochs=1), start, tmp_path / "out")
    found = load_file(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    assert len(found) == len(lora.trained(tuning.model))
    name = "base_model.model.model.layers.1.mlp.Wi.lora_A.weight"
    assert torch.equal(
        found[name], lora.trained(tuning.model)[f"encoder.{name[23:-7]}.default.weight"]
    )
    assert "base_model.model.classifier.bias" in found
    keys = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert (keys["r"], keys["lora_alpha"], keys["task_type"]) == (4, 8, "SEQ_CLS")
    assert keys["target_modules"] == sorted(MODULES)
    assert keys["base_model_name_or_path"] == start.model


@pytest.mark.slow
def test_a_run_with_adapters_goes_on_as_if_it_never_stopped(config, start, tmp_path):
    config = dataclasses.replace(config, epochs=4, lora_dropout=0.1, dropout=0.1, patience=0)
    tuned(config, start, tmp_path / "through")
    stopped = create(config, start, tmp_path / "stopped")
    interrupt_after(stopped.folder, 7)
    assert not tune(stopped)
    again = resume(tmp_path / "stopped")
    assert 7 <= again.progress.step < 40
    assert tune(again)
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        assert untimed(tmp_path / "stopped" / name) == untimed(tmp_path / "through" / name)
    for name in ("model/model.safetensors", "adapter/adapter_model.safetensors"):
        ours, right = (load_file(tmp_path / run / name) for run in ("stopped", "through"))
        assert all(torch.equal(weight, right[key]) for key, weight in ours.items())


def test_recomputed_activations_change_nothing(config, start, tmp_path):
    losses = []
    for name, is_recomputed in (("a", False), ("b", True)):
        changed = dataclasses.replace(
            config, epochs=1, lora_dropout=0.1, checkpoint_activations=is_recomputed
        )
        tuned(changed, start, tmp_path / name)
        losses.append([row["loss"] for row in rows_of(tmp_path / name / "metrics.jsonl")])
    assert losses[0] == losses[1]


def test_frozen_layers_get_no_adapter_and_lower_layers_move_less(config, start, tmp_path):
    chosen = dataclasses.replace(config, frozen_layers=1, layer_decay=0.5)
    tuning = create(chosen, start, tmp_path / "out")
    assert {layer.split(".")[2] for layer in layers_of(tuning.model)} == {"1", "2"}
    rates = {
        name: group["lr_scale"]
        for group in tuning.optimizer.param_groups
        for name, weight in tuning.model.named_parameters()
        if any(weight is each for each in group["params"])
    }
    assert rates["encoder.layers.1.mlp.Wi.lora_A.default.weight"] == 0.25
    assert rates["encoder.layers.2.attn.Wo.lora_B.default.weight"] == 0.5
    assert rates["head.classifier.weight"] == 1.0


def test_the_rate_is_higher_than_that_of_all_weights(config, start, tmp_path):
    without = dataclasses.replace(config, peak_lr=0.0, lora_rank=0)
    rates = [
        create(dataclasses.replace(without, lora_rank=rank), start, tmp_path / name).config.peak_lr
        for rank, name in ((0, "a"), (2, "b"))
    ]
    dim = load(start.model).config.dim
    assert rates == [usual_rate(dim, is_lora=False), usual_rate(dim, is_lora=True)]
    assert rates[1] > rates[0]


@pytest.mark.parametrize(
    ("dim", "rate", "ratio"), [(768, 5e-5, 10.0), (128, 1.8e-3, 4.08), (1024, 3.75e-5, 10.7)]
)
def test_usual_rates_follow_the_width(dim, rate, ratio):
    assert usual_rate(dim, is_lora=False) == pytest.approx(rate)
    assert usual_rate(dim, is_lora=True) / rate == pytest.approx(ratio, abs=0.05)


def test_another_start_or_a_damaged_checkpoint_is_not_gone_on_with(config, start, tmp_path):
    place = tmp_path / "start"
    load(start.model).save(place)
    tuned(dataclasses.replace(config, epochs=1), Start("classify", str(place)), tmp_path / "out")
    (newest,) = checkpoint.found(tmp_path / "out" / "checkpoints")
    moved = newest / "trainer" / "trained.safetensors"
    told = checkpoint.read_state(newest).digests
    assert {"trainer/trained.safetensors", "model.safetensors"} < told.keys()
    with pytest.raises(CheckpointError, match=r"trained\.safetensors has no encoder.* of shape"):
        checkpoint.restore_trained(newest, adapted(lora_rank=2)[0])
    moved.write_bytes(moved.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="is missing or was altered"):
        resume(tmp_path / "out")
    Pretrained(build(load(place).config, 1), tokenizer()).save(place)
    with pytest.raises(
        CheckpointError, match=r"start does not hold the model that .*out began with: put"
    ):
        resume(tmp_path / "out")


def test_without_peft_the_way_to_it_is_said(config, start, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MachineError, match=r"needs the package peft: .*'modernbert\[tune\]'"):
        create(config, start, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_adapters_without_a_layer_are_refused(config, start, tmp_path):
    with pytest.raises(ConfigError, match="frozen_layers is 3 of 3, and LoRA moves the layers"):
        create(dataclasses.replace(config, frozen_layers=3), start, tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"lora_rank": -1}, r"are \(-1, 0, 0.0\): give 0 or more"),
        ({"lora_rank": 1, "lora_dropout": 1.0}, "and a dropout below 1"),
        ({"lora_rank": 1, "lora_modules": ()}, "lora_modules is empty: name one, or leave"),
        ({"lora_alpha": 8}, "lora_dropout and lora_modules are of LoRA: give lora_rank"),
        ({"lora_modules": ("mlp.Wi",)}, "lora_modules are of LoRA: give lora_rank"),
    ],
)
def test_numbers_without_sense_are_refused(given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        TuneConfig(**given)
