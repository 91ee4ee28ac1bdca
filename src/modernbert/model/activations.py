"""What a forward pass keeps for the backward one: a shape and a row in, bytes out; no torch.

Counted tensor by tensor as the encoder computes them, and compared with what autograd saves in
tests/unit/model/test_activations.py.
"""

from dataclasses import dataclass
from typing import Literal

from modernbert.model.config import EncoderConfig
from modernbert.model.count import mlp_matrices

_WIDE = 4
"""Bytes of a number in float32: weights, gradients, the residual stream and norms."""
_INDEX = 8
_CHUNK_BYTES = 64 << 20
"""As kernels/cross_entropy.py holds logits at once."""
_FEWEST_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """How a step is computed."""

    precision: Literal["float32", "bfloat16"] = "bfloat16"
    recomputes: bool = False
    """Whether a layer keeps its input alone and computes the rest again in the backward pass."""
    is_cpu: bool = False

    @property
    def bytes(self) -> int:
        """Bytes of a number in a matrix product."""
        return 2 if self.precision == "bfloat16" else _WIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Bytes that a row needs beside weights, their gradients and moments."""

    activations: int
    """Kept between the two passes; grows with the tokens of the row."""
    copies: int
    """The layers' weights in the precision of products, where that is not their own."""
    decoder: int
    """Gradient of the decoder's matrix, made in the forward pass while logits exist."""
    working: int
    """The most that is held for a moment: a chunk of logits, or a layer's gradients."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.activations + self.copies + self.decoder + self.working


def kept(config: EncoderConfig, tokens: int, hidden: int, how: Pass) -> Kept:
    """Return what a row of so many tokens needs, `hidden` of them predicted.

    Documents are as long as the row is not padded for; that of attention without a mask is counted
    (banded on a CPU, varlen on CUDA).
    """
    table = config.vocab_size * (config.dim + config.decoder_bias)
    return Kept(
        activations=tokens * token_bytes(config, how) + hidden * _hidden_bytes(config, how),
        copies=_copies(config, how),
        decoder=_WIDE * table,
        working=max(
            _decoding(config, how),
            _WIDE * table,  # multiplied by the loss's own gradient, which makes another
            tokens * _differentiating(config, how),
        ),
    )


def token_bytes(config: EncoderConfig, how: Pass) -> int:
    """Return what a token of a row keeps, its prediction apart."""
    layers = range(config.num_layers)
    kinds = {config.rope_at(layer) for layer in layers}
    angles = 2 * len(kinds) * _WIDE * (config.head_dim // 2)
    if how.recomputes:
        inside = config.num_layers * _WIDE * config.dim
    else:
        inside = sum(layer_bytes(config, layer, how) for layer in layers)
    dropped = _mask_bytes(how, _WIDE) * config.dim * (config.embedding_dropout > 0)
    # The embedding's norm and the last one; the id that was looked up, and a learned place.
    looked_up = _INDEX * (1 + (config.num_positions > 0))
    return inside + angles + 2 * _norm_bytes(config) + dropped + looked_up


def layer_bytes(config: EncoderConfig, layer: int, how: Pass) -> int:
    """Return what a layer keeps of a token."""
    dim, mlp, of = config.dim, config.mlp_dim, how.bytes
    # What a product reads: a norm's output, or its copy in bfloat16.
    read = of * dim
    # The values are a part of what Wqkv gave, which stays whole; queries and keys are turned.
    attention = read + of * (3 * dim + 2 * dim + dim) + _WIDE * config.num_heads
    if config.qk_norm:  # what was normed is kept beside what Wqkv gave
        attention += of * 3 * dim + _WIDE * 2 * config.num_heads
    if how.is_cpu and config.window_at(layer) is not None:
        attention += of * dim  # blocks are put back in the order of the tokens
    widened = read + of * (config.wide_dim + mlp)
    masks = _mask_bytes(how, of) * (
        dim * (config.attention_out_dropout > 0) + mlp * (config.mlp_dropout > 0)
    )
    norms = _norm_bytes(config) * (2 if layer else 1)
    return norms + attention + widened + masks


def layer_matrices(config: EncoderConfig) -> int:
    """Return how many weights the layers' matrices and the head's have, norms and table apart."""
    layer = 4 * config.dim**2 + mlp_matrices(config)
    return config.num_layers * layer + config.dim**2


def _copies(config: EncoderConfig, how: Pass) -> int:
    if how.precision == "float32":
        return 0
    return how.bytes * (config.dim**2 if how.recomputes else layer_matrices(config))


def chunk_rows(config: EncoderConfig) -> int:
    """Return how many predictions have their logits at once."""
    return max(_FEWEST_ROWS, _CHUNK_BYTES // (_WIDE * config.vocab_size))


def _norm_bytes(config: EncoderConfig) -> int:
    # Its input, and a mean and a deviation; RMSNorm takes no mean.
    return _WIDE * (config.dim + (1 if config.norm == "rms" else 2))


def _hidden_bytes(config: EncoderConfig, how: Pass) -> int:
    # What dense, activation and norm read, the norm's own numbers, the gradient of the head's
    # output, where the token stands.
    return 3 * how.bytes * config.dim + _norm_bytes(config) + _INDEX


def _mask_bytes(how: Pass, of: int) -> int:
    """Return what dropout keeps of a number: on a CPU a factor, elsewhere whether it stays."""
    return of if how.is_cpu else 1


def _decoding(config: EncoderConfig, how: Pass) -> int:
    """Return what the decoder holds while it makes its gradient."""
    logits = chunk_rows(config) * config.vocab_size
    table = config.vocab_size * config.dim
    if how.precision == "float32":
        return logits * 2 * _WIDE
    # Copies of all matrices are there until the forward pass is over, whoever keeps them.
    copies = layer_matrices(config) * how.bytes * how.recomputes
    # A copy of the table, and a product that is added; logits in both precisions, and slopes.
    return copies + logits * 2 * (how.bytes + _WIDE) + table * how.bytes * 2


def _differentiating(config: EncoderConfig, how: Pass) -> int:
    """Return what the backward pass of a layer holds of a token."""
    gradients = (_WIDE + how.bytes) * config.dim + 2 * how.bytes * config.wide_dim
    again = max(layer_bytes(config, layer, how) for layer in range(config.num_layers))
    return gradients + again * how.recomputes
