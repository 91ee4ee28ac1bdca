"""Transformers' ModernBERT layers on a flat axis: the same weights and names, other kernels."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers.models.modernbert.modeling_modernbert import (
    ModernBertAttention as _TheirAttention,
)
from transformers.models.modernbert.modeling_modernbert import (
    ModernBertEmbeddings as _TheirEmbeddings,
)
from transformers.models.modernbert.modeling_modernbert import (
    ModernBertEncoderLayer as _TheirLayer,
)
from transformers.models.modernbert.modeling_modernbert import ModernBertMLP as _TheirMLP

from modernbert.base import device
from modernbert.bridge.grid import Grid
from modernbert.kernels.geglu import gated
from modernbert.kernels.rope import Rope, rotate, rotate_
from modernbert.kernels.tiles import by_tiles
from modernbert.model.projection import Projection
from modernbert.model.widened import widely


@dataclass(frozen=True, slots=True)
class Setting:
    """What a layer is told beside its input."""

    rope: Rope
    grid: Grid
    window: int | None
    activation: str


class ModernBertEmbeddings(_TheirEmbeddings):
    """Transformers' embeddings, never compiled on the way."""

    def forward(
        self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None
    ) -> Tensor:
        """Look ids up, unless that was done; then norm and dropout."""
        found = self.tok_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        out: Tensor = self.drop(self.norm(found))
        return out


class ModernBertAttention(_TheirAttention):
    """Transformers' attention, over documents end to end."""

    def forward(  # type: ignore[override]
        self, x: Tensor, setting: Setting
    ) -> tuple[Tensor, None]:
        """Mix each token with the tokens it may see; like theirs, keep a place for maps."""
        out: Tensor = self.out_drop(self.Wo(self._mixed(x, setting)))
        return out, None

    def _mixed(self, x: Tensor, setting: Setting) -> Tensor:
        # Apart, so that queries, keys and values are gone before the output is made.
        projection: Any = self.Wqkv
        # What a hook has seen, and may have kept, is not to change under its eyes.
        is_seen = any(module._forward_hooks for module in projection.modules())
        turn = rotate if is_seen else rotate_
        qkv = projection(x).unflatten(-1, (3, -1, self.head_dim))
        return setting.grid.attend(*turn(qkv, setting.rope), setting.window).flatten(1)


class ModernBertMLP(_TheirMLP):
    """Transformers' gated MLP, which keeps less for the backward pass."""

    def forward(self, x: Tensor, activation: str) -> Tensor:  # type: ignore[override]
        """Widen, gate, narrow."""
        return by_tiles(partial(self._mixed, activation), x)

    def _mixed(self, activation: str, x: Tensor) -> Tensor:
        out: Tensor = self.Wo(self.drop(gated(self.Wi(x), activation)))
        return out


class ModernBertEncoderLayer(_TheirLayer):  # type: ignore[no-untyped-call]
    """Transformers' layer on a flat axis; being called as theirs is, it keeps their checkpointing.

    Training frameworks find layers by this name.
    """

    def forward(self, x: Tensor, setting: Setting) -> Tensor:  # type: ignore[override]
        """Refine every token's vector."""
        kept = x.dtype
        mixed, _ = widely(self.attn, self.attn_norm(x), setting)
        x = (x + mixed).to(kept)
        out: Tensor = (x + widely(self.mlp, self.mlp_norm(x), setting.activation)).to(kept)
        return out


PAIRS = (
    (_TheirLayer, ModernBertEncoderLayer),
    (_TheirEmbeddings, ModernBertEmbeddings),
    (_TheirAttention, ModernBertAttention),
    (_TheirMLP, ModernBertMLP),
    *(((nn.Linear, Projection),) if device.MKL_IS_NARROW else ()),
)
"""Their classes and ours; torch's own layer only where its products are slow."""
