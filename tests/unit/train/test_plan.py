"""Plans: steps, memory, rows that fit, checkpoints; and what cannot be planned says so."""

import dataclasses
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.base.errors import ConfigError
from modernbert.model.activations import Pass
from modernbert.model.config import EncoderConfig
from modernbert.model.count import layer_parameters, parameters, training_flops
from modernbert.model.init import build
from modernbert.optim.schedule import BatchWarmup, LengthWarmup
from modernbert.recipes import RECIPES, recipe
from modernbert.train.beginning import first_optimizer
from modernbert.train.config import Phase, RunConfig
from modernbert.train.plan import Setup, plan, steps_of
from modernbert.train.plan_devices import DEVICES, device_of
from modernbert.train.plan_memory import Sharing, longest_row, memory, remembered
from modernbert.train.plan_published import usual
from modernbert.train.plan_speed import stated
from tests.runs import MODEL, phase, small_run

PUBLISHED_DEVICES = {"tiny": 1, "modernbert-base": 8, "modernbert-large": 8}


def sharing_of(gpus=1, parallel="ddp", **how) -> Sharing:
    return Sharing(how=Pass(**how), gpus=gpus, parallel=parallel)


def setup_of(config, device="h100", sharing=None, price=0.0) -> Setup:
    named = DEVICES[device]
    efficiencies = (usual(named),) * len(config.phases)
    return Setup(
        device=named, sharing=sharing or sharing_of(), efficiencies=efficiencies, price=price
    )


@pytest.mark.parametrize("name", RECIPES)
def test_the_rows_of_published_runs_fit_their_devices(name):
    gpus = PUBLISHED_DEVICES.get(name, 4)
    found = plan(recipe(name), setup_of(recipe(name), sharing=sharing_of(gpus)))
    for each in found.phases:
        assert each.fits
        assert each.row_tokens <= each.even_row <= each.longest_row


@pytest.mark.parametrize(
    ("name", "phase"),
    [("modernbert-large", 0), ("modernbert-large", 2), ("ettin-150m", 1), ("ettin-400m", 1)],
)
def test_rows_that_were_chosen_to_fill_a_device_nearly_do(name, phase):
    gpus = PUBLISHED_DEVICES.get(name, 4)
    found = plan(recipe(name), setup_of(recipe(name), sharing=sharing_of(gpus))).phases[phase]
    # One document more in seven, six in sixty: that is how near the authors came.
    assert found.longest_row <= found.row_tokens + found.context_length + found.row_tokens // 5


def test_what_the_papers_base_takes():
    run = recipe("modernbert-base")
    found = plan(run, setup_of(run, sharing=sharing_of(8), price=2.0))
    assert found.parameters == 149_655_232
    assert found.parameters_without_table == found.parameters - 50_368 * 768
    # The released last checkpoint is of step 10598.
    assert found.phases[2].steps == pytest.approx(10_598, abs=3)
    # Training alone took 191.1, 36.3 and 7.5 hours.
    hours = [each.hours for each in found.phases]
    assert hours == pytest.approx([191.1, 36.3, 7.5], rel=0.06)
    assert found.device_hours == pytest.approx(8 * sum(hours))
    assert found.kilowatt_hours == pytest.approx(0.7 * found.device_hours)
    assert found.cost == pytest.approx(2 * found.device_hours)
    assert [each.flops_a_token / 1e6 for each in found.phases[:2]] == pytest.approx(
        [824, 1353], abs=1
    )


def test_short_sequences_cost_less():
    run = recipe("modernbert-base")
    growth = LengthWarmup(first_length=128, warmup_tokens=run.phases[0].tokens // 2)
    first = dataclasses.replace(run.phases[0], length_warmup=growth)
    usual, grown = (
        plan(each, setup_of(each)).phases[0]
        for each in (run, dataclasses.replace(run, phases=(first, *run.phases[1:])))
    )
    parts = [
        training_flops(run.model, length, run.phases[0].mask_rate) for length in (128, 256, 512)
    ]
    expected = sum(parts) / 6 + usual.flops_a_token / 2
    assert grown.flops_a_token == pytest.approx(expected)
    assert grown.hours < usual.hours


def test_a_causal_phase_pays_for_all_of_its_guesses():
    run = recipe("tiny")
    first = dataclasses.replace(run.phases[0], objective="causal")
    causal = dataclasses.replace(run, phases=(first, *run.phases[1:]))
    usual, dear = (plan(each, setup_of(each)).phases[0] for each in (run, causal))
    head = 6 * run.model.dim * (run.model.dim + run.model.vocab_size)
    assert dear.flops_a_token - usual.flops_a_token == pytest.approx(0.7 * head)
    assert dear.memory.total > usual.memory.total


def taken_steps(phase: Phase) -> int:
    tokens = steps = 0
    while tokens < phase.tokens:
        rows = phase.batch_warmup.rows_at(tokens, phase.row_tokens, phase.batch_tokens)
        tokens += rows * phase.row_tokens
        steps += 1
    return steps


@given(
    st.integers(1, 30),
    st.integers(0, 30),
    st.integers(0, 5),
    st.integers(0, 30_000),
    st.integers(1, 60_000),
)
@settings(max_examples=200)
def test_steps_are_those_a_run_takes(rows, first, by, warmup, tokens):
    growth = BatchWarmup(first_tokens=first * 8, by_tokens=by * 8, warmup_tokens=warmup)
    planned = phase(
        "p",
        tokens=tokens,
        context_length=8,
        row_tokens=8,
        batch_tokens=8 * rows,
        batch_warmup=growth,
    )
    # A size ends with the step that reaches its share: half a step each, and the last one.
    assert abs(steps_of(planned) - taken_steps(planned)) <= 1 + len(growth.sizes(8, 8 * rows))


@given(st.integers(0, 50_000), st.lists(st.integers(1000, 40_000), min_size=1, max_size=4))
def test_checkpoints_are_those_a_run_writes(every, lengths):
    step = 1000
    lengths = [-(-length // step) * step for length in lengths]
    phases = tuple(
        phase(f"p{at}", tokens=n, batch_tokens=step, row_tokens=step)
        for at, n in enumerate(lengths)
    )
    run = dataclasses.replace(small_run("corpus"), phases=phases, save_every_tokens=every)
    written, tokens, ends = 1, 0, {sum(lengths[: at + 1]) for at in range(len(lengths))}
    while tokens < sum(lengths):
        tokens += step
        crossed = every and tokens // every > (tokens - step) // every
        written += bool(crossed or tokens in ends)
    found = plan(run, setup_of(run)).checkpoints
    # A step that passes a multiple and ends a phase, too, is saved once and may be counted twice.
    assert written <= found.written <= written + len(lengths)
    assert found.kept <= min(found.written, len(lengths) + run.keep_checkpoints + 1)
    assert found.size_bytes == 12 * parameters(run.model)


def test_devices_share_states_and_gather_layers():
    config = recipe("ettin-1b").model
    number, layer = parameters(config), layer_parameters(config)
    alone = memory(config, 8192, 0.3, sharing_of(8))
    shared = memory(config, 8192, 0.3, sharing_of(8, "fsdp"))
    assert (alone.weights, alone.gradients, alone.moments) == (4 * number, 4 * number, 8 * number)
    assert shared.states == pytest.approx(alone.states / 8, abs=16)
    assert shared.gathered == 4 * (number - 28 * layer + 3 * layer)
    assert alone.gathered == memory(config, 8192, 0.3, sharing_of(1, "fsdp")).gathered == 0
    assert shared.activations == alone.activations
    assert memory(config, 8192, 0.3, sharing_of(8, recomputes=True)).total < alone.total


@given(st.integers(0, 300), st.integers(1, 64))
@settings(max_examples=50)
def test_the_longest_row_fits_and_one_document_more_does_not(gigabytes, most):
    config, room = EncoderConfig(), gigabytes * 1e9
    row = longest_row(config, 1024, most * 1024, 0.3, room, sharing_of())
    assert 0 <= row <= most * 1024
    assert row % 1024 == 0
    if row:
        assert memory(config, row, 0.3, sharing_of()).total <= room
    if row < most * 1024:
        assert memory(config, row + 1024, 0.3, sharing_of()).total > room


def test_recomputing_costs_a_forward_pass_more():
    run = recipe("modernbert-base")
    plain = Setup(
        device=DEVICES["h100"],
        sharing=sharing_of(8),
        efficiencies=(stated(0.4),) * 3,
    )
    again = dataclasses.replace(plain, sharing=sharing_of(8, recomputes=True))
    first, second = plan(run, plain).phases[0], plan(run, again).phases[0]
    assert first.mfu == pytest.approx(0.4)
    assert 1.2 < second.hours / first.hours < 4 / 3
    assert second.flops_a_token == first.flops_a_token


@pytest.mark.parametrize(
    ("name", "device", "sharing", "message"),
    [
        (
            "modernbert-base",
            "h100",
            sharing_of(5),
            "phase pretrain: a step of 4718592 tokens in rows of 98304 is 48 in all, which 5 "
            "devices cannot share evenly: give --gpus 4 or 6, or another --phases.N.row-tokens",
        ),
        (
            "tiny",
            "h100",
            sharing_of(8),
            "phase pretrain: a step of 2048 tokens in rows of 2048 is 1 in all, which 8 devices "
            "cannot share evenly: give --gpus 1, or another --phases.N.row-tokens",
        ),
        ("tiny", "h100", sharing_of(0), "gpus is 0 and price 0.0: give 1 device or more"),
        (
            "ettin-1b",
            "l4",
            sharing_of(4),
            "L4 24 GB has room for 22.5: with --checkpoint-activations it takes 21.1 GB and fits",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(name, device, sharing, message):
    run = recipe(name)
    with pytest.raises(ConfigError) as caught:
        plan(run, setup_of(run, device, sharing))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("dim", "way_out"),
    [
        (3072, "with --parallel fsdp and --checkpoint-activations it takes"),
        (16384, "take a smaller model, more devices with --parallel fsdp, or devices with more"),
    ],
)
def test_a_model_that_does_not_fit_is_told_what_would(dim, way_out):
    model = EncoderConfig(dim=dim, mlp_dim=3 * dim, num_heads=dim // 64, num_layers=28)
    run = RunConfig(model=model, phases=recipe("modernbert-base").phases[:1])
    with pytest.raises(ConfigError, match=way_out):
        plan(run, setup_of(run, "rtx-4090", sharing_of(8)))


@pytest.mark.parametrize("price", [-1.0, math.nan, math.inf])
def test_a_price_is_a_number(price):
    run = recipe("tiny")
    with pytest.raises(ConfigError, match="give 1 device or more, and a price of 0 or more"):
        plan(run, setup_of(run, price=price))


def test_a_row_that_does_not_fit_is_told_one_that_does():
    run = recipe("modernbert-base")
    found = plan(run, setup_of(run, "l4", sharing_of(8))).phases[0]
    assert not found.fits
    assert found.memory.total > DEVICES["l4"].usable_bytes
    shorter = dataclasses.replace(run.phases[0], row_tokens=found.even_row)
    run = dataclasses.replace(run, phases=(shorter,))
    assert plan(run, setup_of(run, "l4", sharing_of(8))).phases[0].fits


def test_an_unknown_device_names_the_nearest():
    with pytest.raises(ConfigError, match="there is no device 'h10': did you mean h100"):
        device_of("h10")


@pytest.mark.parametrize("mfu", [-0.1, 0.0, 1.1, math.nan])
def test_a_share_of_the_peak_is_a_share(mfu):
    with pytest.raises(ConfigError, match="give a share of the peak above 0 and up to 1"):
        stated(mfu)


def test_plans_load_no_torch():
    code = "import sys, modernbert.train.plan, modernbert.train.plan_measured, modernbert.recipes"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize("optimizer", ["stable_adamw", "adamw", "muon"])
@pytest.mark.parametrize("is_gated", [True, False])
def test_what_an_optimizer_remembers_is_what_it_keeps(optimizer, is_gated):
    shape = dataclasses.replace(MODEL, gated_mlp=is_gated)
    model = build(shape, 0)
    kept = first_optimizer(
        dataclasses.replace(small_run("corpus"), model=shape, optimizer=optimizer), model
    )
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    kept.step()
    numbers = sum(each.numel() for state in kept.state.values() for each in state.values())
    assert remembered(shape, optimizer) == numbers
    sharing = dataclasses.replace(sharing_of(1, "ddp"), optimizer=optimizer)
    assert memory(shape, 256, 0.3, sharing).moments == 4 * numbers
