"""A whole fine-tuning, as data: `run.json` in its folder is exactly this.

Importing it costs nothing: the command line is made from it.
"""

from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError

# What is said of some tasks alone; the others would pass it over in silence.
_ONLY = {
    "text": ("classify", "spans", "choice"),
    "pair": ("classify", "spans", "choice"),
    "label": ("classify", "spans", "choice"),
    "header": ("classify", "choice"),
    "choices": ("choice",),
    "problem": ("classify",),
    "class_weights": ("classify",),
    "pooling": ("classify", "choice"),
}

_BASE_DIM, _MOST_THREADS = 768, 1024
_RATE_OF_BASE, _LORA_RATE = 5e-5, 10.0

LoraModule = Literal["attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"]
_LORA_MODULES: tuple[LoraModule, ...] = ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneConfig:
    """One fine-tuning run."""

    train: str = ""
    """File or folder with examples to learn from."""
    dev: str = ""
    """File or folder with examples to measure on; without it the dev part of the folder of --train,
    or a tenth of the others, which is held out."""
    test: str = ""
    """File or folder with examples that the best model is measured on once, at the end."""
    text: str = ""
    """Column of the texts; guessed and said where it is left out, as the others are."""
    pair: str = ""
    """Column of the second texts, where two are compared, or of the questions about texts."""
    label: tuple[str, ...] = ()
    """Column of labels or answers, or one column of 0 and 1 for each of several labels."""
    choices: tuple[str, ...] = ()
    """Column of lists of options to choose from, or one column for each option."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of a .csv or .tsv names the columns."""
    problem: Literal["auto", "single_label", "multi_label", "regression"] = "auto"
    """What is learned: one label, any number of labels, or a number."""
    max_length: int = 0
    """Tokens at which texts are cut; 0 takes what the model reads."""
    epochs: int = 3
    """Times that every example is seen, if nothing stops it earlier."""
    batch_size: int = 32
    """Examples in one optimizer step, over all devices."""
    row_tokens: int = 8192
    """Most tokens of a forward pass: a step's examples are packed into as few as that allows."""
    peak_lr: float = 0.0
    """Highest rate; 0 takes 5e-5 for a width of 768, more for narrower, and ten times for LoRA."""
    weight_decay: float = 5e-6
    warmup: float = 0.06
    """Share of the steps over which the rate climbs; then it falls in a line to 0."""
    clip_norm: float = 1.0
    """Longest gradient of all weights together; longer ones are shortened, 0 shortens none."""
    layer_decay: float = 1.0
    """Rate of a layer in units of the one above it."""
    frozen_layers: int = 0
    """Lowest layers that stay as they are; with any, the embeddings stay too."""
    lora_rank: int = 0
    """Rank of the matrices that are trained beside frozen ones (LoRA); 0 trains all weights."""
    lora_alpha: int = 0
    """How much LoRA's matrices count, over their rank; 0 takes twice the rank."""
    lora_dropout: float = 0.0
    """Dropout before LoRA's matrices."""
    lora_modules: tuple[LoraModule, ...] = _LORA_MODULES
    """Matrices that get LoRA's beside them, in each layer that is not frozen."""
    class_weights: Literal["equal", "balanced"] = "equal"
    """Whether rows of rare labels count for more, so that all labels count alike."""
    pooling: Literal["mean", "cls"] = "mean"
    """How a document becomes one vector."""
    dropout: float = 0.0
    """Dropout before the classifier."""
    calibrate: bool = False
    """Divide the best model's scores by what makes its probabilities honest on --dev."""
    evaluations: int = 1
    """Times an epoch that the examples of --dev are measured; the best model is kept."""
    best_by: str = ""
    """Which of the measures of --dev decides; the task's first one where it is left out."""
    patience: int = 3
    """Evaluations without a better one after which training stops; 0 never stops."""
    seed: int = 19
    """Decides the new weights, the order and the dropout."""
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the matrix products; weights stay float32. auto measures both on a CPU."""
    backend: Literal["auto", "banded", "padded", "varlen", "oracle"] = "auto"
    """Attention backend; auto takes the device's own."""
    checkpoint_activations: bool = False
    """Recompute each layer in the backward pass: less memory, about a third more time."""
    compile: bool = False
    """Compile each layer with torch.compile before training."""
    threads: int = 0
    """CPU threads; 0 takes torch's own choice."""

    def __post_init__(self) -> None:
        """Reject numbers without sense."""
        counts = (self.epochs, self.batch_size, self.row_tokens, self.evaluations)
        if min(counts) < 1:
            raise ConfigError(
                f"epochs, batch_size, row_tokens and evaluations are {counts}: give 1 or more"
            )
        self._check_lora()
        zeros = (self.max_length, self.peak_lr, self.weight_decay, self.clip_norm)
        if min(*zeros, self.frozen_layers, self.patience, self.threads) < 0:
            raise ConfigError(
                "max_length, peak_lr, weight_decay, clip_norm, frozen_layers, patience and threads "
                "cannot be negative"
            )
        if self.threads > _MOST_THREADS:
            raise ConfigError(f"threads is {self.threads}: give 0 to {_MOST_THREADS}")
        shares = (self.warmup, self.dropout)
        if not (all(0 <= share < 1 for share in shares) and 0 < self.layer_decay <= 1):
            raise ConfigError(
                f"warmup and dropout {shares} must lie from 0 to below 1, layer_decay "
                f"{self.layer_decay} above 0 and at most 1"
            )
        if not all(0 <= beta < 1 for beta in self.betas) or self.eps <= 0:
            raise ConfigError(
                f"betas {self.betas} must lie from 0 to below 1, and eps {self.eps} above 0"
            )

    def _check_lora(self) -> None:
        numbers = (self.lora_rank, self.lora_alpha, self.lora_dropout)
        if min(numbers) < 0 or self.lora_dropout >= 1:
            raise ConfigError(
                f"lora_rank, lora_alpha and lora_dropout are {numbers}: give 0 or more, and a "
                "dropout below 1"
            )
        if self.lora_rank and not self.lora_modules:
            raise ConfigError("lora_modules is empty: name one, or leave lora_rank out")
        if not self.lora_rank and (any(numbers) or self.lora_modules != _LORA_MODULES):
            raise ConfigError(
                "lora_alpha, lora_dropout and lora_modules are of LoRA: give lora_rank with them"
            )


def width_factor(dim: int) -> float:
    """Return what the rate at a width of 768 is multiplied by for another width.

    Narrow models want more than the inverse of their width: of 3e-4, 1e-3 and 3e-3 the last was the
    best at a width of 128 on every set that was tried (lab/LOG.md, 2026-11-26).
    """
    ratio = _BASE_DIM / dim
    return ratio**2 if ratio > 1 else ratio


def usual_rate(dim: int, *, is_lora: bool) -> float:
    """Return the highest rate where nobody says one.

    Adapters want ten times the rate of all weights at a width of 768 (Schulman et al., LoRA Without
    Regret, 2025); for narrower models it is raised less, by the power of 1.5 (lab/LOG.md).
    """
    if not is_lora:
        return _RATE_OF_BASE * width_factor(dim)
    return float(_RATE_OF_BASE * _LORA_RATE * width_factor(dim) ** 0.75)


def check_task(config: TuneConfig, task: str) -> None:
    """Refuse what means nothing for a task.

    Raises:
        ConfigError: an option is of other tasks alone.
    """
    usual = TuneConfig()
    for name, tasks in _ONLY.items():
        if task not in tasks and getattr(config, name) != getattr(usual, name):
            raise ConfigError(
                f"{name} means nothing for {task}, it is of {' and '.join(tasks)}: leave it out"
            )


def check_length(max_length: int, longest: int) -> None:
    """Refuse to cut texts where a model cannot; 0 is its own length.

    Raises:
        ConfigError: it reads fewer tokens, or more.
    """
    if max_length > longest or 0 < max_length < 3:
        raise ConfigError(f"max_length is {max_length}: the model reads 3 to {longest} tokens")
