"""A model in, the same as an exporter takes it out: a padded grid in, what its head says out.

Inside, the tokens of a grid are packed as everywhere else: padding costs no matrix product, and a
local layer compares blocks with their neighbours instead of all places with all.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modernbert.base.shapes import Float, Int, Shaped
from modernbert.kernels.geglu import ACTIVATIONS
from modernbert.kernels.rope import Rope
from modernbert.model.attention import Attention
from modernbert.model.encoder import Encoder, Layer
from modernbert.model.heads import ClassifierHead, MaskedLMHead
from modernbert.model.mlp import MLP
from modernbert.model.model import Model

_HIDDEN = -1e9
"""Added to scores of what is not seen; a row that sees nothing stays finite, and is not read."""

_SMALLEST = 1e-12


class Grid:
    """Where the tokens of a padded grid are, packed and in blocks."""

    def __init__(self, mask: Int[Tensor, "B L"], reach: int) -> None:
        self.real = mask != 0
        num_rows, length = mask.shape
        # Blocks are as long as a local layer reaches, so that a block sees its two neighbours.
        self.num_blocks = (length + reach - 1) // reach
        padded = F.pad(self.real, (0, self.num_blocks * reach - length))
        self.places = self.real.flatten().nonzero()[:, 0]
        """Of each token on the grid, row after row [T]."""
        columns = torch.arange(length).expand(num_rows, length).flatten()
        self.columns = columns.index_select(0, self.places)
        # Where there is no token, the nearest one before stands in; nobody reads what it gives.
        packed = padded.flatten().long().cumsum(0) - 1
        packed = packed.clamp(min=0).unflatten(0, (num_rows, self.num_blocks * reach))
        self.packed = packed[:, :length]
        """The token at each place of the grid [B L]."""
        self.blocks = packed.unflatten(1, (self.num_blocks, reach))
        """The token at each place of each block [B N R]."""
        self.in_blocks = padded.flatten().nonzero()[:, 0]
        """Of each token, its place where rows are whole blocks [T]."""
        self.seen = torch.where(self.real, 0.0, _HIDDEN)[:, None, None]
        """Added to the scores of global layers [B 1 1 L]."""
        near = torch.arange(3 * reach) - reach - torch.arange(reach)[:, None]
        is_seen = _beside(padded.unflatten(1, (self.num_blocks, reach)))[:, :, None, None]
        self.near = torch.where(is_seen & (near.abs() <= reach), 0.0, _HIDDEN)
        """Added to those of local layers [B N 1 R 3R]."""

    def laid(self, x: Float[Tensor, "T ..."]) -> Float[Tensor, "B L ..."]:
        """Lay what tokens have on the grid, zeros elsewhere."""
        found = taken(x, self.packed)
        is_real = self.real.view(*self.real.shape, *[1] * (found.dim() - 2))
        return torch.where(is_real, found, torch.zeros_like(found))


def taken(x: Shaped[Tensor, "T ..."], places: Int[Tensor, "..."]) -> Tensor:
    """Look rows up: `x[places]`, in the one operation that every runtime is fast at."""
    found: Tensor = x.index_select(0, places.flatten()).unflatten(0, places.shape)
    return found


def _beside(blocks: Tensor) -> Tensor:
    """Join each block [B N R ...] with the one before and the one after [B N 3R ...]."""
    edge = torch.zeros_like(blocks[:, :1])
    before = torch.cat([edge, blocks[:, :-1]], 1)
    after = torch.cat([blocks[:, 1:], edge], 1)
    return torch.cat([before, blocks, after], 2)


class Graph(nn.Module):
    """A model from a grid of token ids and a mask to what its head says."""

    def __init__(self, model: Model, *, is_for_int8: bool = False) -> None:
        """Take a model; for 8 bits, what an MLP multiplies last is brought to one size before.

        Runtimes round all tokens of a batch by one scale. There tokens differ by far the most in
        size, and the large ones would leave no steps to the small ones (lab/LOG.md).
        """
        super().__init__()
        self.model = model
        self._narrow = _narrow_evenly if is_for_int8 else _narrow

    def forward(
        self, input_ids: Int[Tensor, "... L"], attention_mask: Int[Tensor, "... L"]
    ) -> tuple[Tensor, ...]:
        """Return encoded tokens or scores: on the grid, or a row a text."""
        shape = input_ids.shape
        input_ids, attention_mask = (each.flatten(0, -2) for each in (input_ids, attention_mask))
        grid = Grid(attention_mask, self.model.config.local_window // 2)
        ids = input_ids.flatten().index_select(0, grid.places)
        x = self._encoded(self.model.encoder, ids, grid)
        head = self.model.head
        if head is None:
            return (grid.laid(x),)
        if isinstance(head, MaskedLMHead):
            return (grid.laid(head.logits(x)),)
        return _scored(head, x, grid, shape)

    def _encoded(self, encoder: Encoder, ids: Int[Tensor, "T"], grid: Grid) -> Float[Tensor, "T D"]:
        config = encoder.config
        x, ropes = encoder.embeddings(ids, grid.columns), encoder.ropes(grid.columns)
        for index, each in enumerate(encoder.layers):
            layer = cast(Layer, each)
            rope = ropes[config.rope_at(index)]
            x = x + _attention(layer.attn, layer.attn_norm(x), rope, grid)
            x = x + self._narrow(layer.mlp, _widened(layer.mlp, layer.mlp_norm(x)))
        out: Tensor = encoder.final_norm(x)
        return out


def _scored(
    head: ClassifierHead, x: Float[Tensor, "T D"], grid: Grid, shape: torch.Size
) -> tuple[Tensor, ...]:
    kind = head.config.kind
    if head.config.reads_documents:
        x = _pooled(x, grid, head.config.pooling)
    scores = head.classifier(head.norm(ACTIVATIONS[head.activation](head.dense(x))))
    if kind == "choice":
        return (scores.view(shape[:-1]),)
    if kind == "spans":
        return tuple(grid.laid(each) for each in scores.unbind(-1))
    return (scores if head.config.reads_documents else grid.laid(scores),)


def _pooled(x: Float[Tensor, "T D"], grid: Grid, pooling: str) -> Float[Tensor, "B D"]:
    lengths = grid.real.sum(1)
    if pooling == "mean":
        return grid.laid(x).sum(1) / lengths[:, None]
    return x.index_select(0, lengths.cumsum(0) - lengths)


def _widened(mlp: MLP, x: Float[Tensor, "T D"]) -> Float[Tensor, "T I"]:
    wide: Tensor = mlp.Wi(x)
    if not mlp.is_gated:
        return ACTIVATIONS[mlp.activation](wide)
    first, second = wide.chunk(2, -1)
    return ACTIVATIONS[mlp.activation](first) * second


def _narrow(mlp: MLP, x: Float[Tensor, "T I"]) -> Float[Tensor, "T D"]:
    out: Tensor = mlp.Wo(x)
    return out


def _narrow_evenly(mlp: MLP, x: Float[Tensor, "T I"]) -> Float[Tensor, "T D"]:
    size = x.abs().amax(-1, keepdim=True).clamp(min=_SMALLEST)
    out: Tensor = F.linear(x / size, mlp.Wo.weight) * size
    return out if mlp.Wo.bias is None else out + mlp.Wo.bias


def _attention(
    attention: Attention, x: Float[Tensor, "T D"], rope: Rope, grid: Grid
) -> Float[Tensor, "T D"]:
    q, k, v = attention.unturned(x).unbind(1)
    q, k = _turned(q, rope) * attention.head_dim**-0.5, _turned(k, rope)
    mix = _global if attention.window is None else _local
    out: Tensor = attention.Wo(mix(q, k, v, grid).flatten(1))
    return out


def _turned(x: Float[Tensor, "T H K"], rope: Rope) -> Float[Tensor, "T H K"]:
    left, right = x.chunk(2, -1)
    turned = left * rope.cos - right * rope.sin, right * rope.cos + left * rope.sin
    return torch.cat(turned, -1)


def _global(q: Tensor, k: Tensor, v: Tensor, grid: Grid) -> Float[Tensor, "T H K"]:
    queries, keys, values = (taken(x, grid.packed).transpose(1, 2) for x in (q, k, v))  # B H L K
    scores = queries @ keys.transpose(2, 3) + grid.seen
    mixed = (scores.softmax(-1) @ values).transpose(1, 2)  # B L H K
    return mixed.flatten(0, 1).index_select(0, grid.places)


def _local(q: Tensor, k: Tensor, v: Tensor, grid: Grid) -> Float[Tensor, "T H K"]:
    queries = taken(q, grid.blocks).transpose(2, 3)  # B N H R K
    reached = _beside(grid.blocks)
    keys, values = (taken(x, reached).transpose(2, 3) for x in (k, v))  # B N H 3R K
    scores = queries @ keys.transpose(3, 4) + grid.near
    mixed = (scores.softmax(-1) @ values).transpose(2, 3)  # B N R H K
    return mixed.flatten(0, 2).index_select(0, grid.in_blocks)
