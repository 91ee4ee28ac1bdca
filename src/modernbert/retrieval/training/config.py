"""A whole training of a retriever, as data: `run.json` in its folder is exactly this.

Importing it costs nothing: the command line is made from it.
"""

import math
from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.retrieval.training.recipes import Kind, Loss, Recipe

SHORTEST = 8
"""Tokens of a text: [CLS], [SEP], a prefix, and some that say something."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a training begins with."""

    kind: Kind
    """What is trained."""
    model: str
    """Folder of a model, or its name on the hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieverConfig:
    """One training of a retriever. Numbers left at 0 are the recipe's."""

    pairs: str = ""
    """File or folder of queries and what answers them, or a folder in BEIR's layout (its train
    judgements)."""
    dev: str = ""
    """The same to measure on, read whole; without it the dev part of the folder of --pairs (of a
    folder in BEIR's layout the first 2,000 dev judgements), or a tenth of the queries, at most
    2,000, which is held out."""
    evaluate: str = ""
    """Folder in BEIR's layout to measure on instead."""
    split: str = "test"
    """Its judgements: a file qrels/SPLIT.tsv."""
    query: str = ""
    """Column of the queries; guessed and said where it is left out, as the others are."""
    positive: str = ""
    """Column of the documents that answer."""
    negatives: tuple[str, ...] = ()
    """Columns of documents that do not, or one column of lists."""
    scores: str = ""
    """Column of a teacher's scores: of the positive, then of each negative."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of a .csv or .tsv names the columns."""
    num_negatives: int = 0
    """Negatives to take of each row, others are left out; 0 takes as many as all rows have."""
    max_pairs: int = 0
    """Pairs to read at most; 0 reads all."""
    recipe: str = ""
    """Named numbers: dpr-base, dpr-large, gooaq, colbert-base, colbert-large."""
    loss: Loss = "auto"
    """What is made small; auto chooses by what the pairs hold, and says it."""
    epochs: int = 0
    batch_size: int = 0
    """Pairs in one optimizer step; those of a batch are each other's negatives."""
    mini_batch: int = 0
    """Texts in one forward pass, where the loss is computed in parts: bounds the memory."""
    lr: float = 0.0
    """Highest rate; without a recipe 8e-5 for a width of 768, 2e-5 for rerank, and more for
    narrower models."""
    warmup: float = -1.0
    """Share of the steps over which the rate climbs; then it falls in a line to 0."""
    weight_decay: float = 0.0
    temperature: float = 0.0
    """What scores are divided by before a softmax."""
    score_scale: float = 0.0
    """What a teacher's scores are multiplied by for kl and margin-mse; 0 takes 1, or where they are
    cosines the tokens of a query for colbert, which adds one for each, and 1 / temperature for
    dense by kl, which divides its own."""
    matryoshka: tuple[int, ...] = ()
    """Shorter widths that the first numbers of a vector are to be good at, for dense."""
    max_length: int = 0
    """Tokens at which texts are cut, of colbert documents; 0 takes what the model's folder says,
    300 for a new colbert."""
    query_length: int = 0
    """Tokens to which colbert fills queries up and cuts them; 0 takes the folder's, or 32."""
    query_prompt: str = ""
    """Text put before queries, and written into the model's folder; it may end with a blank."""
    document_prompt: str = ""
    """Text put before documents."""
    document_regularizer: float = 3e-5
    """Weight that keeps sparse vectors of documents sparse."""
    query_regularizer: float = 5e-5
    """The same of queries."""
    evaluations: int = 4
    """Times that the model is measured and saved, evenly over the steps; the best is kept."""
    seed: int = 12
    """Decides new weights, the order, and what is held out."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the matrix products; weights stay float32. auto measures both on a CPU."""
    threads: int = 0
    """CPU threads; 0 takes torch's own choice."""

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        numbers = {
            name: getattr(self, name)
            for name in (
                *("num_negatives", "max_pairs", "epochs", "batch_size", "mini_batch", "lr"),
                *("weight_decay", "temperature", "document_regularizer", "query_regularizer"),
                *("threads", "max_length", "query_length", "score_scale"),
            )
        }
        for name, number in numbers.items():
            if not 0 <= number < math.inf:
                raise ConfigError(f"{name} is {number}: give 0 or more")
        if not self.warmup < 1:
            raise ConfigError(f"warmup is {self.warmup}: give a share of the steps, below 1")
        if self.evaluations < 1:
            raise ConfigError(f"evaluations is {self.evaluations}: give 1 or more")
        if self.batch_size == 1:
            raise ConfigError("batch_size is 1, and pairs of a batch are compared: give 2 or more")
        for name in ("max_length", "query_length"):
            if 0 < numbers[name] < SHORTEST:
                raise ConfigError(f"{name} is {numbers[name]}: give {SHORTEST} tokens or more")


# What is said of some kinds alone; the others would pass it over in silence.
_ONLY: dict[str, tuple[Kind, ...]] = {
    "matryoshka": ("dense",),
    "query_length": ("colbert",),
    "query_prompt": ("dense", "colbert", "sparse"),
    "document_prompt": ("dense", "colbert", "sparse"),
    "document_regularizer": ("sparse",),
    "query_regularizer": ("sparse",),
}


def check_kind(config: RetrieverConfig, kind: Kind) -> None:
    """Refuse what means nothing for a kind, and what is said twice.

    Raises:
        ConfigError: an option is of other kinds alone, or two name what is measured on.
    """
    if config.dev and config.evaluate:
        raise ConfigError("--dev and --evaluate both say what is measured on: leave one out")
    usual = RetrieverConfig()
    for name, kinds in _ONLY.items():
        if kind not in kinds and getattr(config, name) != getattr(usual, name):
            raise ConfigError(
                f"{name} means nothing for {kind}, it is of {' and '.join(kinds)}: leave it out"
            )


def numbers_of(config: RetrieverConfig, recipe: Recipe) -> dict[str, int | float | str]:
    """Return what a recipe says where the user did not."""
    told: dict[str, int | float | str] = {
        name: getattr(config, name) or getattr(recipe, name)
        for name in (
            *("epochs", "batch_size", "mini_batch", "lr", "temperature", "max_length"),
            "query_length",
        )
    }
    told["loss"] = recipe.loss if config.loss == "auto" else config.loss
    told["warmup"] = recipe.warmup if config.warmup < 0 else config.warmup
    return told
