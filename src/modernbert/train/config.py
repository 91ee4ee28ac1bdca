"""A whole run, as data: `run.json` in its folder is exactly this.

Importing it costs nothing: the command line is made from it.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.model.config import EncoderConfig
from modernbert.optim.schedule import BatchWarmup, LengthWarmup, Schedule

Optimizer = Literal["stable_adamw", "adamw", "muon"]

_WHOLE = 1e-6
"""Further from 1, weights were meant otherwise than they add up."""
_MOST_THREADS = 1024
"""Far more make the system refuse memory for their stacks, and torch crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of pretraining: a row of the recipe's table (ModernBERT paper, table 3)."""

    name: str
    """Part of the address of the phase's data order and masks."""
    tokens: int
    """Tokens to train on, over all devices."""
    context_length: int
    """Longest chunk of a document, its [CLS] and [SEP] included."""
    batch_tokens: int
    """Tokens in one optimizer step, over all devices."""
    row_tokens: int
    """Tokens in one row: documents are packed into rows, and a row is one forward pass."""
    peak_lr: float
    weight_decay: float
    schedule: Schedule = field(default_factory=Schedule)
    batch_warmup: BatchWarmup = field(default_factory=BatchWarmup)
    length_warmup: LengthWarmup = field(default_factory=LengthWarmup)
    global_rope_theta: float = 10_000.0
    """Theta of the global layers; 0 keeps that of the model which the run starts from."""
    local_rope_theta: float = 10_000.0
    """Theta of the local layers; 0 as above."""
    objective: Literal["masked", "causal"] = "masked"
    """What is guessed: hidden tokens, or, to begin with, each next token from those before it. A
    quarter of the tokens so, then masked, beats masked alone at equal cost (arXiv 2507.00994)."""
    mask_rate: float = 0.3
    """Share of the ordinary tokens that is hidden."""
    mask_share: float = 0.8
    """Share of the hidden tokens that becomes [MASK]; 1 is all-[MASK] (NeoBERT, EuroBERT)."""
    random_share: float = 0.1
    """Share of the hidden tokens that becomes a random one; the rest stays as it is."""
    source_weights: dict[str, float] = field(default_factory=dict)
    """Share of each source in the tokens seen, 1 in all; empty takes every document once an
    epoch."""
    source_temperature: float = 1.0
    """Power of its tokens that a source's share follows: 1 is its size, less is flatter (mmBERT
    takes 0.7, 0.5 and 0.3, arXiv 2509.06888), 0 gives all the same."""
    source_boosts: dict[str, float] = field(default_factory=dict)
    """Times that a source is seen more than its share, such as 2 for good text in a decay."""
    long_tokens: int = 0
    """Tokens from which on a document counts as long; 0 treats all alike."""
    long_boost: float = 1.0
    """Times that a long document is seen as often as a short one of its source; sources keep their
    shares (per-source length upsampling: Fu et al., arXiv 2402.10171)."""

    def __post_init__(self) -> None:
        """Reject rows that cannot hold a chunk, batches that cannot hold a row, wrong numbers."""
        if self.context_length > self.row_tokens:
            raise ConfigError(
                f"phase {self.name}: a chunk of context_length {self.context_length} does not "
                f"fit into row_tokens {self.row_tokens}: raise row_tokens"
            )
        if self.row_tokens > self.batch_tokens:
            raise ConfigError(
                f"phase {self.name}: row_tokens {self.row_tokens} is more than batch_tokens "
                f"{self.batch_tokens}: raise batch_tokens, or lower row_tokens"
            )
        thetas = (self.global_rope_theta, self.local_rope_theta)
        if not min(thetas) >= 0:
            raise ConfigError(f"phase {self.name}: rope thetas {thetas} must not be below 0")
        is_possible = 0 < self.mask_rate < 1 and self.peak_lr > 0
        if not is_possible or self.context_length < 3 or self.tokens < 1:
            raise ConfigError(
                f"phase {self.name}: mask_rate {self.mask_rate} must lie between 0 and 1, "
                f"peak_lr {self.peak_lr} above 0, context_length {self.context_length} be at "
                f"least 3, tokens {self.tokens} at least 1"
            )
        shares = (self.mask_share, self.random_share)
        if self.weight_decay < 0 or min(shares) < 0 or sum(shares) > 1:
            raise ConfigError(
                f"phase {self.name}: weight_decay {self.weight_decay}, mask_share "
                f"{self.mask_share} and random_share {self.random_share} must not be negative, "
                "and the two shares at most 1 together"
            )
        self._check_mixture()
        self._check_length_warmup()
        self._check_long()
        self.schedule.at(0, self.tokens)

    def _check_length_warmup(self) -> None:
        growth = self.length_warmup
        if growth.first_length >= self.context_length or growth.warmup_tokens > self.tokens:
            raise ConfigError(
                f"phase {self.name}: a length warm-up from {growth.first_length} over "
                f"{growth.warmup_tokens} tokens must begin below context_length "
                f"{self.context_length} and end within the phase's {self.tokens} tokens"
            )

    @property
    def guessed_share(self) -> float:
        """Share of the tokens that head and decoder see."""
        return self.mask_rate if self.objective == "masked" else 1.0

    def _check_mixture(self) -> None:
        given, total = self.source_weights, sum(self.source_weights.values())
        if given and not abs(total - 1) < _WHOLE:
            raise ConfigError(
                f"phase {self.name}: source_weights sum to {total:g}: shares of a whole sum to 1, "
                "so divide each by that, or name every source"
            )
        if given and (self.source_boosts or self.source_temperature != 1):
            raise ConfigError(
                f"phase {self.name}: source_weights say all shares, and source_temperature and "
                "source_boosts would change them: leave one of the two ways out"
            )

    def _check_long(self) -> None:
        is_one_alone = bool(self.long_tokens) != (self.long_boost != 1)
        if is_one_alone or self.long_tokens < 0 or not 0 < self.long_boost < float("inf"):
            raise ConfigError(
                f"phase {self.name}: long_boost {self.long_boost:g} and long_tokens "
                f"{self.long_tokens}: give a boost above 0, other than 1, with a length of 1 or "
                "more, or neither"
            )

    def scaled(self, factor: float) -> "Phase":
        """Return the phase with every stretch of tokens multiplied, batch sizes as they are."""

        def times(tokens: int) -> int:
            return round(tokens * factor)

        schedule = dataclasses.replace(
            self.schedule,
            warmup_tokens=int(self.schedule.warmup_tokens * factor),
            decay_tokens=int(self.schedule.decay_tokens * factor),
        )
        warmup = dataclasses.replace(
            self.batch_warmup, warmup_tokens=times(self.batch_warmup.warmup_tokens)
        )
        growth = self.length_warmup
        if growth.first_length:
            grown = max(1, times(growth.warmup_tokens))
            growth = dataclasses.replace(growth, warmup_tokens=grown)
        return dataclasses.replace(
            self,
            tokens=max(1, times(self.tokens)),
            schedule=schedule,
            batch_warmup=warmup,
            length_warmup=growth,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One pretraining run."""

    model: EncoderConfig
    phases: tuple[Phase, ...]
    corpus: str = ""
    """Folder made by `modernbert prepare`, or its address in a store, such as s3://bucket/corpus."""
    cache_gb: float = 50.0
    """Most GB on disk that copies of shards from a store may take, for all runs of a machine."""
    init_from: str = ""
    """Folder of a model whose weights the run starts from; empty draws new ones."""
    branch: str = ""
    """Checkpoint of another run to start from, moments included, or that run for its newest."""
    seed: int = 17
    """Decides the initial weights, the data order, the masks and the dropout."""
    optimizer: Optimizer = "stable_adamw"
    """adamw leaves out the shortening of each tensor's step (arXiv 2304.13013); muon moves the
    layers' matrices along their momentum made orthogonal, and the rest as stable_adamw does (arXiv
    2502.16982)."""
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    clip_norm: float = 0.0
    """Longest gradient of all weights together; longer ones are shortened (1 is usual with adamw),
    0 shortens none."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the matrix products; weights stay float32. auto measures both on a CPU."""
    backend: Literal["auto", "banded", "padded", "varlen", "oracle"] = "auto"
    """Attention backend; auto takes the device's own."""
    checkpoint_activations: bool = False
    """Recompute each layer in the backward pass: less memory, about a third more time."""
    compile: bool = False
    """Compile each layer with torch.compile before training."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How processes of torchrun share the work: each with all weights, or with a part (FSDP2)."""
    threads: int = 0
    """CPU threads; 0 takes torch's own choice."""
    save_every_tokens: int = 0
    """Tokens between checkpoints; 0 saves at the ends of phases alone."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay on disk, besides the end of each phase."""
    keep_every_tokens: int = 0
    """Tokens between checkpoints that stay for good, to branch from or to average; 0 keeps none."""
    evaluate_every_tokens: int = 0
    """Tokens between evaluations on held-out text; 0 evaluates at the ends of phases alone."""
    evaluate_tokens: int = 100_000
    """Held-out tokens of each source that an evaluation reads; 0 reads none."""
    probes: tuple[str, ...] = ()
    """Files of labelled texts: an evaluation fits a line on the model's vectors of them. `suite`
    stands for four probes that are made of held-out text, in any language."""
    track: tuple[Literal["trackio", "wandb", "mlflow"], ...] = ()
    """Services that are told the numbers of each step, besides metrics.jsonl and TensorBoard."""

    def __post_init__(self) -> None:
        """Reject runs without phases, phases that share a name, and numbers out of range."""
        names = [phase.name for phase in self.phases]
        if not names or len(set(names)) < len(names):
            raise ConfigError(
                f"phases are named {', '.join(names) or 'nothing'}: a run needs at least one, "
                "each with a name of its own"
            )
        if self.keep_checkpoints < 1:
            raise ConfigError(
                f"keep_checkpoints is {self.keep_checkpoints}: at least 1 is needed to resume"
            )
        if not 0 <= self.cache_gb < float("inf"):
            raise ConfigError(f"cache_gb is {self.cache_gb:g}: give GB, 0 or more")
        if not all(0 <= beta < 1 for beta in self.betas) or self.eps <= 0:
            raise ConfigError(
                f"betas {self.betas} must lie from 0 to below 1, and eps {self.eps} above 0"
            )
        if not 0 <= self.clip_norm < float("inf"):
            raise ConfigError(
                f"clip_norm is {self.clip_norm}: give a finite number, 0 for no limit"
            )
        if not 0 <= self.threads <= _MOST_THREADS:
            raise ConfigError(f"threads is {self.threads}: give 0 to {_MOST_THREADS}")
        if self.init_from and self.branch:
            raise ConfigError("--init-from and --branch both say what to start from: give one")
        for name in (
            "save_every_tokens",
            "keep_every_tokens",
            "evaluate_every_tokens",
            "evaluate_tokens",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: give 0 or more")

    @property
    def cache_bytes(self) -> int:
        """Most bytes of the cache."""
        return int(self.cache_gb * 1e9)

    @property
    def shape(self) -> EncoderConfig:
        """The model as it is built: learned positions are there for the phase that needs most."""
        if self.model.position == "rotary" or self.init_from or self.branch:
            return self.model
        longest = max(phase.context_length for phase in self.phases)
        return dataclasses.replace(self.model, max_length=longest)

    @property
    def tokens(self) -> int:
        """Tokens of all phases together."""
        return sum(phase.tokens for phase in self.phases)

    def scaled_to(self, tokens: int) -> "RunConfig":
        """Return the same run with every stretch of tokens scaled so that they sum to this."""
        factor = tokens / self.tokens
        return dataclasses.replace(self, phases=tuple(p.scaled(factor) for p in self.phases))
