"""Queries filled up with tokens that read the query and are not read: their vectors out."""

from torch import Tensor

from modernbert.base.shapes import Bool, Float
from modernbert.batch import Layout, PackedBatch
from modernbert.kernels.attention.padded import attend_to
from modernbert.kernels.rope import Rope
from modernbert.model.attention import Attention
from modernbert.model.encoder import Encoder, Layer


def encode_to(
    encoder: Encoder, batch: PackedBatch, readable: Bool[Tensor, "T"]
) -> Float[Tensor, "T D"]:
    """Encode every token from the readable tokens of its document, in the encoder's eval mode.

    ColBERT's query expansion (arXiv 2004.12832, section 3.2) as PyLate and sentence-transformers
    compute it: what fills up is masked as padding is, and its vectors are used nevertheless. It
    does not even see itself.
    """
    x, ropes = encoder.embedded(batch)
    for index, layer in enumerate(encoder.layers):
        assert isinstance(layer, Layer)
        rope = ropes[encoder.config.rope_at(index)]
        x = x + _mixed(layer.attn, layer.attn_norm(x), rope, batch.layout, readable)
        x = x + layer.mlp(layer.mlp_norm(x))
    out: Tensor = encoder.final_norm(x)
    return out


def _mixed(attention: Attention, x: Tensor, rope: Rope, layout: Layout, readable: Tensor) -> Tensor:
    q, k, v = attention.project(x, rope)
    out: Tensor = attention.Wo(attend_to(readable, q, k, v, layout, attention.window).flatten(1))
    return out
