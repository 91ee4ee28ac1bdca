"""The gated MLP of one layer: x in, x out, each token alone."""

from torch import Tensor, nn

from modernbert.base.shapes import Float
from modernbert.kernels.geglu import gated
from modernbert.kernels.tiles import by_tiles
from modernbert.model.config import EncoderConfig
from modernbert.model.projection import Projection


class MLP(nn.Module):
    """Two projections with a gate between them."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.Wi = Projection(config.dim, 2 * config.mlp_dim, bias=config.mlp_bias)
        self.Wo = Projection(config.mlp_dim, config.dim, bias=config.mlp_bias)
        self.drop = nn.Dropout(config.mlp_dropout)

    def forward(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
        """Widen, gate, narrow."""
        return by_tiles(self._mixed, x)

    def _mixed(self, x: Tensor) -> Tensor:
        out: Tensor = self.Wo(self.drop(gated(self.Wi(x), self.activation)))
        return out
