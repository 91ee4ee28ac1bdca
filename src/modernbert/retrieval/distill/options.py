"""What `modernbert distill` is asked to do, as data; importing it costs nothing."""

import math
from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.data.lesson import FEWEST

_SHAPE = {"num_layers": 4, "dim": 0, "mlp_dim": 0, "num_heads": 0}
"""What says the shape of a new student, where nobody says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillOptions:
    """How a small model learns a larger one's vectors."""

    texts: tuple[str, ...] = ()
    """Files or folders with text of the kind that is to be compared or searched; no labels."""
    key: str = "text"
    """Key or column of the text in .jsonl and .parquet."""
    passages: int = 200_000
    """Passages to learn from at most, of one sentence to eight; a sample where there are more."""
    student: str = ""
    """Folder or hub id of the model to start from; without it a new one is made, whose words begin
    with the teacher's vectors of them and are cut as the teacher cuts them."""
    num_layers: int = _SHAPE["num_layers"]
    """Layers of a new model."""
    dim: int = 0
    """Width of a new model, and of its vectors; 0 takes the teacher's."""
    mlp_dim: int = 0
    """Width of one half of its gated MLP; 0 takes twice its width."""
    num_heads: int = 0
    """Attention heads; 0 takes one for each 64 of its width."""
    max_length: int = 256
    """Tokens at which passages are cut while learning; longer texts are read all the same."""
    epochs: int = 3
    """Times that every passage is seen."""
    batch_size: int = 128
    """Passages in one optimizer step."""
    peak_lr: float = 1e-3
    """Highest rate; it climbs over the first steps, then falls in a line to 0."""
    evaluations: int = 4
    """Times an epoch that held-out passages are measured; the best model is kept."""
    seed: int = 19
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the matrix products, the teacher's too; weights stay float32."""
    threads: int = 0
    """CPU threads; 0 takes torch's own choice."""

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        counts = (self.passages, self.num_layers, self.epochs, self.batch_size, self.evaluations)
        if min(counts) < 1:
            raise ConfigError(
                f"passages, num_layers, epochs, batch_size and evaluations are {counts}: give 1 or "
                "more"
            )
        sizes = (self.dim, self.mlp_dim, self.num_heads, self.threads)
        if min(sizes) < 0 or not 0 < self.peak_lr < math.inf:
            raise ConfigError(
                "dim, mlp_dim, num_heads and threads cannot be negative, and peak_lr must be above "
                "0"
            )
        if self.passages < FEWEST:
            raise ConfigError(
                f"passages is {self.passages}: give {FEWEST} or more, some are held out to measure "
                "on"
            )
        said = [name for name, usual in _SHAPE.items() if getattr(self, name) != usual]
        if self.student and said:
            raise ConfigError(
                f"--student has a shape of its own: leave {' and '.join(said)} out, or --student"
            )
