"""Checkpoints of the reference repository: one file of torch in, a model of ours out.

Composer saves {"state": {"model": tensors, "integrations": ..., ...}, "rng": ...}; the file can
also be the tensors alone, or under a name such as "state_dict". FlexBert's tensors are Hugging
Face's under longer names: rows of Wqkv are queries, keys and values, and the first half of Wi is
the activated one in both (bert_layers: attention.py, mlp.py). Optimizer, clocks and random states
are left on disk.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modernbert.base.errors import CheckpointError
from modernbert.model import folder, pickled
from modernbert.model.config import MASKED_LM, EncoderConfig, HeadConfig
from modernbert.model.init import empty
from modernbert.model.model import Model
from modernbert.model.presets import PRESETS

_LAYER = re.compile(r"layers\.(\d+)\.")
# What stands around an encoder: DDP's `module`, Lightning's and Hugging Face's `model`, FlexBert's
# own. What torch.compile, FSDP and recomputed layers insert can stand anywhere.
_INSERTED = re.compile(r"_(?:orig_mod|fsdp_wrapped_module|checkpoint_wrapped_module)\.")
_WRAPPERS = re.compile(r"^(?:(?:module|model|bert|encoder)\.)+")
# Made anew from the thetas.
_BUFFERS = (".rotary_emb.inv_freq", ".rotary_emb.scale")
# Under these, training loops save a model's tensors beside others.
_NAMES = ("state_dict", "model_state_dict", "model", "module")
_HEADS = ("head.", "decoder.", "classifier.")
_TABLE, _WO = "embeddings.tok_embeddings.weight", "layers.0.mlp.Wo.weight"
_BIASES = {
    "norm_bias": "final_norm.bias",
    "attention_bias": "layers.0.attn.Wqkv.bias",
    "mlp_bias": "layers.0.mlp.Wi.bias",
    "head_bias": "head.dense.bias",
    "decoder_bias": "decoder.bias",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file holds of a model."""

    path: Path
    tensors: Mapping[str, Tensor]
    """By Hugging Face's names, without `model.`."""
    settings: Mapping[str, Any] | None
    """How the model was configured, where the file says so."""
    tokenizer: Mapping[str, Any]
    """The tokenizer's JSON files by name, where the file holds them."""


def read(path: Path) -> Checkpoint:
    """Read a Composer checkpoint, or tensors alone; the tensors stay on disk until they are used.

    Raises:
        CheckpointError: the file cannot be read, names code, or holds no ModernBERT.
    """
    content = pickled.load(path)
    state = _inside(content, "state")
    named = (_inside(content, key) for key in _NAMES)
    inside = _inside(state, "model") or next((each for each in named if each), content)
    tensors = pickled.tensors_of(inside)
    if tensors is None:
        raise CheckpointError(
            f"{path} holds neither a Composer checkpoint nor tensors by name: give a file that does"
        )
    found = {_plain(name): tensor for name, tensor in tensors.items()}
    kept = {name: tensor for name, tensor in found.items() if not name.endswith(_BUFFERS)}
    matrices = {name for name, tensor in kept.items() if tensor.dim() == 2}
    if not {_TABLE, _WO} <= matrices or len(found) < len(tensors):
        inside = folder.listed(sorted(tensors)) or "nothing"
        raise CheckpointError(
            f"{path} holds no ModernBERT, but {inside}: give the checkpoint of one"
        )
    theirs = _inside(_inside(state, "integrations"), "huggingface")
    return Checkpoint(path, kept, _settings(theirs), _files(theirs))


def num_ids(checkpoint: Checkpoint) -> int:
    """Return how many rows the table of token vectors has."""
    return len(checkpoint.tensors[_TABLE])


def like(checkpoint: Checkpoint, config: EncoderConfig) -> EncoderConfig:
    """Take from a config what tensors cannot show: heads, thetas, pattern, window, activation.

    Raises:
        CheckpointError: the tensors have another shape than the config.
    """
    seen, told = _sizes(checkpoint), (config.dim, config.mlp_dim, config.num_layers)
    if seen != told:
        raise CheckpointError(
            f"{checkpoint.path} has dim, mlp_dim and num_layers {seen}, and was said to have "
            f"{told}: give the config of this model"
        )
    tensors = checkpoint.tensors
    has_head = "head.dense.weight" in tensors
    told_of_head = {} if has_head else {"head_bias": config.head_bias, "decoder_bias": True}
    biases: dict[str, Any] = {field: name in tensors for field, name in _BIASES.items()}
    return replace(
        config,
        vocab_size=len(tensors[_TABLE]),
        tie_embeddings=_is_tied(tensors),
        **biases | told_of_head,
    )


def of_this_size(checkpoint: Checkpoint) -> EncoderConfig:
    """Return the one preset that has the tensors' shape.

    Raises:
        CheckpointError: there is none, or more than one.
    """
    seen = _sizes(checkpoint)
    names = [
        name for name, each in PRESETS.items() if (each.dim, each.mlp_dim, each.num_layers) == seen
    ]
    if len(names) != 1:
        raise CheckpointError(
            f"{checkpoint.path} says nothing of heads, thetas and layer pattern, and its shape "
            f"(dim, mlp_dim and num_layers {seen}) is that of {' and '.join(names) or 'no preset'}"
            ": give --config FILE or --preset NAME"
        )
    return PRESETS[names[0]]


def head_of(checkpoint: Checkpoint) -> HeadConfig | None:
    """Say which head the tensors are of.

    Raises:
        CheckpointError: it is FlexBert's classifier, which has another form than Hugging Face's.
    """
    if "classifier.weight" in checkpoint.tensors:
        raise CheckpointError(
            f"{checkpoint.path} holds a classifier, and nothing says how it is read: give --config "
            "FILE with Hugging Face's keys, or --headless to keep the encoder alone"
        )
    return MASKED_LM if "head.dense.weight" in checkpoint.tensors else None


def build(checkpoint: Checkpoint, config: EncoderConfig, head: HeadConfig | None) -> Model:
    """Make the model; each tensor is used, and used once. Without a head its tensors are left.

    Raises:
        CheckpointError: tensors are missing or left over, or their shapes do not fit.
    """
    found = dict(checkpoint.tensors)
    if head is None:
        found = {name: each for name, each in found.items() if not name.startswith(_HEADS)}
    elif config.tie_embeddings and _is_tied(found):
        found.pop(folder.DECODER, None)
    model = empty(config, head)
    ours = {_plain(folder.hf_name(name)): name for name, _ in model.named_parameters()}
    _check_names(checkpoint.path, ours.keys(), found.keys())
    model.to(found["final_norm.weight"].dtype)
    model.tie()
    for name, stored in found.items():
        weight = model.get_parameter(ours[name])
        if weight.shape != stored.shape:
            raise CheckpointError(
                f"{checkpoint.path}: {name} has shape {list(stored.shape)}, a model of this config "
                f"has {list(weight.shape)}: give the config of this model"
            )
        folder.check_values(name, stored, checkpoint.path)
        weight.data.copy_(stored)
    return model


def _plain(name: str) -> str:
    return _WRAPPERS.sub("", _INSERTED.sub("", name))


def _inside(content: object, key: str) -> Any:
    return content.get(key) if isinstance(content, Mapping) else None


def _settings(inside: object) -> Mapping[str, Any] | None:
    content = _inside(_inside(_inside(inside, "model"), "config"), "content")
    return content if isinstance(content, Mapping) else None


def _files(inside: object) -> dict[str, Any]:
    """Return the tokenizer's files: Composer keeps each as {"file_extension", "content"}."""
    kept = _inside(inside, "tokenizer")
    return {
        f"{stem}.json": _inside(file, "content")
        for stem, file in (kept.items() if isinstance(kept, Mapping) else ())
        if _inside(file, "file_extension") == ".json"
    }


def _sizes(checkpoint: Checkpoint) -> tuple[int, int, int]:
    tensors = checkpoint.tensors
    dim, mlp_dim = tensors[_WO].shape
    layers = {int(match[1]) for name in tensors if (match := _LAYER.match(name))}
    return dim, mlp_dim, max(layers) + 1


def _is_tied(tensors: Mapping[str, Tensor]) -> bool:
    decoder = tensors.get(folder.DECODER)
    return decoder is None or torch.equal(decoder, tensors[_TABLE])


def _check_names(path: Path, wanted: Any, found: Any) -> None:
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    if missing:
        raise CheckpointError(
            f"{path} lacks {len(missing)} tensors of a model of this config "
            f"({folder.listed(missing)}): give the config of this model"
        )
    if extra:
        raise CheckpointError(
            f"{path} has {len(extra)} tensors that no model of this config has "
            f"({folder.listed(extra)}): give the config of this model"
        )
