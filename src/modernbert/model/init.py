"""Initial weights: a shape and a seed in, a model out, every tensor a function of its own name."""

import torch
from torch import Tensor, nn

from modernbert.base import rng
from modernbert.model.config import MASKED_LM, EncoderConfig, HeadConfig
from modernbert.model.encoder import Encoder
from modernbert.model.heads import head_of
from modernbert.model.hf_kept import without_head
from modernbert.model.model import Model

_OUT_PROJECTIONS = ("attn.Wo.weight", "mlp.Wo.weight")


def build(config: EncoderConfig, seed: int, head: HeadConfig | None = MASKED_LM) -> Model:
    """Make a model with fresh float32 weights; equal seeds give equal weights."""
    model = empty(config, head)
    initialize(model, seed)
    return model


def empty(config: EncoderConfig, head: HeadConfig | None = MASKED_LM) -> Model:
    """Make a model whose weights are not yet set."""
    model = outline(config, head)
    model.to_empty(device="cpu")
    model.tie()
    return model


def outline(config: EncoderConfig, head: HeadConfig | None = MASKED_LM) -> Model:
    """Make a model whose weights have shapes and no memory."""
    with torch.device("meta"):
        return Model(Encoder(config), head_of(config, head) if head else None)


@torch.no_grad()
def with_head(model: Model, head: HeadConfig | None, seed: int) -> Model:
    """Put another head, or none, on a model's encoder, in float32; keep what the old head learned.

    Dense and norm are taken over from any old head, the classifier from one of the same labels;
    what is left is drawn by `seed`.
    """
    made = Model(model.encoder, head_of(model.config, head) if head else None).float()
    kept = {} if model.head is None else model.head.state_dict()
    for name, weight in made.head.named_parameters() if made.head is not None else ():
        old = kept.get(name)
        if weight is made.encoder.embeddings.tok_embeddings.weight:
            continue  # a decoder that is the embedding table, which the encoder has learned
        if (
            old is not None
            and old.shape == weight.shape
            and ("classifier" not in name or _labels_of(model) == _labels_of(made))
        ):
            weight.copy_(old)
        elif weight.dim() == 1:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            _draw(weight, f"head.{name}", seed, model.config)
    made.kept = without_head(model.kept)
    return made


def _labels_of(model: Model) -> tuple[str, ...]:
    return model.head_config.labels if model.head_config else ()


@torch.no_grad()
def initialize(model: Model, seed: int) -> None:
    """Set all weights by Megatron's rule: truncated normals, smaller where the residual is fed.

    Each tensor draws from its own generator, so adding a tensor moves no other (paper,
    section 2.2.3). Biases are 0, norms 1.
    """
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            weight.zero_()
        elif weight.dim() == 1:
            weight.fill_(1.0)
        else:
            _draw(weight, name, seed, model.config)


def std_of(name: str, config: EncoderConfig) -> float:
    """Return the standard deviation of a matrix, before its tails are cut."""
    if name.endswith(_OUT_PROJECTIONS):
        return float(config.init_std / (2 * config.num_layers) ** 0.5)
    if name.endswith(("decoder.weight", "classifier.weight")):
        return float(config.dim**-0.5)
    return config.init_std


def _draw(weight: Tensor, name: str, seed: int, config: EncoderConfig) -> None:
    std, cut = std_of(name, config), config.init_cutoff
    source = torch.Generator().manual_seed(rng.key(seed, "weights", name) >> 1)
    drawn = torch.empty(weight.shape, dtype=torch.float32)
    nn.init.trunc_normal_(drawn, 0.0, std, -cut * std, cut * std, generator=source)
    weight.copy_(drawn)
