"""Named shapes. Importing this costs nothing; weights come from `init.build` or a folder."""

from modernbert.model.config import EncoderConfig

# Ettin (arXiv 2507.11412, table 1) ends its training with one theta in all layers.
_ETTIN_THETA, _ETTIN_LENGTH = 160_000.0, 7999


def _ettin(dim: int, num_layers: int, mlp_dim: int) -> EncoderConfig:
    return EncoderConfig(
        dim=dim,
        mlp_dim=mlp_dim,
        num_layers=num_layers,
        num_heads=dim // 64,
        global_rope_theta=_ETTIN_THETA,
        local_rope_theta=_ETTIN_THETA,
        max_length=_ETTIN_LENGTH,
    )


PRESETS: dict[str, EncoderConfig] = {
    # A width of 128 asks for larger first weights: at 0.02 the first attention scores are so
    # close to zero that training stays at the frequencies of single tokens (lab/LOG.md).
    "tiny": EncoderConfig(dim=128, mlp_dim=192, num_layers=4, num_heads=2, init_std=0.06),
    "modernbert-base": EncoderConfig(),
    "modernbert-large": EncoderConfig(dim=1024, mlp_dim=2624, num_layers=28, num_heads=16),
    "ettin-17m": _ettin(256, 7, 384),
    "ettin-32m": _ettin(384, 10, 576),
    "ettin-68m": _ettin(512, 19, 768),
    "ettin-150m": _ettin(768, 22, 1152),
    "ettin-400m": _ettin(1024, 28, 2624),
    "ettin-1b": _ettin(1792, 28, 3840),
}
