"""How hard negatives are looked for, as data; importing it costs nothing."""

import math
from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class MineOptions:
    """What is taken for a negative, and what is not."""

    corpus: str = ""
    """File of documents, or a folder in BEIR's layout, to look in; without it the documents of the
    pairs."""
    text: str = "text"
    """Column of the documents in --corpus."""
    query: str = ""
    """Column of the queries; guessed and said where it is left out, as the others are."""
    positive: str = ""
    """Column of the documents that answer."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of a .csv or .tsv names the columns."""
    max_pairs: int = 0
    """Pairs to read at most; 0 reads all."""
    number: int = 5
    """Negatives of each pair; pairs for which fewer are found are left out."""
    candidates: int = 50
    """Documents of each query that are looked at, the best first."""
    skip_top: int = 0
    """Documents at the very top that are passed over: many of them answer, and nobody noted it."""
    margin: float = 0.0
    """How much less than the positive a negative scores at least."""
    relative_margin: float = 0.95
    """Largest share of the positive's score that a negative may have, where that is above 0; 0
    turns it off (NV-Retriever, arXiv 2407.15831)."""
    max_score: float = float("inf")
    """Largest score of a negative."""
    random: bool = False
    """Draw negatives among the candidates that are left instead of taking the best."""
    reranker: str = ""
    """Folder or hub id of a cross-encoder or a late-interaction model: its scores decide, and are
    written."""
    with_scores: bool = False
    """Write the model's own scores, for another model to learn from."""
    seed: int = 12
    """Decides what is drawn."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        if self.number < 1 or self.candidates < self.number:
            raise ConfigError(
                f"--number is {self.number} and --candidates {self.candidates}: give 1 or more, "
                "and at least as many candidates"
            )
        if min(self.skip_top, self.max_pairs, self.relative_margin) < 0:
            raise ConfigError("--skip-top, --max-pairs and --relative-margin cannot be negative")
        if any(map(math.isnan, (self.margin, self.relative_margin, self.max_score))):
            raise ConfigError("--margin, --relative-margin and --max-score cannot be nan")
