import json

import pytest
import yaml

from modernbert.base.errors import CheckpointError
from modernbert.model import config_file
from modernbert.model.flexbert import from_flexbert
from modernbert.model.hf_config import to_hf
from modernbert.model.presets import PRESETS
from tests.flexbert import model_of, settings_of


def test_a_config_json_is_read(tmp_path):
    config = model_of().config
    keys = to_hf(config, dtype="float32", head=None)
    (tmp_path / "config.json").write_text(json.dumps(keys))
    assert config_file.to_config(config_file.read(tmp_path / "config.json")) == config


@pytest.mark.parametrize("name", ["run.yaml", "run.yml", "model.json"])
def test_the_settings_of_a_training_run_are_read(tmp_path, name):
    keys = settings_of(model_of().config)
    whole = {"run_name": "x", "model": {"name": "flex_bert", "model_config": keys}}
    content = keys if name.endswith("json") else whole
    (tmp_path / name).write_text(yaml.safe_dump(content))
    if name.endswith("json"):
        (tmp_path / name).write_text(json.dumps(content))
    assert config_file.to_config(config_file.read(tmp_path / name)) == from_flexbert(keys)


def test_the_reference_s_way_to_write_numbers(tmp_path):
    keys = settings_of(model_of().config)
    text = yaml.safe_dump(keys).replace("eps: 1.0e-05", "eps: 1e-5")
    assert "eps: 1e-5" in text
    (tmp_path / "run.yaml").write_text(text)
    assert config_file.to_config(config_file.read(tmp_path / "run.yaml")).norm_eps == 1e-5


def test_yaml_makes_no_objects(tmp_path):
    marked = f"model_config: !!python/object/apply:os.system ['touch {tmp_path}/ran']"
    (tmp_path / "run.yaml").write_text(marked)
    with pytest.raises(CheckpointError, match=r"run\.yaml is neither JSON nor YAML: give a config"):
        config_file.read(tmp_path / "run.yaml")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["a: 1", "- 1", "3", ""])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(
        CheckpointError, match=r"run\.yaml is no config of a ModernBERT: give a con"
    ):
        config_file.read(tmp_path / "run.yaml")


def test_a_config_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no config .*no\.yaml: check the path"):
        config_file.read(tmp_path / "no.yaml")


def test_presets_have_short_names():
    assert (
        config_file.preset("base")
        == config_file.preset("modernbert-base")
        == PRESETS["modernbert-base"]
    )
    assert config_file.preset("tiny") == PRESETS["tiny"]
    with pytest.raises(CheckpointError, match="there is no preset 'tni': did you mean tiny"):
        config_file.preset("tni")
