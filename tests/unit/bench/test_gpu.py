import json
import time
from functools import partial

import pytest
import torch

from modernbert.base.errors import MachineError
from modernbert.bench import latency
from modernbert.bench.efficiency_case import EfficiencyCase
from modernbert.bench.gpu import PUBLISHED, main, parts, run
from modernbert.bench.training_case import TrainingCase
from modernbert.bench.training_sides import SIDES
from modernbert.model.presets import PRESETS


def test_what_is_measured_on_a_card_are_cases_of_known_shapes():
    works = {said: work for said, _, work in parts(is_trial=False)}
    cases = [given for work in works.values() for given in work.args]
    trainings = [case for case in cases if isinstance(case, TrainingCase)]
    assert {(case.model, case.context_length) for case in trainings} == set(PUBLISHED)
    assert all({*case.sides} <= {*SIDES} for case in trainings)
    encodings = [case for case in cases if isinstance(case, EfficiencyCase)]
    assert len({(case.case, case.models) for case in encodings}) == len(encodings) == 8
    assert {name for case in encodings for name in case.models} <= set(PRESETS)
    assert [what for _, what, _ in parts(is_trial=False)][:3] == ["training"] * 3


def fails():
    raise MachineError("no memory")


def test_a_part_that_fails_does_not_end_the_others(tmp_path, capsys):
    works = [("one", "a", fails), ("two", "a", lambda: {"x": 1}), ("three", "b", dict)]
    assert run(works, tmp_path, 10) == 1
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {"x": 1}
    assert (tmp_path / "b.jsonl").exists()
    assert "failed: one: no memory" in capsys.readouterr().err


def test_nothing_begins_when_time_is_up(tmp_path, capsys):
    assert run([("one", "a", fails)], tmp_path, 0) == 0
    assert "left out after 0.0 minutes: one" in capsys.readouterr().err


def test_what_takes_too_long_is_given_up(tmp_path, capsys):
    begun = time.monotonic()
    assert run([("one", "a", partial(time.sleep, 30))], tmp_path, 0.005) == 0
    assert time.monotonic() - begun < 10
    assert "given up: one: there was no more time for it" in capsys.readouterr().err
    assert not (tmp_path / "a.jsonl").exists()


def test_a_cpu_has_no_graphs():
    row = latency.measure("tiny", "cpu", rounds=2)
    assert row["gpu"] is None
    for facts in row["queries"].values():
        assert set(facts) == {latency.LAUNCHED}
        assert facts[latency.LAUNCHED]["milliseconds"] > 0
        assert facts[latency.LAUNCHED]["difference"] == 0


def test_ways_that_disagree_are_not_timed():
    ways = {
        latency.LAUNCHED: lambda batch: torch.ones(3),
        latency.REPLAYED: lambda batch: -torch.ones(3),
    }
    with pytest.raises(MachineError, match="vectors of 3 tokens differ by 2: a replayed graph"):
        latency._of_length(3, ways, 2)


@pytest.mark.slow
def test_without_a_card_everything_is_tried(tmp_path):
    assert main(["--out", str(tmp_path)]) == 0
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.jsonl")}
    assert {name: row["bench"] for name, row in found.items()} == {
        "training": "training",
        "latency": "latency",
        "efficiency": "efficiency",
    }
    assert found["training"]["published_tokens_per_second"] is None
