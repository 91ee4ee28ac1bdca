"""A padded batch into transformers' ModernBERT, run without its padding, a padded batch out."""

import inspect
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from transformers import ModernBertModel as _TheirModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils.generic import can_return_tuple

from modernbert.base.errors import ConfigError
from modernbert.base.shapes import Bool
from modernbert.bridge.grid import Grid
from modernbert.bridge.layers import Setting
from modernbert.kernels.rope import make_rope
from modernbert.model.config import EncoderConfig
from modernbert.model.hf_config import from_hf

IS_VERSION_4 = "sliding_window_mask" in inspect.signature(_TheirModel.forward).parameters
"""Whether the installed transformers computes ModernBERT as 4.48 to 5.0 did."""

# Arguments that change nothing here: how to answer, what other backends need, or the shape again.
_HARMLESS = frozenset(
    {"use_cache", "token_type_ids", "num_items_in_batch", "batch_size", "seq_len"}
)
# What version 5 reads first and version 4 carries along without looking at it.
_ONLY_VERSION_5 = ("layer_types", "rope_parameters")

PADDING_COUNTS: ContextVar[bool | None] = ContextVar("padding_counts", default=None)
"""Whether what stands at masked positions is read, as some losses do; None where nobody said."""


class ModernBertModel(_TheirModel):  # type: ignore[no-untyped-call]
    """Transformers' encoder with another forward pass; weights, hooks and saving are theirs.

    The name is theirs too: it is written into the config.json that they save.
    """

    # Second tokens of rows whose masked positions nobody reads, whatever id fills them.
    padding_marks: frozenset[int] = frozenset()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **more: Any,
    ) -> BaseModelOutput:
        """Encode the tokens that the mask marks as real; padded positions are zero.

        Positions that the mask hides and that hold another token than padding, such as those
        that expand a ColBERT query, read the real tokens and are read by none.

        Raises:
            ConfigError: what is asked for cannot be done exactly.
        """
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None or (input_ids is not None and inputs_embeds is not None):
            raise ConfigError("give exactly one of input_ids and inputs_embeds")
        if given.dim() < 2 or not all(given.shape[:2]):
            raise ConfigError(
                f"the batch has shape {tuple(given.shape)}: give rows and positions, one or more"
            )
        if given.is_meta:
            raise ConfigError(
                "the batch is on torch's meta device, without values: an accelerated model reads "
                "its mask, so use modernbert.restore(model)"
            )
        wants_all = more.pop("output_hidden_states", None)
        wants_all = self.config.output_hidden_states if wants_all is None else wants_all
        _refuse(self, more)
        config, mask = shape_of(self), _mask_of(attention_mask, given)
        grid = Grid.packed(mask)
        _check_positions(position_ids, grid)
        windows: set[int | None] = {None, config.local_window}
        if _is_wanted(self, input_ids, mask):
            is_plain = self.config._attn_implementation == "eager"
            grid = Grid.whole(mask, windows, _fill(self), is_plain=is_plain)
        elif _has_holes(mask):
            grid = Grid.holed(mask, windows)
        states, last = _encoded(self, config, grid, grid.flat(given))
        if wants_all and not IS_VERSION_4:
            states = [*states[:-1], last]
        return BaseModelOutput(
            last_hidden_state=grid.padded(last),
            hidden_states=tuple(map(grid.padded, states)) if wants_all else None,
        )


def _encoded(
    body: Any, config: EncoderConfig, grid: Grid, flat: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Return the tokens before the first layer and after each, and the normed last ones."""
    is_embedded = flat.dim() > 1
    x = body.embeddings(inputs_embeds=flat) if is_embedded else body.embeddings(flat)
    settings = {True: _setting(config, grid, is_local=True)}
    settings[False] = _setting(config, grid, is_local=False)
    states = [x]
    for layer in body.layers:
        x = layer(x, settings[is_local(layer)])
        states.append(x)
    return states, body.final_norm(x)


def _setting(config: EncoderConfig, grid: Grid, *, is_local: bool) -> Setting:
    window = config.local_window if is_local else None
    theta, scaling = config.rope_of(is_global=not is_local)
    rope = make_rope(grid.place, config.head_dim, theta, scaling)
    return Setting(rope, grid, window, config.activation)


def is_local(layer: Any) -> bool:
    """Return what a live layer says of itself: it may have moved since the config was written."""
    if IS_VERSION_4:
        return bool(layer.attn.local_attention != (-1, -1))
    return bool(layer.attention_type == "sliding_attention")


def shape_of(body: Any) -> EncoderConfig:
    """Read the shape of a live model of transformers, as the installed version understands it.

    Raises:
        CheckpointError: it is of a kind that this package does not compute.
    """
    keys = vars(body.config) | {"model_type": body.config.model_type}
    if IS_VERSION_4:
        keys = {name: value for name, value in keys.items() if name not in _ONLY_VERSION_5}
    return from_hf(keys)


def _mask_of(mask: Tensor | None, given: Tensor) -> Bool[Tensor, "B L"]:
    if mask is None:
        return torch.ones(given.shape[:2], dtype=torch.bool, device=given.device)
    if not isinstance(mask, Tensor) or mask.dim() != 2:
        raise ConfigError(
            "an accelerated model takes masks of rows and positions, with 1 for tokens: "
            "use modernbert.restore(model) for other masks"
        )
    if mask.shape != given.shape[:2]:
        raise ConfigError(
            f"the mask has shape {tuple(mask.shape)} and the batch {tuple(given.shape[:2])}: "
            "give one number for each position"
        )
    return mask.bool()


def _has_holes(mask: Bool[Tensor, "B L"]) -> bool:
    """Return whether a row is in several pieces: order is then not distance."""
    begins = mask[:, 1:] & ~mask[:, :-1]
    return bool((begins.sum(1) + mask[:, 0] > 1).any())


def _is_wanted(body: ModernBertModel, ids: Tensor | None, mask: Bool[Tensor, "B L"]) -> bool:
    """Return whether masked positions are to be encoded too."""
    told = PADDING_COUNTS.get()
    return (ids is not None and _expands(body, ids, mask)) if told is None else told


def _expands(body: ModernBertModel, ids: Tensor, mask: Bool[Tensor, "B L"]) -> bool:
    """Return whether masked positions hold words: what they give may be wanted."""
    padding = body.config.pad_token_id
    if padding is None or not bool((~mask & (ids != padding)).any()):
        return False
    return ids.shape[1] < 2 or int(ids[0, 1]) not in body.padding_marks


def _fill(body: ModernBertModel) -> float | None:
    """Return what theirs adds to scores that may not count; None where it masks them."""
    if IS_VERSION_4 or body.config._attn_implementation == "eager":
        return float(torch.finfo(body.dtype).min)
    return None


def _check_positions(position_ids: Tensor | None, grid: Grid) -> None:
    """Accept only the positions that the model counts by itself, up to a shift of a row."""
    if position_ids is None:
        return
    if position_ids.dim() > 2 or any(
        size not in (1, wanted)
        for size, wanted in zip(position_ids.shape[::-1], grid.shape[::-1], strict=False)
    ):
        raise ConfigError(
            f"position_ids have shape {tuple(position_ids.shape)} and the batch "
            f"{tuple(grid.shape)}: leave them out"
        )
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
    # Version 4 passes the config's default along as None.
    if body.config.output_attentions and more.get("output_attentions") is None:
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


PAIRS = ((_TheirModel, ModernBertModel),)
"""Their class and ours."""
