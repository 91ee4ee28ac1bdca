"""`modernbert grow`: a model folder and sizes in, a folder with a larger model out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.base.log import count, say
from modernbert.base.machine import memory_bytes
from modernbert.base.records import nearest
from modernbert.model.config import EncoderConfig
from modernbert.model.presets import PRESETS

if TYPE_CHECKING:
    from modernbert.infer.pretrained import Pretrained

_PROBE = "The quick brown fox jumps over the lazy dog. def f(x): return x + 1\n" * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowOptions:
    """What the model is to become, and how."""

    preset: str = ""
    """Take all four sizes from a preset, such as modernbert-large, or large for short."""
    dim: int = 0
    """Width of the residual stream; 0 keeps the preset's or the model's."""
    mlp_dim: int = 0
    """Width of one half of the gated MLP; 0 as above."""
    num_layers: int = 0
    """Layers; 0 as above."""
    num_heads: int = 0
    """Heads; by default as many as fit into dim, for a head keeps its width."""
    depth_map: Literal["kinds", "paper"] = "kinds"
    """Which layers are repeated: kinds keeps global layers global and local ones local, paper
    spreads all of them evenly."""
    width: Literal["shared", "paper"] = "shared"
    """What copies of an input weigh: shared divides its weight among them, so that the model starts
    from what it knew; paper repeats it."""
    noise: float = 0.1
    """Noise that tells copies apart, in standard deviations of a matrix; 0 needs dropout later."""


_SIZES = ("dim", "mlp_dim", "num_layers", "num_heads")


def grow_model(source: str, target: Path, options: GrowOptions) -> None:
    """Grow a model, check it, write it, and say what became of it.

    Raises:
        ConfigError: the sizes do not fit, or the target is not empty.
        CheckpointError: the model cannot be read, or computes no finite numbers.
    """
    if target.is_dir() and any(target.iterdir()):
        raise ConfigError(f"{target} is not empty: give another folder for the model")
    from modernbert.infer.pretrained import Pretrained, load
    from modernbert.model.count import parameters
    from modernbert.model.grow import depth_map, grow, kept_kinds, larger
    from modernbert.model.sentence import Sentence

    _check_numbers(options)
    old = load(source)
    sizes = sizes_of(old.config, options)
    if all(getattr(sizes, size) == getattr(old.config, size) for size in _SIZES):
        raise ConfigError(
            f"{source} has these sizes already: ask for more, by --dim, --mlp-dim or --num-layers"
        )
    config = larger(old.config, sizes)
    _check_room(old, config)
    sources = depth_map(old.config, config, options.depth_map)
    grown = grow(old.model, config, sources, width=options.width, noise=options.noise)
    is_wider = config.dim != old.config.dim
    plain = Sentence(old.sentence.config.without_projections())
    new = Pretrained(grown, old.tokenizer, plain if is_wider else old.sentence)
    _check_finite(new, source)
    new.save(target)
    before, after = (parameters(each.config, head=each.head is not None) for each in (old, new))
    kept = kept_kinds(old.config, config, sources)
    say(f"layer by layer from {' '.join(map(str, sources))}")
    say(f"{kept} of {config.num_layers} layers stay what they were, global or local")
    if is_wider and old.sentence.projections:
        say(
            f"its Dense modules were made for vectors of {old.config.dim} numbers and are left "
            "out: train new ones"
        )
    say(f"{count(before)} parameters became {count(after)}: the model is in {target}")


def _check_numbers(options: GrowOptions) -> None:
    if not 0 <= options.noise < 1:
        raise ConfigError(f"noise is {options.noise}: give a share from 0 to below 1")
    for size in _SIZES:
        if (number := getattr(options, size)) < 0:
            raise ConfigError(f"{size} is {number}: give a size, or 0 to leave it to the model")


def sizes_of(config: EncoderConfig, options: GrowOptions) -> EncoderConfig:
    """Return a shape with the sizes that were asked for.

    Raises:
        ConfigError: there is no such preset, or heads do not fit.
    """
    short = {name.removeprefix("modernbert-"): shape for name, shape in PRESETS.items()}
    known = {"": config} | short | PRESETS
    if options.preset not in known:
        hint = nearest(options.preset, known)
        raise ConfigError(f"there is no preset {options.preset!r}: {hint}")
    base = known[options.preset]
    dim = options.dim or base.dim
    return replace(
        config,
        dim=dim,
        mlp_dim=options.mlp_dim or base.mlp_dim,
        num_layers=options.num_layers or base.num_layers,
        num_heads=options.num_heads or max(dim // config.head_dim, 1),
        layer_kinds=(),
    )


def _check_room(old: "Pretrained", config: EncoderConfig) -> None:
    from modernbert.model.count import parameters

    number = parameters(config, head=old.head is not None)
    size, room = number * next(old.parameters()).element_size(), memory_bytes()
    if size > room:
        raise ConfigError(
            f"the grown model would have {count(number)} weights in {size / 1e9:.0f} GB, and this "
            f"machine has {room / 1e9:.0f} GB of memory: ask for less"
        )


def _check_finite(model: "Pretrained", source: str) -> None:
    import torch

    from modernbert.batch import pack

    ids = model.tokenizer.encode(_PROBE)[: model.config.max_length].tolist()
    with torch.no_grad():
        output = model(pack([ids]))
    if not output.isfinite().all():
        raise CheckpointError(
            f"the model grown from {source} computes NaN or Inf: check the weights it came from"
        )
