"""What happens inside: an encoder and a packed batch in, every layer's tokens or attention out."""

from collections.abc import Iterator

from torch import Tensor

from modernbert.base.shapes import Float
from modernbert.batch import Layout, PackedBatch
from modernbert.kernels.attention.oracle import shares
from modernbert.kernels.rope import Rope
from modernbert.model.attention import Attention
from modernbert.model.encoder import Encoder, Layer


def hidden_states(encoder: Encoder, batch: PackedBatch) -> list[Float[Tensor, "T D"]]:
    """Return the tokens before the first layer and after each; the last are normed.

    That is the order of transformers 5; transformers 4 gives the last before its norm.
    """
    *before, last = _walk(encoder, batch)
    layer, rope, x = last
    after = layer(x, rope, batch.layout, encoder.backend)
    return [*(x for _, _, x in before), x, encoder.final_norm(after)]


def attention_maps(encoder: Encoder, batch: PackedBatch) -> Iterator[list[Float[Tensor, "H L L"]]]:
    """Yield for each layer one map a document: how each token divides its attention.

    Computed by the formula whatever the backend, a layer at a time, so that memory holds one
    layer's maps unless the caller keeps them.
    """
    for layer, rope, x in _walk(encoder, batch):
        yield _maps(layer.attn, layer.attn_norm(x), rope, batch.layout)


def _walk(encoder: Encoder, batch: PackedBatch) -> Iterator[tuple[Layer, Rope, Tensor]]:
    """Yield each layer with its angles and the tokens that enter it."""
    x, ropes = encoder.embedded(batch)
    for index, layer in enumerate(encoder.layers):
        assert isinstance(layer, Layer)
        rope = ropes[encoder.config.rope_at(index)]
        yield layer, rope, x
        x = layer(x, rope, batch.layout, encoder.backend)


def _maps(attention: Attention, x: Tensor, rope: Rope, layout: Layout) -> list[Tensor]:
    q, k, _ = attention.project(x, rope)
    lengths = layout.lengths()
    pairs = zip(q.split(lengths), k.split(lengths), lengths, strict=True)
    return [
        shares(queries, keys, Layout.of([length]).to(x.device), attention.window)
        for queries, keys, length in pairs
    ]
