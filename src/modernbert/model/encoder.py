"""The encoder: a packed batch of token ids in, one vector a token out (paper, section 2.1)."""

import torch
from torch import Tensor, nn

from modernbert.base.errors import DataError
from modernbert.base.shapes import Float, Int
from modernbert.batch import Layout, PackedBatch, positions
from modernbert.kernels.attention import backend_of
from modernbert.kernels.rope import Rope, make_rope
from modernbert.kernels.scaling import RopeScaling
from modernbert.model.attention import Attention
from modernbert.model.config import EncoderConfig
from modernbert.model.mlp import MLP
from modernbert.model.norm import norm
from modernbert.model.widened import widely

Ropes = dict[tuple[float, RopeScaling], Rope]


class Embeddings(nn.Module):
    """Token embeddings and their norm; positions come later, inside attention, or are learned."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.dim)
        rows = config.num_positions
        self.position_embeddings = nn.Embedding(rows, config.dim) if rows else None
        self.norm = norm(config)
        self.drop = nn.Dropout(config.embedding_dropout)

    def forward(self, ids: Int[Tensor, "T"], place: Int[Tensor, "T"]) -> Float[Tensor, "T D"]:
        """Look ids up, and where they are learned the places in their documents."""
        x = self.tok_embeddings(ids)
        if self.position_embeddings is not None:
            x = x + self.position_embeddings(place)
        out: Tensor = self.drop(self.norm(x))
        return out


class Layer(nn.Module):
    """Attention, then MLP, each added to what came in."""

    def __init__(self, config: EncoderConfig, layer: int) -> None:
        super().__init__()
        # The embedding's norm has just run when layer 0 starts.
        self.attn_norm = norm(config) if layer else nn.Identity()
        self.attn = Attention(config, layer)
        self.mlp_norm = norm(config)
        self.mlp = MLP(config)

    def forward(
        self, x: Float[Tensor, "T D"], rope: Rope, layout: Layout, backend: str | None = None
    ) -> Float[Tensor, "T D"]:
        """Refine every token's vector."""
        kept = x.dtype
        x = (x + widely(self.attn, self.attn_norm(x), rope, layout, backend)).to(kept)
        out: Tensor = (x + widely(self.mlp, self.mlp_norm(x))).to(kept)
        return out


class Encoder(nn.Module):
    """ModernBERT without a head; parameters carry Hugging Face's names."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.backend: str | None = None
        """Attention backend to use; None lets the tensors' device choose."""
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(config, layer) for layer in range(config.num_layers))
        self.final_norm = norm(config)

    def forward(self, batch: PackedBatch) -> Float[Tensor, "T D"]:
        """Encode every token of every document.

        Raises:
            DataError: an id is outside the vocabulary; on a GPU, CUDA says so in its own words.
                A document is longer than the learned positions.
        """
        _check_ids(batch.ids, self.config.vocab_size)
        x, ropes = self.embedded(batch)
        # Chosen here, for a compiler that traces a layer could not look at the device.
        backend = self.backend or backend_of(x)
        for index, layer in enumerate(self.layers):
            x = layer(x, ropes[self.config.rope_at(index)], batch.layout, backend)
        out: Tensor = self.final_norm(x)
        return out

    def embedded(self, batch: PackedBatch) -> tuple[Float[Tensor, "T D"], Ropes]:
        """Return what enters the first layer, and the angles of each kind of layer."""
        _check_length(batch.layout.max_seqlen, self.config.num_positions)
        place = positions(batch.layout, len(batch.ids))
        return self.embeddings(batch.ids, place), self.ropes(place)

    def ropes(self, place: Int[Tensor, "T"]) -> Ropes:
        """Make one table of angles for each kind of rotary position in use."""
        if self.config.position == "learned":
            place = torch.zeros_like(place)  # where every rotation is none
        kinds = {self.config.rope_at(index) for index in range(self.config.num_layers)}
        return {kind: make_rope(place, self.config.head_dim, *kind) for kind in kinds}


def _check_ids(ids: Int[Tensor, "T"], vocab_size: int) -> None:
    # Looking at a GPU's ids would wait for it at every step.
    if ids.device.type != "cpu" or not len(ids):
        return
    lowest, highest = (int(x) for x in ids.aminmax())
    if lowest < 0 or highest >= vocab_size:
        raise DataError(
            f"token ids run from {lowest} to {highest}, the vocabulary has {vocab_size} entries: "
            "they come from another tokenizer"
        )


def _check_length(longest: int, num_positions: int) -> None:
    if longest > num_positions > 0:
        raise DataError(
            f"a document has {longest} tokens, the model has learned {num_positions} positions: "
            "cut it, or split it into several"
        )
