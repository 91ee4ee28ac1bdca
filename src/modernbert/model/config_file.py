"""A file that says how a model is built in, its keys and EncoderConfig out.

It is a config.json with Hugging Face's keys, or FlexBert's model_config as JSON or YAML, alone or
inside the YAML of a training run.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from modernbert.base.errors import CheckpointError
from modernbert.base.records import nearest
from modernbert.model.config import EncoderConfig
from modernbert.model.flexbert import from_flexbert, is_flexbert
from modernbert.model.hf_config import from_hf
from modernbert.model.presets import PRESETS

LONGEST = "max_seq_len"
"""Key of the longest text, in tokens, beside the model in a training run's YAML."""


def read(path: Path) -> Mapping[str, Any]:
    """Read a file's keys.

    Raises:
        CheckpointError: the file is not there, or is neither of both kinds.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no config {path}: check the path") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path} is neither JSON nor YAML: give a config") from error
    longest = content.get(LONGEST) if isinstance(content, Mapping) else None
    for key in ("model", "model_config"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not (is_flexbert(content) or "model_type" in content):
        raise CheckpointError(
            f"{path} is no config of a ModernBERT: give a config.json, or a training run's YAML"
        )
    return {**content, LONGEST: longest} if isinstance(longest, int) else content


def to_config(keys: Mapping[str, Any]) -> EncoderConfig:
    """Read keys of either kind.

    Raises:
        CheckpointError: they describe another encoder.
    """
    return from_flexbert(keys) if is_flexbert(keys) else from_hf(keys)


def preset(name: str) -> EncoderConfig:
    """Return a named shape; `base` is short for `modernbert-base`.

    Raises:
        CheckpointError: nobody knows the name.
    """
    for known in (name, f"modernbert-{name}"):
        if known in PRESETS:
            return replace(PRESETS[known])
    raise CheckpointError(f"there is no preset {name!r}: {nearest(name, PRESETS)}")
