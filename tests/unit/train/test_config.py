import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.base.errors import ConfigError
from modernbert.base.records import from_plain, to_plain
from modernbert.optim.schedule import BatchWarmup, LengthWarmup, Schedule
from modernbert.recipes import RECIPES, recipe
from modernbert.train.config import RunConfig
from tests.runs import MODEL, phase, small_run


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"context_length": 300},
            "phase p: a chunk of context_length 300 does not fit into row_tokens 256: raise",
        ),
        (
            {"batch_tokens": 255},
            "phase p: row_tokens 256 is more than batch_tokens 255: raise batch_tokens, or lower",
        ),
        (
            {"length_warmup": LengthWarmup(first_length=32, warmup_tokens=9)},
            "phase p: a length warm-up from 32 over 9 tokens must begin below context_length 32",
        ),
        (
            {"length_warmup": LengthWarmup(first_length=8, warmup_tokens=6001)},
            "from 8 over 6001 tokens must begin below context_length 32 and end within the phase",
        ),
        ({"mask_rate": 0.0}, "phase p: mask_rate 0.0 must lie between 0 and 1"),
        ({"mask_rate": 1.0}, "phase p: mask_rate 1.0 must lie between 0 and 1"),
        ({"peak_lr": 0.0}, "peak_lr 0.0 above 0"),
        ({"context_length": 2}, "context_length 2 be at least 3"),
        ({"tokens": 0}, "tokens 0 at least 1"),
        ({"weight_decay": -0.1}, "phase p: weight_decay -0.1, mask_share 0.8 and random_share 0.1"),
        ({"mask_share": 0.95}, "and the two shares at most 1 together"),
        ({"source_weights": {"a": 0.9, "b": 0.3}}, "phase p: source_weights sum to 1.2: shares of"),
        (
            {"source_weights": {"a": 1.0}, "source_boosts": {"a": 2.0}},
            "phase p: source_weights say all shares, and source_temperature and source_boosts",
        ),
        (
            {"long_boost": 2.0},
            "phase p: long_boost 2 and long_tokens 0: give a boost above 0, other than 1, with a",
        ),
        ({"long_boost": 0.0, "long_tokens": 9}, "phase p: long_boost 0 and long_tokens 9: give a"),
        (
            {"long_tokens": 9},
            "phase p: long_boost 1 and long_tokens 9: give a boost above 0, other",
        ),
        ({"long_tokens": -1}, "phase p: long_boost 1 and long_tokens -1: give a boost above 0"),
        ({"global_rope_theta": -1.0}, "phase p: rope thetas (-1.0, 10000.0) must not be below 0"),
        ({"random_share": -0.1}, "random_share -0.1 must not be negative"),
        (
            {"schedule": Schedule(warmup_tokens=4000, decay_tokens=4000)},
            "a climb of 4000 and a fall of 4000 tokens do not fit into 6000",
        ),
    ],
)
def test_a_phase_that_cannot_be_trained_is_refused(fields, message):
    with pytest.raises(ConfigError) as caught:
        phase("p", **fields)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "phases are named nothing: a run needs"), (("a", "b", "a"), "phases are named a, b, a")],
)
def test_phases_need_names_of_their_own(names, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig(model=MODEL, phases=tuple(phase(name) for name in names))


def test_a_checkpoint_must_be_kept():
    with pytest.raises(ConfigError, match="keep_checkpoints is 0: at least 1 is needed to resume"):
        small_run("corpus", keep_checkpoints=0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"betas": (0.9, 1.0)},
            "betas (0.9, 1.0) must lie from 0 to below 1, and eps 1e-06 above 0",
        ),
        ({"eps": 0.0}, "and eps 0.0 above 0"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0: give a finite number, 0 for no limit"),
        ({"clip_norm": float("nan")}, "clip_norm is nan: give a finite number"),
        ({"threads": -1}, "threads is -1: give 0 to 1024"),
        ({"threads": 100_000}, "threads is 100000: give 0 to 1024"),
        ({"save_every_tokens": -5}, "save_every_tokens is -5: give 0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(fields, message):
    with pytest.raises(ConfigError) as caught:
        small_run("corpus", **fields)
    assert message in str(caught.value)


@given(
    warmup=st.integers(0, 6000), decay=st.integers(0, 6000), tokens=st.integers(10, 2_000_000_000)
)
def test_scaling_keeps_the_shape_of_a_run(warmup, decay, tokens):
    decay = min(decay, 6000 - warmup)
    schedule = Schedule(warmup_tokens=warmup, decay_tokens=decay)
    growth = BatchWarmup(first_tokens=256, warmup_tokens=3000)
    longer = LengthWarmup(first_length=8, warmup_tokens=3000)
    run = small_run("corpus")
    first = dataclasses.replace(
        run.phases[0], schedule=schedule, batch_warmup=growth, length_warmup=longer
    )
    run = dataclasses.replace(run, phases=(first, *run.phases[1:]))
    scaled = run.scaled_to(tokens)
    assert abs(scaled.tokens - tokens) <= len(run.phases)
    factor = tokens / run.tokens
    for before, after in zip(run.phases, scaled.phases, strict=True):
        assert after.batch_tokens == before.batch_tokens
        assert abs(after.schedule.warmup_tokens - before.schedule.warmup_tokens * factor) <= 1
        assert abs(after.schedule.decay_tokens - before.schedule.decay_tokens * factor) <= 1
        grown = before.batch_warmup.warmup_tokens * factor
        assert abs(after.batch_warmup.warmup_tokens - grown) <= 1
        grown = before.length_warmup.warmup_tokens * factor
        assert abs(after.length_warmup.warmup_tokens - grown) <= 1


def test_scaling_to_its_own_size_changes_nothing():
    run = small_run("corpus")
    assert run.scaled_to(run.tokens) == run


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name):
    config = recipe(name)
    assert from_plain(RunConfig, json.loads(json.dumps(to_plain(config)))) == config


def test_the_papers_numbers_stand_in_its_recipe():
    config = recipe("modernbert-base")
    assert config.tokens == 2_019_000_000_000
    assert [phase.context_length for phase in config.phases] == [1024, 8192, 8192]
    assert [phase.global_rope_theta for phase in config.phases] == [10_000.0, 160_000.0, 160_000.0]
    assert (config.betas, config.eps) == ((0.9, 0.98), 1e-6)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match="there is no recipe 'tyni': did you mean tiny"):
        recipe("tyni")
