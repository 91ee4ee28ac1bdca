"""The norms of a shape: its configuration in, modules out."""

import torch
from torch import Tensor, nn

from modernbert.base.shapes import Float
from modernbert.kernels.rms_norm import rms_norm
from modernbert.model.config import EncoderConfig


class RMSNorm(nn.Module):
    """Brings each vector to one size; unlike a layer norm it leaves the mean where it is."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        """Divide by the size, times the weight."""
        return rms_norm(x, self.weight, self.eps)


class QKNorm(nn.Module):
    """Brings queries and keys to one size, by a weight for each that all heads share."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.q = RMSNorm(config.head_dim, config.norm_eps)
        self.k = RMSNorm(config.head_dim, config.norm_eps)

    def forward(self, qkv: Float[Tensor, "T 3 H K"]) -> Float[Tensor, "T 3 H K"]:
        """Norm the first two, head by head."""
        q, k, v = qkv.unbind(1)
        return torch.stack([self.q(q), self.k(k), v], 1)


def norm(config: EncoderConfig) -> nn.LayerNorm | RMSNorm:
    """Make one of the norms that are as wide as the model."""
    if config.norm == "rms":
        return RMSNorm(config.dim, config.norm_eps)
    return nn.LayerNorm(config.dim, eps=config.norm_eps, bias=config.norm_bias)
