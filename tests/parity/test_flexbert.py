"""A converted checkpoint against FlexBert's formulas, written again from its names and settings.

What a wrong map would change is in here on purpose: which half of Wi is activated, the order of
queries, keys and values, the norm that layer 0 lacks, both thetas, the window, the tied decoder.
"""

import pytest
import torch
from torch.nn import functional as F

from modernbert.batch import pack
from modernbert.infer.source import settle
from modernbert.infer.told import Told
from modernbert.model import composer
from tests import flexbert
from tests.corpora import tokenizer
from tests.flexbert import model_of, saved, settings_of
from tests.nets import documents_of
from tests.parity.tolerance import assert_all_as_accurate

ACTIVATIONS = {"gelu": F.gelu, "silu": F.silu}


def normed(x, weights, name, settings):
    eps = settings["norm_kwargs"]["eps"]
    bias = weights.get(f"{name}.bias")
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], bias, eps)


def turned(x, theta):
    """Turn pairs (i, i + half) of x [T H K]; angles are float32, as in its rotary kernel."""
    half = x.shape[-1] // 2
    frequency = theta ** -(torch.arange(half, dtype=torch.float32) / half)
    angle = torch.arange(len(x), dtype=torch.float32)[:, None] * frequency
    cos, sin = angle.cos()[:, None].to(x.dtype), angle.sin()[:, None].to(x.dtype)
    one, other = x[..., :half], x[..., half:]
    return torch.cat((one * cos - other * sin, other * cos + one * sin), dim=-1)


def attended(x, weights, name, layer, settings):
    heads, every = settings["num_attention_heads"], settings["global_attn_every_n_layers"]
    is_local = layer % every != 0
    theta = settings["local_attn_rotary_emb_base" if is_local else "rotary_emb_base"]
    qkv = F.linear(x, weights[f"{name}.Wqkv.weight"], weights.get(f"{name}.Wqkv.bias"))
    q, k, v = qkv.view(len(x), 3, heads, -1).unbind(1)
    q, k = turned(q, theta), turned(k, theta)
    scores = torch.einsum("ihk,jhk->hij", q, k) / q.shape[-1] ** 0.5
    if is_local:
        place = torch.arange(len(x))
        far = (place[:, None] - place).abs() > settings["sliding_window"] // 2
        scores = scores.masked_fill(far, float("-inf"))
    mixed = torch.einsum("hij,jhk->ihk", scores.softmax(-1), v).flatten(1)
    return F.linear(mixed, weights[f"{name}.Wo.weight"], weights.get(f"{name}.Wo.bias"))


def gated(x, weights, name, settings):
    wide = F.linear(x, weights[f"{name}.Wi.weight"], weights.get(f"{name}.Wi.bias"))
    value, gate = wide.chunk(2, dim=-1)
    inner = ACTIVATIONS[settings["hidden_act"]](value) * gate
    return F.linear(inner, weights[f"{name}.Wo.weight"], weights.get(f"{name}.Wo.bias"))


def logits(weights, settings, ids):
    x = weights["bert.embeddings.tok_embeddings.weight"][ids]
    x = normed(x, weights, "bert.embeddings.norm", settings)
    for layer in range(settings["num_hidden_layers"]):
        name = f"bert.encoder.layers.{layer}"
        inner = x if layer == 0 else normed(x, weights, f"{name}.attn_norm", settings)
        x = x + attended(inner, weights, f"{name}.attn", layer, settings)
        inner = normed(x, weights, f"{name}.mlp_norm", settings)
        x = x + gated(inner, weights, f"{name}.mlp", settings)
    x = normed(x, weights, "bert.final_norm", settings)
    x = F.linear(x, weights["head.dense.weight"], weights.get("head.dense.bias"))
    x = normed(ACTIVATIONS[settings["head_pred_act"]](x), weights, "head.norm", settings)
    return F.linear(x, weights["decoder.weight"], weights.get("decoder.bias"))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"global_rope_theta": 10_000.0, "norm_bias": True, "attention_bias": True},
        {"mlp_bias": True, "head_bias": True, "decoder_bias": False, "activation": "silu"},
        {"tie_embeddings": False, "global_every": 2, "local_window": 4},
    ],
)
def test_a_converted_checkpoint_says_what_flexbert_says(tmp_path, fields):
    model = model_of(**fields)
    settings = settings_of(model.config) | {"tie_word_embeddings": model.config.tie_embeddings}
    path = saved(flexbert.composer(model, settings, tokenizer()), tmp_path / "ep0.pt")
    found = composer.read(path)
    config, head, _ = settle(found, Told())
    ours = composer.build(found, config, head).eval()
    weights = {
        name.removeprefix("model."): tensor for name, tensor in flexbert.tensors_of(model).items()
    }
    exact = {name: tensor.double() for name, tensor in weights.items()}
    given = [torch.tensor(ids) for ids in documents_of([1, 9, 60], vocab=config.vocab_size)]
    with torch.no_grad():
        truth, naive = (
            {str(len(ids)): logits(each, settings, ids) for ids in given}
            for each in (exact, weights)
        )
        found = {str(len(ids)): ours(pack([ids.tolist()])) for ids in given}
    assert_all_as_accurate(found, naive, truth)
