"""What the reference repository leaves behind: its names, its settings, its Composer files."""

import datetime
import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from modernbert.data.tokenizer import Tokenizer
from modernbert.model import folder
from modernbert.model.config import MASKED_LM, EncoderConfig, HeadConfig
from modernbert.model.model import Model
from tests.corpora import tokenizer
from tests.nets import lively


def model_of(head: HeadConfig | None = MASKED_LM, **fields) -> Model:
    """A small model whose vocabulary is the test tokenizer's."""
    tokens = tokenizer()
    shape: dict[str, Any] = {
        "vocab_size": tokens.vocab_size,
        "max_length": 64,
        "local_window": 8,
        "dim": 32,
        "mlp_dim": 48,
        "num_heads": 2,
        "num_layers": 4,
        "global_every": 3,
        "pad_id": tokens.pad_id,
        "cls_id": tokens.cls_id,
        "sep_id": tokens.sep_id,
    }
    return lively(EncoderConfig(**(shape | fields)), head=head).eval()


def tensors_of(model: Model, prefix: str = "model.") -> dict[str, torch.Tensor]:
    """Name a model's tensors as FlexBert does; the tied decoder is there twice."""
    found = {}
    for name, tensor in model.state_dict().items():
        plain = folder.hf_name(name)
        if (below := plain.removeprefix("model.")) != plain:
            plain = f"bert.{'encoder.' * below.startswith('layers.')}{below}"
        found[prefix + plain] = tensor
    return found


def settings_of(config: EncoderConfig) -> dict[str, Any]:
    """Say a shape in FlexBert's keys, as its checkpoints do."""
    return {
        "model_type": "bert",
        "vocab_size": 30_522,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "hidden_size": config.dim,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "attention_layer": "rope",
        "bert_layer": "prenorm",
        "embedding_layer": "sans_pos",
        "mlp_layer": "glu",
        "normalization": "layernorm",
        "norm_kwargs": {"eps": config.norm_eps, "bias": config.norm_bias},
        "embed_norm": True,
        "final_norm": True,
        "skip_first_prenorm": True,
        "head_pred_norm": True,
        "head_pred_bias": config.head_bias,
        "decoder_bias": config.decoder_bias,
        "hidden_act": config.activation,
        "head_pred_act": config.activation,
        "attn_qkv_bias": config.attention_bias,
        "attn_out_bias": config.attention_bias,
        "mlp_in_bias": config.mlp_bias,
        "mlp_out_bias": config.mlp_bias,
        "padding": "unpadded",
        "pad_logits": True,
        "rotary_emb_dim": config.head_dim,
        "rotary_emb_base": config.global_rope_theta,
        "rotary_emb_scale_base": None,
        "rotary_emb_interleaved": False,
        "local_attn_rotary_emb_base": config.local_rope_theta,
        "sliding_window": config.local_window,
        "global_attn_every_n_layers": config.global_every,
    }


def composer(
    model: Model, settings: dict[str, Any] | None = None, tokens: Tokenizer | None = None
) -> dict[str, Any]:
    """Nest a model as Composer 0.24 does, with the clocks and random states beside it."""
    weights = tensors_of(model)
    told = {"config": {"file_extension": ".json", "content": settings, "class": "FlexBert"}}
    inside = {"model": told if settings else {}, "tokenizer": _files(tokens) if tokens else {}}
    moments = {name: {"exp_avg": torch.zeros_like(x)} for name, x in weights.items()}
    random_state = {
        "python": random.Random(1).getstate(),
        "numpy": np.random.RandomState(1).get_state(),
        "torch": torch.Generator().get_state(),
    }
    state = {
        "model": weights,
        "optimizers": {"DecoupledStableAdamW": {"state": moments}},
        "timestamp": {"Timestamp": {"batch": 3, "total_wct": datetime.timedelta(seconds=2.5)}},
        "integrations": {"huggingface": inside},
        "metadata": {"torch_version": torch.__version__, "precision": "amp_bf16"},
    }
    return {"state": state, "rng": [random_state]}


def _files(tokens: Tokenizer) -> dict[str, Any]:
    with TemporaryDirectory() as place:
        tokens.save(Path(place), max_length=64)
        return {
            path.stem: {"file_extension": ".json", "content": json.loads(path.read_text())}
            for path in Path(place).glob("*.json")
        }


def saved(content: object, path: Path, **how) -> Path:
    torch.save(content, path, **how)
    return path
