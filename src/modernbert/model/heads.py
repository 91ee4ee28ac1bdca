"""Heads: encoded tokens in, what a task reads out."""

from torch import Tensor, nn

from modernbert.base.shapes import Float
from modernbert.batch import Layout
from modernbert.kernels.geglu import ACTIVATIONS
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.norm import norm
from modernbert.model.pooling import pool
from modernbert.model.projection import Projection


class MaskedLMHead(nn.Module):
    """Dense, activation, norm; then a decoder whose matrix is the embedding table when tied."""

    def __init__(self, config: EncoderConfig, head: HeadConfig) -> None:
        super().__init__()
        self.config = head
        self.activation = head.activation or config.activation
        self.dense = Projection(config.dim, config.dim, bias=config.head_bias)
        self.norm = norm(config)
        self.decoder = Projection(config.dim, config.vocab_size, bias=config.decoder_bias)

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


class ClassifierHead(nn.Module):
    """Scores documents or tokens: pool where documents are asked, dense, activation, norm, labels.

    Dense and norm are the masked-LM head's, so that fine-tuning starts from what pretraining
    learned (transformers#35344).
    """

    def __init__(self, config: EncoderConfig, head: HeadConfig) -> None:
        super().__init__()
        self.config = head
        self.activation = head.activation or config.activation
        self.dense = Projection(config.dim, config.dim, bias=config.head_bias)
        self.norm = norm(config)
        self.drop = nn.Dropout(head.dropout)
        self.classifier = Projection(config.dim, head.num_scores)

    def forward(self, x: Float[Tensor, "T D"], layout: Layout) -> Float[Tensor, "rows N"]:
        """Return a row of scores a document, or a token where tokens and spans are asked."""
        if self.config.reads_documents:
            x = pool(x, layout, self.config.pooling)
        x = self.norm(ACTIVATIONS[self.activation](self.dense(x)))
        out: Tensor = self.classifier(self.drop(x))
        return out


Head = MaskedLMHead | ClassifierHead


def head_of(config: EncoderConfig, head: HeadConfig) -> Head:
    """Make the head that a configuration names, its weights not yet set."""
    return MaskedLMHead(config, head) if head.kind == "masked_lm" else ClassifierHead(config, head)
