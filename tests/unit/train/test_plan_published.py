"""Published hours beside planned ones: fitted on some, tested on others."""

import pytest
from benchmarks.planning import held_table
from benchmarks.rows import HERE, rows_of
from hypothesis import given
from hypothesis import strategies as st

from modernbert.bench.peaks import of_card
from modernbert.recipes import recipe
from modernbert.train.plan_devices import DEVICES
from modernbert.train.plan_published import ETTIN, PAPER, check, timed, usual, worst
from modernbert.train.plan_speed import Timed, fit, fit_share

CARDS = {
    "h100": "NVIDIA H100 80GB HBM3",
    "h200": "NVIDIA H200",
    "a100-80gb": "NVIDIA A100-SXM4-80GB",
    "l4": "NVIDIA L4",
    "rtx-4090": "NVIDIA GeForce RTX 4090",
    "b200": "NVIDIA B200",
}


def test_runs_that_were_not_fitted_are_told_nearly():
    found = {each.name: each for each in check()}
    assert sum(each.is_fitted for each in found.values()) == len(PAPER) == len(ETTIN) == 6
    assert worst([*found.values()], is_fitted=True) < 0.06
    others = {name: each.error for name, each in found.items() if not each.is_fitted}
    # The smallest model is the one that a plan made from large ones says least of.
    assert max(others, key=lambda name: abs(others[name])) == "ettin-17m"
    assert 0.2 < others.pop("ettin-17m") < 0.35
    assert max(map(abs, others.values())) < 0.1


def test_one_share_for_all_does_not_tell_small_models():
    found = {each.name: each for each in check()}
    assert found["ettin-17m"].error_by_one_share < -0.7
    assert all(each.error <= each.error_by_one_share + 1.2 for each in found.values())
    mfu = [found[each.name].mfu for each in ETTIN[:5]]
    assert mfu == sorted(mfu)


def test_published_stretches_are_the_recipes():
    for run in ETTIN:
        phases = recipe(run.name).phases
        said = [(each.tokens, each.context, each.mask_rate) for each in run.stretches]
        assert said == [(each.tokens, each.context_length, each.mask_rate) for each in phases]
    for size in ("base", "large"):
        run = recipe(f"modernbert-{size}")
        tokens = sum(each.stretches[0].tokens for each in PAPER if each.preset.endswith(size))
        assert tokens == run.tokens


def test_the_papers_speed_for_each_h100():
    # Derived from table 3: 312k, 239k and 231k tokens a second for base, 142k for large.
    speeds = [1 / timed(run).seconds for run in PAPER]
    assert speeds[:4] == pytest.approx([312_000, 239_000, 231_000, 142_000], rel=0.005)


@given(st.floats(0.05, 1), st.floats(0, 1e-5))
def test_a_fit_finds_the_numbers_behind_exact_times(share, beside):
    peak = 1e15
    tokens = [Timed(flops, flops / (share * peak) + beside) for flops in (1e8, 1e9, 2e9, 9e9)]
    found = fit(tokens, peak)
    assert found[0] == pytest.approx(share, rel=1e-6)
    assert found[1] == pytest.approx(beside, abs=1e-12)
    assert fit_share([Timed(x, x / (share * peak)) for x in (1e8, 1e9)], peak) == pytest.approx(
        share
    )


def test_memory_of_measured_steps_stands_beside_the_plan():
    lines = held_table(rows_of(HERE / "training.jsonl")).splitlines()[2:]
    errors = [float(line.split(" | ")[7].rstrip("%")) / 100 for line in lines]
    # A process holds more than tensors take; a step of one row may be over before all gradients are
    # there, which the plan counts.
    assert errors
    assert all(-0.5 < error < 0.25 for error in errors)
    assert held_table([]).startswith("No row was measured yet.")


def test_what_is_carried_over_says_so():
    assert "carried over" not in usual(DEVICES["h100"]).source
    for name in DEVICES.keys() - {"h100"}:
        assert "carried over: nothing is published of" in usual(DEVICES[name]).source
    assert usual(DEVICES["h100"], "float32").source.endswith("H100 SXM 80 GB in float32")


@pytest.mark.parametrize("name", CARDS)
def test_devices_agree_with_the_peaks_of_measurements(name):
    assert of_card(CARDS[name]) == DEVICES[name].bfloat16_flops
    named = [device.name for device in DEVICES.values() if device.is_called(CARDS[name])]
    assert named == [name]


def test_slower_boards_of_a_chip_are_other_devices():
    for name in ("NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA L40S", "NVIDIA GH200 480GB"):
        assert not any(device.is_called(name) for device in DEVICES.values())
    assert [device.name for device in DEVICES.values() if device.is_called(None)] == ["cpu"]
