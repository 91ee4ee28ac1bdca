"""Recipes say what their authors published, and nothing in them depends on devices."""

import pytest
from benchmarks.recipes import recipes_table

from modernbert.model.count import parameters
from modernbert.recipes import RECIPES, recipe
from modernbert.train.config import Phase

ETTIN = {  # arXiv 2507.11412: peak rate, decay, growth, climb, documents in a row
    "ettin-17m": (3e-3, 3e-4, 125e9, 4e9, (144, 24, 12)),
    "ettin-32m": (3e-3, 3e-4, 100e9, 4e9, (128, 24, 12)),
    "ettin-68m": (3e-3, 3e-4, 75e9, 3e9, (96, 18, 8)),
    "ettin-150m": (8e-4, 1e-5, 50e9, 3e9, (72, 16, 12)),
    "ettin-400m": (5e-4, 1e-5, 10e9, 2e9, (48, 6, 2)),
    "ettin-1b": (5e-4, 5e-5, 3e9, 2e9, (24, 2, 2)),
}
MILLIONS = {
    "tiny": 7,
    "modernbert-base": 149,
    "modernbert-large": 395,
    "ettin-17m": 17,
    "ettin-32m": 32,
    "ettin-68m": 68,
    "ettin-150m": 150,
    "ettin-400m": 400,
    "ettin-1b": 1000,
    "continued": 149,
}


def rates(phase: Phase) -> tuple[float, float, float]:
    """Return the rate at the start of a phase, in its middle and at its end."""
    tokens = phase.tokens
    return tuple(phase.peak_lr * phase.schedule.at(x, tokens) for x in (0, tokens // 2, tokens))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_of_the_size_that_was_published(name):
    assert parameters(recipe(name).model) / 1e6 == pytest.approx(MILLIONS[name], rel=0.05)


@pytest.mark.parametrize("name", RECIPES)
def test_steps_are_whole_rows_of_whole_documents(name):
    for phase in recipe(name).phases:
        assert phase.batch_tokens % phase.row_tokens == 0
        assert phase.row_tokens % phase.context_length == 0
        assert phase.batch_warmup.first_tokens % phase.row_tokens == 0
        assert phase.batch_warmup.by_tokens % phase.row_tokens == 0
        assert phase.batch_warmup.warmup_tokens < phase.tokens


def test_large_is_the_papers():
    run = recipe("modernbert-large")
    first, lower, context, decay = run.phases
    assert first.tokens + lower.tokens == 1_719_000_000_000
    assert (context.tokens, decay.tokens) == (250_000_000_000, 50_000_000_000)
    assert [phase.peak_lr for phase in run.phases] == [5e-4, 5e-5, 5e-5, 5e-5]
    assert [phase.weight_decay for phase in run.phases] == [1e-5, 1e-6, 1e-6, 1e-6]
    documents = [phase.batch_tokens / phase.context_length for phase in run.phases]
    assert documents == [4928, 4928, 616, 624]
    assert [phase.row_tokens / phase.context_length for phase in run.phases] == [56, 56, 7, 6]
    assert first.schedule.warmup_tokens == 2_000_000_000
    assert rates(decay)[2] == pytest.approx(5e-8)
    assert run.model.attention_out_dropout == 0.1
    assert run.seed == 314


@pytest.mark.parametrize("name", ETTIN)
def test_ettin_is_as_published(name):
    peak, decay, growth, climb, rows = ETTIN[name]
    run = recipe(name)
    first, context, last = run.phases
    later = (83.3e9, 16.7e9) if name == "ettin-1b" else (250e9, 50e9)
    assert (first.tokens, context.tokens, last.tokens) == (1.7e12, *later)
    assert [phase.context_length for phase in run.phases] == [1024, 7999, 7999]
    assert [phase.mask_rate for phase in run.phases] == [0.3, 0.3, 0.15]
    assert [phase.global_rope_theta for phase in run.phases] == [1e4, 1.6e5, 1.6e5]
    between = 1e4 if name == "ettin-17m" else 1.6e5
    assert [phase.local_rope_theta for phase in run.phases] == [1e4, between, 1.6e5]
    assert {phase.batch_tokens / phase.context_length for phase in run.phases} == {4608}
    assert tuple(phase.row_tokens / phase.context_length for phase in run.phases) == rows
    assert {phase.weight_decay for phase in run.phases} == {decay}
    assert (first.batch_warmup.warmup_tokens, first.schedule.warmup_tokens) == (growth, climb)
    assert rates(first) == (0, peak, peak)
    # A fall hands over to the next phase where that begins.
    fallen = 1 - (1 - 0.5) * 0.5**0.5
    assert rates(context) == pytest.approx((peak, peak * fallen, peak / 2))
    fallen = 1 - (1 - 0.04) * 0.5**0.5
    assert rates(last) == pytest.approx((peak / 2, peak / 2 * fallen, peak / 2 * 0.04))


def test_a_line_of_the_table_says_a_phase():
    lines = recipes_table({"base": recipe("modernbert-base")}).splitlines()
    assert lines[2:] == [
        "| base | pretrain | 1.72T | 1024 | 4608 | 96 | from 768 by 768 over 50B | 0.0008 | 3B | - "
        "| 1e-05 | 10000 / 10000 | 30% |",
        "| base | context | 250B | 8192 | 576 | 12 | - | 0.0003 | - | - | 1e-05 "
        "| 160000 / 10000 | 30% |",
        "| base | decay | 50B | 8192 | 576 | 12 | - | 0.0003 | - | 0.001, one_minus_sqrt | 1e-05 "
        "| 160000 / 10000 | 30% |",
    ]


def test_a_model_goes_on_at_a_steady_rate_and_hides_half_as_much_in_its_decay():
    steady, decay = recipe("continued").phases
    assert (steady.tokens, decay.tokens) == (160_000_000_000, 8_200_000_000)
    assert (steady.mask_rate, decay.mask_rate) == (0.3, 0.15)
    assert rates(steady) == (0.0, 3e-4, 3e-4)
    assert rates(decay)[0] == 3e-4
    assert rates(decay)[2] == 0
    assert {phase.global_rope_theta for phase in (steady, decay)} == {0}
