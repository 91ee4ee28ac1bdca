import json
import sys

import pytest

from modernbert.base.errors import ConfigError, MachineError
from modernbert.bench.cases import MaxSimCase
from modernbert.bench.maxsim import THEIRS, _answers
from modernbert.bench.peers import maxsim_of_sentence_transformers
from modernbert.bench.runtimes import OURS
from modernbert.bench.sides import agreement
from modernbert.cli.main import main

SMALL = ("--queries", "2", "--documents", "12", "--dim", "8", "--rounds", "2")


@pytest.mark.slow
def test_the_command_appends_a_row(tmp_path):
    with pytest.raises(SystemExit) as caught:
        main(["bench", "maxsim", *SMALL, "--out", str(tmp_path)])
    assert not caught.value.code
    (row,) = map(json.loads, (tmp_path / "maxsim.jsonl").read_text().splitlines())
    assert set(row["sides"]) == {OURS, *THEIRS}
    for name in THEIRS:
        assert row["sides"][name]["largest_difference"] < 1e-4
        assert row["sides"][name]["ours_is_faster"] > 0
    assert row["tokens"] > 12 * 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_side_finds_the_same_scores():
    case = MaxSimCase(queries=3, documents=20, query_tokens=5, shortest=1, longest=30)
    ours = _answers(OURS, case)["rows"]()
    # PyLate's padding counts as a product of 0, where all others are below.
    assert "failed" not in agreement(_answers(THEIRS[0], case)["rows"](), ours, 1e-4)


def test_senseless_sizes_are_refused():
    for fields in ({"rounds": 1}, {"queries": 0}, {"shortest": 9, "longest": 8}):
        with pytest.raises(ConfigError, match="and longest no less than shortest"):
            MaxSimCase(**fields)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers.util", None)
    with pytest.raises(MachineError, match="this comparison needs sentence-transformers 6: pip"):
        maxsim_of_sentence_transformers()
