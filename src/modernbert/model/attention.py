"""Self-attention of one layer: x and its layout in, x mixed over visible tokens out."""

from torch import Tensor, nn

from modernbert.base.shapes import Float
from modernbert.batch import Layout
from modernbert.kernels.attention import attend
from modernbert.kernels.rope import Rope, rotate_
from modernbert.model.config import EncoderConfig
from modernbert.model.norm import QKNorm
from modernbert.model.projection import Projection


class Attention(nn.Module):
    """A token reads its own document: all of it in global layers, nearby in local ones."""

    def __init__(self, config: EncoderConfig, layer: int) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.window = config.window_at(layer)
        self.Wqkv = Projection(config.dim, 3 * config.dim, bias=config.attention_bias)
        self.qk_norm = QKNorm(config) if config.qk_norm else nn.Identity()
        self.Wo = Projection(config.dim, config.dim, bias=config.attention_bias)
        self.out_drop = nn.Dropout(config.attention_out_dropout)

    def forward(
        self, x: Float[Tensor, "T D"], rope: Rope, layout: Layout, backend: str | None
    ) -> Float[Tensor, "T D"]:
        """Mix each token with the tokens it may see."""
        out: Tensor = self.out_drop(self.Wo(self._mixed(x, rope, layout, backend)))
        return out

    def _mixed(
        self, x: Tensor, rope: Rope, layout: Layout, backend: str | None
    ) -> Float[Tensor, "T D"]:
        # Apart, so that queries, keys and values are gone before the output is made.
        q, k, v = self.project(x, rope)
        return attend(q, k, v, layout, self.window, backend).flatten(1)

    def project(self, x: Float[Tensor, "T D"], rope: Rope) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each [T H K], the first two turned by position."""
        return rotate_(self.unturned(x), rope)

    def unturned(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "T 3 H K"]:
        """Return queries, keys and values of each head before they know of positions."""
        out: Tensor = self.qk_norm(self.Wqkv(x).unflatten(-1, (3, -1, self.head_dim)))
        return out
