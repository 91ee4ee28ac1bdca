"""A trained model and a larger shape in, a model of that shape tiled from it out.

As ModernBERT-large began (paper, section 2.2.3): the smaller matrix lies in the middle of the
larger one and repeats around it, as in Phi; layers repeat as in Gopher (arXiv 2112.11446).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from modernbert.base import rng
from modernbert.base.errors import ConfigError
from modernbert.base.shapes import Bool, Float, Int
from modernbert.model.config import EncoderConfig
from modernbert.model.heads import MaskedLMHead
from modernbert.model.init import empty
from modernbert.model.model import Model

DepthMap = Literal["kinds", "paper"]
Width = Literal["shared", "paper"]
_Axis = Literal["residual", "heads", "qkv", "mlp", "gated", "kept"]

# What the rows and the columns of a parameter are; the first ending that fits counts.
_AXES: tuple[tuple[str, _Axis, _Axis], ...] = (
    ("tok_embeddings.weight", "kept", "residual"),
    ("position_embeddings.weight", "kept", "residual"),
    ("attn.Wqkv.weight", "qkv", "residual"),
    ("attn.Wqkv.bias", "qkv", "kept"),
    ("attn.qk_norm.q.weight", "kept", "kept"),
    ("attn.qk_norm.k.weight", "kept", "kept"),
    ("attn.Wo.weight", "residual", "heads"),
    ("mlp.Wi.weight", "gated", "residual"),
    ("mlp.Wi.bias", "gated", "kept"),
    ("mlp.Wo.weight", "residual", "mlp"),
    ("decoder.weight", "kept", "residual"),
    ("decoder.bias", "kept", "kept"),
    ("classifier.weight", "kept", "residual"),
    ("classifier.bias", "kept", "kept"),
    ("", "residual", "residual"),
)
_SIZES = ("dim", "mlp_dim", "num_layers", "num_heads")


def larger(config: EncoderConfig, sizes: EncoderConfig) -> EncoderConfig:
    """Return a shape with the sizes of `sizes` and all else of `config`.

    A pattern of layers that no period describes is stretched as the layers are.

    Raises:
        ConfigError: a size would shrink, or a head change its width.
    """
    for name in _SIZES:
        old, new = getattr(config, name), getattr(sizes, name)
        if new < old:
            raise ConfigError(f"{name} {new} is less than the model's {old}: models only grow")
    if sizes.head_dim != config.head_dim:
        raise ConfigError(
            f"dim {sizes.dim} with {sizes.num_heads} heads makes heads {sizes.head_dim} wide, and "
            f"the model's are {config.head_dim} wide: choose num_heads so that they stay"
        )
    kinds = config.layer_kinds and tuple(
        config.layer_kinds[layer] for layer in stretched(config.num_layers, sizes.num_layers)
    )
    return replace(
        config,
        dim=sizes.dim,
        mlp_dim=sizes.mlp_dim,
        num_layers=sizes.num_layers,
        num_heads=sizes.num_heads,
        layer_kinds=kinds,
    )


@torch.no_grad()
def grow(
    model: Model,
    config: EncoderConfig,
    sources: Sequence[int],
    *,
    width: Width = "shared",
    noise: float = 0.1,
) -> Model:
    """Tile a model of shape `config` whose layer i comes from layer `sources[i]`.

    Q, K, V and the two halves of the gated MLP are tiled apart, heads are moved whole. With "paper"
    copies keep their size, so sums over them grow and the model starts far from what it knew. With
    "shared" all copies of an input share its weight: a doubled width computes the same function.

    Copies that are equal get equal gradients and stay equal for ever, unless dropout tells them
    apart as in the paper's training; hence `noise` on all but one of them, in standard deviations
    of the matrix. Equal sizes give an equal model. Deterministic; on the CPU.
    """
    grown = empty(config, model.head_config).to(next(model.parameters()).dtype)
    grown.tie()
    old = model.state_dict()
    is_tied = isinstance(model.head, MaskedLMHead) and config.tie_embeddings
    for name, weight in grown.named_parameters():
        source = old[_source(name, sources)].cpu()
        _, *axes = next(each for each in _AXES if name.endswith(each[0]))
        places = [
            _places(axis, size, model.config, config)
            for axis, size in zip(axes[: source.dim()], source.shape, strict=True)
        ]
        made = tiled(source, *places).float()
        if width == "shared" and _is_summed(name, is_tied=is_tied):
            made /= copies(places[-1])
        if noise and source.dim() == 2:
            made += noise * made.std() * _drawn(name, *places)
        weight.copy_(made)
    grown.kept = model.kept
    return grown.train(model.training)


def depth_map(old: EncoderConfig, new: EncoderConfig, rule: DepthMap) -> tuple[int, ...]:
    """Return for each layer of `new` the layer of `old` that it starts from.

    "paper" stretches all layers evenly, as the reference code does; a global layer can become a
    local one. "kinds" stretches global layers among global ones and local among local ones; a kind
    that `old` lacks comes from where the paper takes it.
    """
    chosen = list(stretched(old.num_layers, new.num_layers))
    if rule == "paper":
        return tuple(chosen)
    for is_global in (True, False):
        there = [layer for layer in range(old.num_layers) if old.is_global(layer) is is_global]
        wanted = [layer for layer in range(new.num_layers) if new.is_global(layer) is is_global]
        if there:
            found = stretched(len(there), len(wanted))
            for layer, place in zip(wanted, found, strict=True):
                chosen[layer] = there[place]
    return tuple(chosen)


def kept_kinds(old: EncoderConfig, new: EncoderConfig, sources: Sequence[int]) -> int:
    """Return how many layers start from one of their own kind, global or local."""
    return sum(old.is_global(from_) is new.is_global(to) for to, from_ in enumerate(sources))


def stretched(old: int, new: int) -> tuple[int, ...]:
    """Spread `old` layers over `new` places; ties go to the even layer, as Python rounds."""
    return tuple(min(round(place * old / new), old - 1) for place in range(new))


def centred(old: int, new: int) -> Int[Tensor, "new"]:
    """Return where each of `new` places finds its value: `old` ones in the middle, then again."""
    return (torch.arange(new) - (new - old) // 2) % old


def tiled(x: Float[Tensor, "..."], *places: Int[Tensor, "_"]) -> Float[Tensor, "..."]:
    """Take along each axis what its places name."""
    for axis, place in enumerate(places):
        x = x.index_select(axis, place)
    return x


def copies(place: Int[Tensor, "N"]) -> Int[Tensor, "N"]:
    """Return for each place how many places hold the same value."""
    return torch.bincount(place)[place]


def _places(axis: _Axis, size: int, old: EncoderConfig, new: EncoderConfig) -> Int[Tensor, "N"]:
    if axis == "kept":
        return torch.arange(size)
    if axis == "residual":
        return centred(old.dim, new.dim)
    if axis in ("mlp", "gated"):
        half = centred(old.mlp_dim, new.mlp_dim)
        is_one = axis == "mlp" or not old.gated_mlp
        return half if is_one else torch.cat([half, half + old.mlp_dim])
    heads = centred(old.num_heads, new.num_heads)
    one = (heads[:, None] * old.head_dim + torch.arange(old.head_dim)).flatten()
    return one if axis == "heads" else torch.cat([one + part * old.dim for part in range(3)])


def _source(name: str, sources: Sequence[int]) -> str:
    before, layers, after = name.partition("layers.")
    if not layers:
        return name
    number, rest = after.split(".", 1)
    source = sources[int(number)]
    if source == 0 and rest.startswith("attn_norm."):
        # Layer 0 has none of its own: the embedding's norm does its work.
        return f"{before}embeddings.norm.{rest.removeprefix('attn_norm.')}"
    return f"{before}layers.{source}.{rest}"


def _is_summed(name: str, *, is_tied: bool) -> bool:
    """Say whether a parameter multiplies inputs that are then summed.

    A tied decoder is the table itself, so the norm before it carries the decoder's share.
    """
    if name.startswith("head.norm."):
        return is_tied
    is_matrix = name.endswith("weight") and "norm." not in name
    return is_matrix and not name.endswith("_embeddings.weight")


def _drawn(name: str, rows: Int[Tensor, "R"], columns: Int[Tensor, "C"]) -> Float[Tensor, "R C"]:
    """Return normal noise where rows or columns come again, zeros where they come first."""
    source = torch.Generator().manual_seed(rng.key(0, "grow", name) >> 1)
    drawn = torch.randn(len(rows), len(columns), generator=source)
    return drawn * (_comes_again(rows)[:, None] | _comes_again(columns))


def _comes_again(place: Int[Tensor, "N"]) -> Bool[Tensor, "N"]:
    order = torch.arange(len(place))
    first = order.new_full((int(place.max()) + 1,), len(place))
    first = first.scatter_reduce(0, place, order, "amin")
    return order != first[place]
