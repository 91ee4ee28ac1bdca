import pytest

from modernbert.base.errors import ConfigError
from modernbert.model.config import EncoderConfig


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_heads": 0}, r"are \(50368, 768, 1152, 22, 0\): each must be at least 1"),
        ({"num_layers": 0}, "each must be at least 1"),
        ({"dim": 100, "num_heads": 3}, "dim 100 does not give 3 heads an even width each"),
        ({"layer_kinds": ("local",)}, "layer_kinds has 1 entries for 22 layers"),
        ({"local_window": 5}, "local_window is 5: it must be even and at least 2"),
        ({"init_std": 0.0}, r"init_std, init_cutoff and norm_eps \(0\.0, 2\.0, 1e-05\)"),
        ({"init_std": float("nan")}, "must be above 0, and dropouts"),
        ({"mlp_dropout": 2.0}, r"dropouts \(0\.0, 0\.0, 2\.0\) from 0 to below 1"),
        ({"local_rope_theta": -5.0}, r"the thetas \(160000\.0, -5\.0\) must be above 0"),
        ({"global_every": 0}, "global_every is 0: it must be at least 1"),
    ],
)
def test_shapes_that_cannot_be_built_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        EncoderConfig(**fields)
