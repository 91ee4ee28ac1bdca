"""What a shape costs: a config and document lengths in, parameters and FLOPs out; no torch."""

from modernbert.model.config import EncoderConfig

_TRAINING_PASSES = 3
"""A backward pass costs twice a forward pass."""


def parameters(config: EncoderConfig, *, head: bool = True) -> int:
    """Return how many weights there are; a tied decoder counts once."""
    norm = _norm(config)
    layers = config.num_layers * layer_parameters(config) - norm  # the first has one norm
    backbone = table_parameters(config) + norm + layers + norm
    return backbone + (_head(config) if head else 0)


def layer_parameters(config: EncoderConfig) -> int:
    """Return how many weights a layer has, its two norms among them."""
    attention = 4 * config.dim**2 + config.attention_bias * 4 * config.dim
    mlp = mlp_matrices(config) + config.mlp_bias * (config.wide_dim + config.dim)
    return attention + mlp + 2 * _norm(config) + config.qk_norm * 2 * config.head_dim


def mlp_matrices(config: EncoderConfig) -> int:
    """Return how many weights the two matrices of an MLP have."""
    return config.dim * (config.wide_dim + config.mlp_dim)


def table_parameters(config: EncoderConfig) -> int:
    """Return how many weights are vectors of tokens and places: tables whose lookups are free."""
    return (config.vocab_size + config.num_positions) * config.dim


def forward_flops(config: EncoderConfig, length: int, head_share: float = 0.0) -> float:
    """Return the FLOPs a token costs in a document of `length` tokens, nothing padded.

    A multiply and an add are two. Lookups, norms and activations are left out. `head_share` is
    the part of the tokens that head and decoder see: 0.3 in pretraining.
    """
    layer = 2 * (4 * config.dim**2 + mlp_matrices(config))
    seen = sum(_seen(length, config.window_at(index)) for index in range(config.num_layers))
    head = 2 * config.dim * (config.dim + config.vocab_size)
    return config.num_layers * layer + 4 * config.dim * seen + head_share * head


def training_flops(config: EncoderConfig, length: int, head_share: float) -> float:
    """Return the FLOPs a token costs in training, forward and backward, nothing recomputed."""
    return _TRAINING_PASSES * forward_flops(config, length, head_share)


def recomputed_flops(config: EncoderConfig, length: int) -> float:
    """Return what a token costs beyond that where layers are computed again to go backward."""
    return forward_flops(config, length)


def _seen(length: int, window: int | None) -> float:
    """Return how many keys a token sees, averaged over a document."""
    if window is None or length <= window // 2 + 1:
        return float(length)
    near = window // 2
    # At each end, token i of the first `near` misses near - i keys.
    return 1 + 2 * near - near * (near + 1) / length


def _norm(config: EncoderConfig) -> int:
    return config.dim * (1 + config.norm_bias)


def _head(config: EncoderConfig) -> int:
    dense = config.dim * (config.dim + config.head_bias)
    decoder = 0 if config.tie_embeddings else config.vocab_size * config.dim
    return dense + _norm(config) + decoder + config.decoder_bias * config.vocab_size
