import dataclasses
import json
from itertools import pairwise

import pytest
import torch

from modernbert.base.device import Autocast
from modernbert.base.errors import ConfigError
from modernbert.bench import training
from modernbert.bench.peaks import MEASURED, of_card, peak
from modernbert.bench.peers import real_share
from modernbert.bench.training import agreement
from modernbert.bench.training_case import TrainingCase
from modernbert.bench.training_sides import PACKED, SIDES, chosen
from modernbert.bench.training_work import drawn_lengths, grids_of, job_of, spread_out
from modernbert.cli.main import run
from modernbert.model.count import training_flops
from modernbert.model.init import build
from modernbert.model.presets import PRESETS
from modernbert.train.step import accumulate, gradients

CPU = torch.device("cpu")
SMALL = TrainingCase(context_length=64, row_tokens=256, batch_size=3, rounds=2)
FULL = dataclasses.replace(SMALL, lengths="full", row_tokens=250)


def test_drawn_steps_fill_their_rows_and_are_the_same_everywhere():
    job, again = job_of(SMALL, None), job_of(SMALL, None)
    assert len(job.steps) == SMALL.rounds + 2
    assert job.tokens == SMALL.row_tokens
    for step, same in zip(job.steps, again.steps, strict=True):
        (batch,), (other,) = step.batches, same.batches
        assert torch.equal(batch.packed.ids, other.packed.ids)
        assert sum(step.lengths) == len(batch.packed.ids) == SMALL.row_tokens
        assert 0 < len(batch.targets) < SMALL.row_tokens / 2
        assert (batch.targets < job.config.cls_id).all()
    assert all(one.lengths != next_one.lengths for one, next_one in pairwise(job.steps))


def test_full_documents_are_as_long_as_the_context_but_for_the_last():
    assert drawn_lengths(FULL, 0).tolist() == [64, 64, 64, 58]


def test_a_token_costs_what_the_count_says():
    case = dataclasses.replace(FULL, row_tokens=256)
    job = job_of(case, None)
    hidden = sum(len(batch.positions) for step in job.steps for batch in step.batches)
    share = hidden / (case.row_tokens * len(job.steps))
    assert job.token_flops == pytest.approx(training_flops(PRESETS["tiny"], 64, share))


def test_padding_that_is_computed_changes_no_loss_and_no_gradient():
    job = job_of(SMALL, None)
    model, autocast = build(job.config, 0), Autocast(CPU, "float32")
    packed, padded = job.steps[0], spread_out(job.steps[0], SMALL.batch_size, job.config.pad_id)
    grids = grids_of(packed, SMALL.batch_size, job.config.pad_id)
    places = sum(grid.input_ids.numel() for grid in grids)
    assert sum(len(batch.packed.ids) for batch in padded.batches) == places
    assert real_share(grids) == pytest.approx(SMALL.row_tokens / places)
    first = accumulate(model, packed, autocast, 0)
    expected = {name: grad.clone() for name, grad in gradients(model).items()}
    model.zero_grad()
    second = accumulate(model, padded, autocast, 0)
    assert second.loss == pytest.approx(first.loss, rel=1e-6)
    for name, grad in gradients(model).items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-3, atol=1e-6)


def test_sides_are_those_that_can_run_there():
    assert set(SIDES) - set(chosen(SMALL, CPU)) == {
        "packed FA3",
        "packed FA4",
        "transformers flash",
    }
    asked = dataclasses.replace(SMALL, sides=("padded", "transformers flash"))
    with pytest.raises(ConfigError, match="'transformers flash' cannot run in float32 on cpu"):
        chosen(asked, CPU)
    on_a_card = dataclasses.replace(asked, precision="bfloat16")
    assert chosen(on_a_card, torch.device("cuda")) == [PACKED, "padded", "transformers flash"]


def test_a_side_that_computes_something_else_is_left_out():
    ours = (10.0, 2.0)
    assert agreement((10.00001, 2.0001), ours, "float32").keys() == {
        "loss_difference",
        "gradient_difference",
    }
    assert "loss differs by 0.01" in agreement((10.01, 2.0), ours, "float32")["failed"]
    assert "+50.00%" in agreement((10.0, 3.0), ours, "bfloat16")["failed"]
    assert "failed" in agreement((float("nan"), 2.0), ours, "bfloat16")


def test_cards_are_known_by_their_names():
    assert of_card("NVIDIA H100 80GB HBM3") == of_card("NVIDIA H200") == 989.5e12
    assert of_card("NVIDIA H100 PCIe") == 756.5e12
    assert of_card("NVIDIA A100-SXM4-80GB") == 312e12
    assert of_card("NVIDIA L40S") == 362e12
    assert of_card("NVIDIA L40") is None
    rate, source = peak(CPU, "float32")
    assert (rate > 1e8, source) == (True, MEASURED)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rounds": 1}, "a spread needs 2 rounds or more"),
        ({"batch_size": 0}, "a batch 1 document or more"),
        ({"context_length": 2048, "row_tokens": 1024}, "rows that hold one"),
    ],
)
def test_senseless_sizes_are_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        TrainingCase(**given)


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="no side 'transformer' of training"):
        training.measure(dataclasses.replace(SMALL, sides=("transformer",)))
    with pytest.raises(ConfigError, match="no preset 'tinny'"):
        training.measure(dataclasses.replace(SMALL, model="tinny"))


@pytest.mark.slow
@pytest.mark.parametrize("is_drawn", [True, False])
def test_a_row_compares_sides_that_agree(is_drawn, corpus_folder, tmp_path):
    sizes = ["--context-length", "32", "--row-tokens", "128", "--batch-size", "3", "--rounds", "2"]
    asked = [] if is_drawn else ["--corpus", str(corpus_folder)]
    sides = ["--sides", "padded", "transformers"]
    assert run(["bench", "training", *sizes, *asked, *sides, "--out", str(tmp_path)]) == 0
    row = json.loads((tmp_path / "training.jsonl").read_text())
    assert row["lengths"] == ("mixed" if is_drawn else "corpus")
    assert (row["corpus_documents"] is None) == is_drawn
    assert row["gpu"] is None
    assert set(row["sides"]) == {PACKED, "padded", "transformers"}
    for name, facts in row["sides"].items():
        assert facts["tokens_per_second"] > 0, name
        assert 0 < facts["utilisation"] < 1
        assert facts["peak_bytes"] > 0
    assert abs(row["sides"]["transformers"]["loss_difference"]) < 1e-4


@pytest.mark.slow
def test_steps_in_bfloat16_agree_too():
    case = dataclasses.replace(SMALL, precision="bfloat16", sides=("transformers recomputed",))
    found = training.measure(case)["sides"]
    assert [facts.get("failed") for facts in found.values()] == [None, None]
