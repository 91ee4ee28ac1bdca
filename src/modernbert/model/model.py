"""An encoder and, perhaps, a head: packed batches in, logits or a loss out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from modernbert.base.shapes import Float, Int
from modernbert.batch import Layout, PackedBatch
from modernbert.kernels.cross_entropy import masked_lm_loss
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.encoder import Encoder
from modernbert.model.heads import ClassifierHead, Head, MaskedLMHead


class Model(nn.Module):
    """The whole network that a folder holds.

    `kept` is what its config.json said that nothing here computes with (`hf_kept`).
    """

    def __init__(self, encoder: Encoder, head: Head | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.kept: Mapping[str, Any] = {}
        self.tie()

    @property
    def config(self) -> EncoderConfig:
        """The encoder's shape."""
        return self.encoder.config

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.encoder.embeddings.tok_embeddings.weight.device

    @property
    def head_config(self) -> HeadConfig | None:
        """What the head reads out, None when there is none."""
        return None if self.head is None else self.head.config

    def set_rope(self, *, global_theta: float, local_theta: float, max_length: int) -> None:
        """Turn positions by other angles from now on, as context extension does.

        Learned positions stay as many as there are, whatever the length.
        """
        self.encoder.config = replace(
            self.config,
            global_rope_theta=global_theta,
            local_rope_theta=local_theta,
            max_length=self.config.num_positions or max_length,
        )

    def tie(self) -> None:
        """Make decoder and embedding one parameter again, after weights were replaced."""
        if isinstance(self.head, MaskedLMHead) and self.config.tie_embeddings:
            self.head.tie(self.encoder.embeddings.tok_embeddings)

    def forward(self, batch: PackedBatch) -> Float[Tensor, "rows N"]:
        """Return the head's scores, or encoded tokens when there is no head.

        A row stands for a token; for a document where the head scores documents.
        """
        return self.scores(self.encoder(batch), batch.layout)

    def scores(self, x: Float[Tensor, "T D"], layout: Layout) -> Float[Tensor, "rows N"]:
        """Return what the head says of encoded tokens, or these when there is no head."""
        if isinstance(self.head, ClassifierHead):
            found: Tensor = self.head(x, layout)
            return found
        return x if self.head is None else self.head.logits(x)

    def masked_lm(
        self, batch: PackedBatch, positions: Int[Tensor, "M"], targets: Int[Tensor, "M"]
    ) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
        """Return the summed loss of the guesses at `positions` and how many are right.

        Head and decoder run on the rows at `positions` only (paper, section 2.2.1).
        """
        assert isinstance(self.head, MaskedLMHead), "only a masked-LM head has this loss"
        rows = self.head(self.encoder(batch).index_select(0, positions))
        decoder = self.head.decoder
        return masked_lm_loss(rows, decoder.weight, decoder.bias, targets)
