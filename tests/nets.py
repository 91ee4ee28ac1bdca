"""Small models with weights that show every mistake, and batches to run them on."""

import torch

from modernbert.batch import PackedBatch, pack
from modernbert.model.config import MASKED_LM, EncoderConfig, HeadConfig
from modernbert.model.init import build
from modernbert.model.model import Model

SMALL = {"vocab_size": 96, "pad_id": 0, "cls_id": 1, "sep_id": 2}


def config_of(**fields) -> EncoderConfig:
    shape = {"dim": 32, "mlp_dim": 48, "num_heads": 2, "num_layers": 3, "global_every": 2}
    return EncoderConfig(**(SMALL | shape | fields))


def lively(config: EncoderConfig, seed: int = 0, head: HeadConfig | None = MASKED_LM) -> Model:
    """Make a model whose norms, biases and matrices are all far from their initial values."""
    model = build(config, seed, head)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=source)
            if weight.dim() == 1:
                weight.add_(0.3 * noise)
            else:
                weight.copy_(noise / weight.shape[1] ** 0.5)
    return model


def documents_of(lengths, seed: int = 0, vocab: int = SMALL["vocab_size"]) -> list[list[int]]:
    source = torch.Generator().manual_seed(seed)
    return [torch.randint(3, vocab, (n,), generator=source).tolist() for n in lengths]


def batch_of(lengths, seed: int = 0) -> PackedBatch:
    return pack(documents_of(lengths, seed))
