"""`modernbert pretrain`: what is given on the command line is what the run is made of."""

import pytest

from modernbert.base.errors import ConfigError
from modernbert.cli.pretrain import pretrain
from modernbert.recipes import recipe_or_run
from modernbert.train.description import config_of
from tests.runs import small_corpus


@pytest.mark.slow
def test_total_scales_the_recipe_and_leaves_what_is_given(tmp_path, capsys):
    corpus = small_corpus(tmp_path)
    growth = ["first-length", "64"], ["warmup-tokens", "2k"]
    options = [
        word for name, value in growth for word in (f"--phases.0.length-warmup.{name}", value)
    ]
    command = ["tiny", "--corpus", str(corpus), "--out", str(tmp_path / "run"), "--total", "5k"]
    assert pretrain([*command, *options, "--model.num-layers", "1", "--evaluate-tokens", "0"]) == 0
    config = config_of(tmp_path / "run")
    assert config.tokens == 5000
    assert config.phases[0].schedule.warmup_tokens == 200
    assert config.phases[0].length_warmup.warmup_tokens == 2000
    said = capsys.readouterr().err
    assert "phase decay is to have 500 tokens, and one step takes 4.1k: lower --phases.2." in said
    assert "phase pretrain is to have" not in said


def test_a_run_s_folder_is_not_its_run_json(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"is a run's folder: give .*run\.json"):
        recipe_or_run(str(tmp_path))
