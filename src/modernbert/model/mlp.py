"""The MLP of one layer: x in, x out, each token alone."""

from torch import Tensor, nn

from modernbert.base.shapes import Float
from modernbert.kernels.geglu import ACTIVATIONS, gated
from modernbert.kernels.tiles import by_tiles
from modernbert.model.config import EncoderConfig
from modernbert.model.projection import Projection


class MLP(nn.Module):
    """Two projections with an activation between them, and a gate unless a shape has none."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.activation, self.is_gated = config.activation, config.gated_mlp
        self.Wi = Projection(config.dim, config.wide_dim, bias=config.mlp_bias)
        self.Wo = Projection(config.mlp_dim, config.dim, bias=config.mlp_bias)
        self.drop = nn.Dropout(config.mlp_dropout)

    def forward(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
        """Widen, activate and gate, narrow."""
        return by_tiles(self._mixed, x)

    def _mixed(self, x: Tensor) -> Tensor:
        wide = self.Wi(x)
        wide = gated(wide, self.activation) if self.is_gated else ACTIVATIONS[self.activation](wide)
        out: Tensor = self.Wo(self.drop(wide))
        return out
