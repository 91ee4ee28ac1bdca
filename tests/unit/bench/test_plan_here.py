"""A few steps on this machine, of the run's own shape or of one that is over soon."""

import dataclasses

import pytest

from modernbert.base.errors import MachineError
from modernbert.bench.plan_here import _trial, measure
from modernbert.model.activations import Pass
from modernbert.recipes import recipe
from modernbert.train.plan_memory import Sharing, memory
from tests.runs import MODEL, phase, small_run

SHARING = Sharing(how=Pass(precision="float32", is_cpu=True), gpus=1, parallel="ddp")


def trial(phase, gflops: float, gigabytes: float = 1e6):
    """Return what is tried of base on a machine of so many GFLOP/s with so much room."""
    return _trial(recipe("modernbert-base").model, phase, SHARING, gflops * 1e9, gigabytes * 1e9)


@pytest.mark.parametrize("recomputes", [False, True])
def test_steps_are_taken_and_compared_with_the_plan(recomputes):
    run = dataclasses.replace(
        small_run("corpus"),
        phases=(phase("p", tokens=10_000, row_tokens=512, batch_tokens=1024, context_length=100),),
    )
    how = dataclasses.replace(SHARING.how, recomputes=recomputes)
    here = measure(run, dataclasses.replace(SHARING, how=how), "float32")
    assert here.model == MODEL
    assert here.row_tokens == 512
    assert here.measured_tokens_per_second > 0
    assert 0 < here.efficiency.share < 1
    assert (
        here.planned_bytes == memory(MODEL, 512, 0.3, dataclasses.replace(SHARING, how=how)).total
    )
    assert here.device.is_cpu
    assert here.sharing.how == how
    assert here.efficiency.source == "measured here: 3 of 3 layers, rows of 512 tokens"


def test_rows_then_layers_are_cut_until_a_step_is_over_soon_and_fits():
    first, long, _ = recipe("modernbert-base").phases
    fast = trial(first, 1e6)
    assert (fast.row_tokens, fast.model.num_layers) == (first.row_tokens, 22)
    for middle in (trial(first, 1000), trial(first, 1e6, 20)):
        assert first.context_length <= middle.row_tokens < first.row_tokens
        assert middle.row_tokens % first.context_length == 0
        assert middle.model.num_layers == 22
        assert memory(middle.model, middle.row_tokens, 0.3, SHARING).total < 40e9
    last = trial(first, 100)
    assert last.row_tokens == first.context_length
    assert last.model.num_layers < 22
    last = trial(long, 30)
    assert last.model.num_layers == 1
    assert 512 <= last.row_tokens < long.context_length


@pytest.mark.parametrize(("gflops", "gigabytes"), [(0.001, 1e6), (1e6, 0.1)])
def test_a_machine_that_can_try_nothing_says_so(gflops, gigabytes):
    with pytest.raises(MachineError, match="too much to be tried here: plan with --device and a"):
        trial(recipe("modernbert-base").phases[0], gflops, gigabytes)
