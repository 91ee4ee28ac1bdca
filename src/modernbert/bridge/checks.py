"""A live model of transformers in, a sentence out if acceleration would change what it says."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.models.modernbert import modeling_modernbert as theirs

from modernbert.base.errors import ConfigError
from modernbert.bridge import heads
from modernbert.bridge.packed import IS_VERSION_4, is_local, shape_of
from modernbert.kernels.rope import frequencies
from modernbert.model.config import EncoderConfig


def check(model: nn.Module) -> None:
    """Refuse what would run otherwise than it does now.

    Raises:
        ConfigError: code or settings of its own are in the way.
    """
    for module in model.modules():
        if isinstance(module, theirs.ModernBertModel):
            _check_body(module)
        for known, _ in heads.PAIRS:
            if isinstance(module, known):
                _check_code(module, known)


def _check_body(body: Any) -> None:
    config = shape_of(body)
    if IS_VERSION_4 and body.config._attn_implementation == "flash_attention_2":
        raise ConfigError(
            "this model was opened with flash_attention_2, and under transformers 4 its heads "
            "take the padding out themselves: open it with attn_implementation='sdpa'"
        )
    for part, kind in _parts(body):
        _check_code(part, kind)
    for layer in body.layers:
        _check_activation(layer.mlp.act, body.config.hidden_activation)
        _check_angles(body, layer, config)


def _parts(body: Any) -> Iterator[tuple[nn.Module, type[nn.Module]]]:
    """List what is exchanged, with the class whose code is known."""
    yield body, theirs.ModernBertModel
    yield body.embeddings, theirs.ModernBertEmbeddings
    for layer in body.layers:
        yield layer, theirs.ModernBertEncoderLayer
        yield layer.attn, theirs.ModernBertAttention
        yield layer.mlp, theirs.ModernBertMLP


def _check_code(part: nn.Module, known: type[nn.Module]) -> None:
    kind = type(part)
    is_ours = kind.__module__.startswith("modernbert.") and issubclass(kind, known)
    if kind is not known and not is_ours:
        raise ConfigError(
            f"{kind.__name__} is not transformers' own {known.__name__}, and its code would not "
            f"run: accelerate a model made of {known.__name__}"
        )
    if "forward" in vars(part):
        raise ConfigError(
            f"a {known.__name__} of this model has a forward method of its own, which would not "
            "run: take it off"
        )


def _check_activation(live: Any, name: str) -> None:
    if type(live) is not type(ACT2FN[name]):
        raise ConfigError(
            f"config.json names the activation {name!r} and a layer has {type(live).__name__}: "
            "name it in model.config.hidden_activation"
        )


def _check_angles(body: Any, layer: Any, config: EncoderConfig) -> None:
    """Compare the frequencies that the live model holds with those of its config."""
    local = is_local(layer)
    kind = "sliding_attention" if local else "full_attention"
    live = (
        layer.attn.rotary_emb.inv_freq
        if IS_VERSION_4
        else getattr(body.rotary_emb, f"{kind}_inv_freq")
    )
    if live.is_meta:
        return
    theta, scaling = config.rope_of(is_global=not local)
    exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    told = frequencies(theta**exponent, theta, scaling).to(live.device)
    # A model that is in half precision, or once was, holds these rounded.
    halves = (torch.bfloat16, torch.float16)
    is_rounded = any(bool((live.to(half).to(live.dtype) == live).all()) for half in halves)
    tolerance = 2e-2 if is_rounded else 1e-4
    if live.shape != told.shape or not torch.allclose(
        live.to(told), told, rtol=tolerance, atol=1e-6
    ):
        raise ConfigError(
            "the rotary frequencies of this model are not those of its config: say them in "
            "model.config, and load the model with it"
        )
