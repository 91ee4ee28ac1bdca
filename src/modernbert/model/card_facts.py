"""What a model card says, as data: of the model, and of the run that trained it."""

from collections.abc import Mapping
from dataclasses import dataclass

from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.sentence_config import SentenceConfig


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source of the training text."""

    name: str
    documents: int
    tokens: int
    """Of the train split, without [CLS] and [SEP]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """A phase of training, as it went."""

    name: str
    tokens: int
    """Tokens trained on in it."""
    steps: int
    context_length: int
    batch_tokens: int
    peak_lr: float
    schedule: str
    weight_decay: float
    global_rope_theta: float
    mask_rate: float
    is_causal: bool = False
    """Whether each next token was guessed, and none hidden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldoutRow:
    """What a source's held-out text gave at the end."""

    source: str
    loss: float
    masked_accuracy: float
    most_frequent_token_accuracy: float
    hidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """A run, from its own records."""

    sources: tuple[SourceRow, ...]
    phases: tuple[PhaseRow, ...]
    heldout: tuple[HeldoutRow, ...]
    """Of the last evaluation, the mean over all sources last; empty when there was none."""
    heldout_step: int
    heldout_mask_rate: float
    seconds: float
    """Spent in steps: saving and evaluating not counted."""
    hardware: str
    precision: str
    optimizer: str
    seed: int
    versions: Mapping[str, str]
    commit: str | None

    @property
    def tokens(self) -> int:
        """Tokens of all phases together."""
        return sum(phase.tokens for phase in self.phases)


@dataclass(frozen=True, slots=True)
class PartRow:
    """A file of examples."""

    name: str
    file: str
    examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningFacts:
    """A fine-tuning, from its own records."""

    command: str
    """What it was started with, behind `modernbert`."""
    start: str
    """The model that it began from, as it was named."""
    parts: tuple[PartRow, ...]
    amount: str
    """How much was learned from, each as often as it was seen."""
    epoch: float
    """Epochs that the model has seen."""
    decisive: str
    """The measure by which it is the best."""
    settings: Mapping[str, str]
    dev: Mapping[str, float]
    """Measures on the dev examples."""
    test: Mapping[str, float]
    """The same on the test examples; empty without."""
    seconds: float
    """Spent in steps."""
    hardware: str
    precision: str
    versions: Mapping[str, str]
    commit: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model that was opened came from."""

    base_model: str = ""
    """Its id on the hub."""
    training: str = ""
    """What its card said of its training, as it stood there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Everything a card is written from."""

    config: EncoderConfig
    head: HeadConfig | None
    num_parameters: int
    dtype: str
    mask_token: str
    sentence: SentenceConfig | None = None
    """How texts become vectors, where the folder says so."""
    training: TrainingFacts | None = None
    tuning: TuningFacts | None = None
    origin: Origin = Origin()

    @property
    def kind(self) -> str:
        """What a model reads out; `encoder` when it has no head."""
        if self.sentence is not None and self.sentence.late is not None:
            return "late"
        if self.sentence is not None and self.sentence.is_sparse:
            return "sparse"
        return "encoder" if self.head is None else self.head.kind

    @property
    def prompts(self) -> Mapping[str, str]:
        """Texts that are put before others, by name."""
        return {} if self.sentence is None else self.sentence.prompts
