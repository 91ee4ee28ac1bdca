"""Names of models in, their shapes out: presets of this package, and those of other families.

Free of torch and of transformers. Every size is that of the published model; weights are random.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modernbert.model.presets import PRESETS

OWN = "modernbert"


@dataclass(frozen=True, slots=True)
class Shape:
    """One model."""

    kind: str
    """Family, as transformers names it."""
    beside: str
    """The ModernBERT of its size, whose speed is divided by its own."""
    longest: int
    """Tokens that it can read; 8192 where nothing in it limits them."""
    sizes: Mapping[str, Any] = field(default_factory=dict)
    """What transformers' configuration of the family is told; empty for a preset."""


_SIZES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 2},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
}
_BESIDE = {"tiny": "tiny", "base": "modernbert-base", "large": "modernbert-large"}

# Family, longest document, sizes of which it was published (with one to try things with), and
# what is its own beyond width and depth.
_FAMILIES: dict[str, tuple[str, int, tuple[str, ...], dict[str, Any]]] = {
    "bert": ("bert", 512, ("tiny", "base", "large"), {"vocab_size": 30_522}),
    "roberta": (
        "roberta",
        512,
        ("tiny", "base", "large"),
        {"vocab_size": 50_265, "max_position_embeddings": 514, "type_vocab_size": 1},
    ),
    "deberta-v3": (
        "deberta-v2",
        512,
        ("tiny", "base", "large"),
        {
            "vocab_size": 128_100,
            "relative_attention": True,
            "position_buckets": 256,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
        },
    ),
    # Rotary angles have no last position; the paper too runs NomicBERT on 8192 tokens.
    "nomic-bert": (
        "nomic_bert",
        8192,
        ("tiny", "base"),
        {"vocab_size": 30_528, "max_position_embeddings": 8192},
    ),
    "gte": (
        "gte",
        8192,
        ("tiny", "base", "large"),
        {"vocab_size": 30_528, "type_vocab_size": 0, "pad_token_id": 0},
    ),
}


def _shapes() -> dict[str, Shape]:
    found = {name: Shape(OWN, name, 8192) for name in PRESETS}
    for family, (kind, longest, sizes, own) in _FAMILIES.items():
        for size in sizes:
            told = _SIZES[size] | {"intermediate_size": 4 * _SIZES[size]["hidden_size"]} | own
            found[f"{family}-{size}"] = Shape(kind, _BESIDE[size], longest, told)
    return found


SHAPES = _shapes()
"""Every model that can be measured."""
