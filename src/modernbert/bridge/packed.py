"""A padded batch into transformers' ModernBERT, run without its padding, a padded batch out."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import ModernBertModel as _TheirModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.modernbert.modeling_modernbert import (
    ModernBertEncoderLayer as _TheirLayer,
)

from modernbert.base.errors import ConfigError
from modernbert.batch import Layout
from modernbert.kernels.attention import attend
from modernbert.kernels.geglu import gated
from modernbert.kernels.rope import Rope, make_rope, rotate_
from modernbert.model.config import EncoderConfig
from modernbert.model.hf_config import from_hf

# Arguments that change nothing here: how to answer, or what other backends need.
_HARMLESS = frozenset({"return_dict", "use_cache", "token_type_ids", "num_items_in_batch"})


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the tokens of a padded batch are."""

    shape: tuple[int, int]
    kept: Int[Tensor, "T"]
    """Places of the tokens on the flattened grid."""
    layout: Layout
    place: Int[Tensor, "T"]
    """Position of each token in its row, padding on the left included."""

    @classmethod
    def of(cls, mask: Bool[Tensor, "B L"]) -> "_Grid":
        kept = mask.flatten().nonzero()[:, 0]
        lengths = [length for length in mask.sum(1).tolist() if length]
        width = mask.shape[1]
        return cls((len(mask), width), kept, Layout.of(lengths).to(mask.device), kept % width)

    def flat(self, grid: Tensor) -> Tensor:
        """Take the tokens out of a grid."""
        return grid.flatten(0, 1).index_select(0, self.kept)

    def padded(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "B L D"]:
        """Lay the tokens out as they came, zeros where there was padding."""
        rows, width = self.shape
        grid = x.new_zeros(rows * width, x.shape[1]).index_copy(0, self.kept, x)
        return grid.view(rows, width, -1)


class ModernBertEncoderLayer(_TheirLayer):  # type: ignore[no-untyped-call]
    """Transformers' layer on a flat axis; being called as theirs is, it keeps their checkpointing.

    Training frameworks find layers by this name.
    """

    def forward(  # type: ignore[override]
        self, x: Tensor, rope: Rope, layout: Layout, window: int | None, activation: str
    ) -> Tensor:
        """Refine every token's vector."""
        attention: Any = self.attn
        mlp: Any = self.mlp
        qkv = attention.Wqkv(self.attn_norm(x))
        q, k, v = rotate_(qkv.unflatten(-1, (3, -1, attention.head_dim)), rope)
        mixed = attend(q, k, v, layout, window)
        x = x + attention.out_drop(attention.Wo(mixed.flatten(1)))
        out: Tensor = x + mlp.Wo(mlp.drop(gated(mlp.Wi(self.mlp_norm(x)), activation)))
        return out


class ModernBertModel(_TheirModel):  # type: ignore[no-untyped-call]
    """Transformers' encoder with another forward pass; weights, hooks and saving are theirs.

    The name is theirs too: it is written into the config.json that they save.
    """

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **more: Any,
    ) -> BaseModelOutput:
        """Encode the tokens that the mask marks as real; padded positions are zero.

        Raises:
            ConfigError: what is asked for cannot be done exactly.
        """
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None or (input_ids is not None and inputs_embeds is not None):
            raise ConfigError("give exactly one of input_ids and inputs_embeds")
        wants_all = more.pop("output_hidden_states", None)
        wants_all = self.config.output_hidden_states if wants_all is None else wants_all
        _refuse(self, more)
        grid = _Grid.of(_mask_of(attention_mask, given))
        _check_positions(position_ids, grid)
        found = _encoded(self, grid, grid.flat(given), is_embedded=input_ids is None)
        return BaseModelOutput(
            last_hidden_state=grid.padded(found[-1]),
            hidden_states=tuple(map(grid.padded, found)) if wants_all else None,
        )


def _encoded(body: Any, grid: _Grid, flat: Tensor, *, is_embedded: bool) -> list[Tensor]:
    """Return the tokens before the first layer and after each, the last ones normed."""
    config = shape_of(body)
    x = body.embeddings(inputs_embeds=flat) if is_embedded else body.embeddings(flat)
    kinds = {config.rope_at(index) for index in range(config.num_layers)}
    ropes = {kind: make_rope(grid.place, config.head_dim, *kind) for kind in kinds}
    found = [x]
    for index, layer in enumerate(body.layers):
        rope, window = ropes[config.rope_at(index)], config.window_at(index)
        x = layer(x, rope, grid.layout, window, config.activation)
        found.append(x)
    return [*found[:-1], body.final_norm(x)]


def shape_of(body: Any) -> EncoderConfig:
    """Read the shape of a live model of transformers.

    Raises:
        CheckpointError: it is of a kind that this package does not compute.
    """
    return from_hf(body.config.to_dict())


def _mask_of(mask: Tensor | None, given: Tensor) -> Bool[Tensor, "B L"]:
    if mask is None:
        return torch.ones(given.shape[:2], dtype=torch.bool, device=given.device)
    if not isinstance(mask, Tensor) or mask.dim() != 2:
        raise ConfigError(
            "an accelerated model takes masks of rows and positions, with 1 for tokens: "
            "use modernbert.restore(model) for other masks"
        )
    return mask.bool()


def _check_positions(position_ids: Tensor | None, grid: _Grid) -> None:
    """Accept only the positions that the model counts by itself, up to a shift of a row."""
    if position_ids is None:
        return
    given = grid.flat(position_ids.expand(grid.shape))
    starts = grid.layout.cu_seqlens[:-1].long()
    lengths = grid.layout.cu_seqlens.diff()
    shift = (given - grid.place).index_select(0, starts).repeat_interleave(lengths)
    if not torch.equal(given - grid.place, shift):
        raise ConfigError(
            "an accelerated model counts positions by itself: leave position_ids out, "
            "or use modernbert.restore(model)"
        )


def _refuse(body: ModernBertModel, more: dict[str, Any]) -> None:
    asked = [name for name, value in more.items() if value is not None and value is not False]
    unknown = sorted(set(asked) - _HARMLESS)
    if body.config.output_attentions and "output_attentions" not in more:
        unknown.append("output_attentions")
    if unknown:
        raise ConfigError(
            f"an accelerated model has no {unknown[0]}: "
            "leave it out, or use modernbert.restore(model)"
        )
    if body.training and body.config.attention_dropout > 0:
        raise ConfigError(
            f"attention_dropout is {body.config.attention_dropout}, and an accelerated model has "
            "none inside attention: set it to 0 to train, or use modernbert.restore(model)"
        )


PAIRS = ((_TheirModel, ModernBertModel), (_TheirLayer, ModernBertEncoderLayer))
"""Their classes and ours."""
