"""Heads: encoded rows in, what a task reads out."""

from jaxtyping import Float
from torch import Tensor, nn

from modernbert.kernels.geglu import ACTIVATIONS
from modernbert.model.config import EncoderConfig
from modernbert.model.encoder import norm


class MaskedLMHead(nn.Module):
    """Dense, activation, norm; then a decoder whose matrix is the embedding table when tied."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.dense = nn.Linear(config.dim, config.dim, bias=config.head_bias)
        self.norm = norm(config)
        self.decoder = nn.Linear(config.dim, config.vocab_size, bias=config.decoder_bias)

    def forward(self, x: Float[Tensor, "M D"]) -> Float[Tensor, "M D"]:
        """Turn encoded rows into what the decoder reads."""
        out: Tensor = self.norm(ACTIVATIONS[self.activation](self.dense(x)))
        return out

    def logits(self, x: Float[Tensor, "M D"]) -> Float[Tensor, "M V"]:
        """Score every word of the vocabulary for each encoded row."""
        out: Tensor = self.decoder(self(x))
        return out

    def tie(self, table: nn.Embedding) -> "MaskedLMHead":
        """Share the embedding table's matrix with the decoder."""
        self.decoder.weight = table.weight
        return self
