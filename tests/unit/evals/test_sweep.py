import dataclasses

from modernbert.evals import sweep as sweeps
from modernbert.evals.sweep import Sweep, read_sweep, sweep
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start


def test_a_sweep_goes_on_with_what_was_asked_last(monkeypatch, tmp_path):
    monkeypatch.setattr(sweeps, "outcomes_of", lambda *_: None)  # stopped at once
    one = Sweep(Start("classify", "model"), TuneConfig(train="train.csv"), ("seed=1",))
    more = dataclasses.replace(one, words=("seed=1,2",))
    other = dataclasses.replace(one, config=TuneConfig(train="other.csv"))
    for asked, expected in ((one, one), (more, more), (other, more)):
        assert sweep(asked, tmp_path / "grid", 1) is None
        assert read_sweep(tmp_path / "grid") == expected
