"""A model in, the same with small trained matrices beside frozen ones out, merged again at the end.

Low-rank adaptation (LoRA, arXiv 2106.09685) as the library `peft` has it, which this file alone
knows.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from modernbert.base import files, rng
from modernbert.base.errors import ConfigError, MachineError
from modernbert.model.folder import hf_name
from modernbert.model.init import empty
from modernbert.model.model import Model
from modernbert.model.stored import write_tensors
from modernbert.train.tune_config import TuneConfig

if TYPE_CHECKING:
    from peft import LoraConfig

FOLDER, WEIGHTS = "adapter", "adapter_model.safetensors"
_NAME = "default"
_BASE = ".base_layer"
_TASKS = {"sequence": "SEQ_CLS", "tokens": "TOKEN_CLS", "spans": "QUESTION_ANS"}
# What `peft` calls a model that it wraps, before the names that Hugging Face's model has.
_THEIRS = "base_model.model."


def check(config: TuneConfig, num_layers: int) -> None:
    """Refuse adapters that nobody can make here.

    Raises:
        MachineError: `peft` is not installed.
        ConfigError: all layers are frozen.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise MachineError(
            "LoRA needs the package peft: install it with `pip install 'modernbert[tune]'`"
        ) from error
    if config.frozen_layers >= num_layers:
        raise ConfigError(
            f"frozen_layers is {config.frozen_layers} of {num_layers}, and LoRA moves the layers "
            "above them: freeze fewer, or leave lora_rank out"
        )


def add(model: Model, config: TuneConfig, start: str) -> None:
    """Freeze an encoder and put adapters on the layers that are not to stay; the head is whole.

    They change nothing at first. Each is drawn by its name, as all first weights are.
    """
    from peft import LoraConfig, inject_adapter_in_model

    above = range(config.frozen_layers, model.config.num_layers)
    settings = LoraConfig(
        base_model_name_or_path=start,
        r=config.lora_rank,
        lora_alpha=config.lora_alpha or 2 * config.lora_rank,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.lora_modules),
        layers_to_transform=list(above) if config.frozen_layers else None,
    )
    inject_adapter_in_model(settings, model, _NAME)
    for name, weight in model.named_parameters():
        weight.requires_grad_(".lora_" in name or name.startswith("head."))
        if ".lora_A." in name:
            source = torch.Generator().manual_seed(rng.key(config.seed, "weights", name) >> 1)
            nn.init.kaiming_uniform_(weight, 5**0.5, generator=source)


def trained(model: Model) -> dict[str, Tensor]:
    """Return the weights that move beside a frozen model, none where it has no adapters."""
    moving = {name: w.detach() for name, w in model.named_parameters() if w.requires_grad}
    return moving if any(".lora_" in name for name in moving) else {}


@torch.no_grad()
def merged(model: Model) -> Model:
    """Return a plain model on the CPU that computes the same; one without adapters is returned."""
    changes = _changes(model)
    if not changes:
        return model
    weights = {name.replace(_BASE, ""): weight for name, weight in model.named_parameters()}
    plain = empty(model.config, model.head_config).to(weights["encoder.final_norm.weight"].dtype)
    for name, weight in plain.named_parameters():
        change = changes.get(name)
        weight.copy_(weights[name] if change is None else weights[name] + change)
    plain.kept = model.kept
    return plain


def write(model: Model, folder: Path) -> None:
    """Write adapters and head as `peft` opens them on a model of transformers.

    Raises:
        MachineError: the disk is full or the folder cannot be written.
    """
    found = {
        _THEIRS + hf_name(name.replace(f".{_NAME}.", ".")): weight.cpu().contiguous()
        for name, weight in trained(model).items()
    }
    keys = _settings_of(model).to_dict()  # type: ignore[no-untyped-call]
    task = _TASKS.get(model.head_config.kind) if model.head_config else None
    keys |= {"modules_to_save": ["head", "classifier"], "task_type": task, "inference_mode": True}
    keys["target_modules"] = sorted(keys["target_modules"])
    write_tensors(found, folder, WEIGHTS)
    files.write_json(folder / "adapter_config.json", keys)


def _settings_of(model: Model) -> "LoraConfig":
    return cast("dict[str, LoraConfig]", model.peft_config)[_NAME]


def _changes(model: Model) -> dict[str, Tensor]:
    """Return what the adapters add to each weight, by its name in a plain model."""
    if not trained(model):
        return {}
    from peft.tuners.lora import Linear

    return {
        f"{name}.weight": layer.get_delta_weight(_NAME)
        for name, layer in model.named_modules()
        if isinstance(layer, Linear)
    }
