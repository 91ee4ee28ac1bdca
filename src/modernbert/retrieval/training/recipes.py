"""A name in, the numbers of a training out; those of the paper are by name, as it used them."""

from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.base.records import nearest

Kind = Literal["dense", "colbert", "sparse", "rerank"]
Loss = Literal[
    "auto", "contrastive", "kl", "margin-mse", "cosent", "bce", "lambda", "listwise", "mse"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a training is done with where nobody says otherwise."""

    kind: Kind
    loss: Loss = "auto"
    epochs: int = 1
    batch_size: int
    mini_batch: int
    lr: float = 0.0
    """Highest rate; 0 scales that of a width of 768 to the model's."""
    base_lr: float = 8e-5
    """The rate at a width of 768, where none is given."""
    warmup: float = 0.05
    temperature: float = 0.0
    """0 takes what suits the kind and the loss."""
    max_length: int = 0
    query_length: int = 0


RECIPES = {
    "dense": Recipe(kind="dense", batch_size=256, mini_batch=32),
    "colbert": Recipe(kind="colbert", batch_size=32, mini_batch=16),
    "sparse": Recipe(kind="sparse", batch_size=32, mini_batch=16),
    # What reads both texts together does not learn at the rate of the others (lab/LOG.md).
    "rerank": Recipe(kind="rerank", batch_size=32, mini_batch=32, base_lr=2e-5),
    # ModernBERT (arXiv 2412.13663, section 3.1.2 and table 9): rates of the best of six, warm-up
    # 5%. Batches are those of its repository's script; the printed 16 is wrong, say its authors
    # (AnswerDotAI/ModernBERT#176).
    "dpr-base": Recipe(
        kind="dense", loss="contrastive", batch_size=512, mini_batch=16, lr=8e-5, temperature=0.05
    ),
    "dpr-large": Recipe(
        kind="dense", loss="contrastive", batch_size=512, mini_batch=16, lr=1e-4, temperature=0.05
    ),
    # The repository's train_st_gooaq.py.
    "gooaq": Recipe(
        kind="dense", loss="contrastive", batch_size=2048, mini_batch=128, lr=8e-5, temperature=0.05
    ),
    # JaColBERTv2.5's recipe (arXiv 2407.20750) at the rates of the paper's table 9.
    "colbert-base": Recipe(
        kind="colbert", loss="kl", batch_size=16, mini_batch=16, lr=1e-4, max_length=300,
        query_length=32, temperature=1.0,
    ),
    "colbert-large": Recipe(
        kind="colbert", loss="kl", batch_size=16, mini_batch=16, lr=3e-5, max_length=300,
        query_length=32, temperature=1.0,
    ),
}  # fmt: skip
"""By name; those named as a kind are taken where none is asked for."""


def recipe_of(name: str, kind: Kind) -> Recipe:
    """Return a recipe of a kind; without a name its usual one.

    Raises:
        ConfigError: there is none of this name, or it is of another kind.
    """
    recipe = RECIPES.get(name or kind)
    if recipe is None:
        raise ConfigError(f"there is no recipe {name!r} of retrieval: {nearest(name, RECIPES)}")
    if recipe.kind != kind:
        raise ConfigError(f"the recipe {name!r} is of {recipe.kind}, and {kind} is trained")
    return recipe
