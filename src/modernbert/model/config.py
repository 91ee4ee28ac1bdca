"""The encoder's shape, as data. Importing this costs nothing: the command line prints it."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from modernbert.base.errors import ConfigError
from modernbert.kernels.scaling import UNSCALED, RopeScaling

LayerKind = Literal["global", "local"]
HeadKind = Literal["masked_lm", "sequence", "tokens", "spans", "choice"]
Pooling = Literal["cls", "mean"]
Problem = Literal["single_label", "multi_label", "regression"]
Activation = Literal["gelu", "gelu_tanh", "silu", "relu"]

Position = Literal["rotary", "learned"]

Norm = Literal["layer", "rms"]

OPTIONS = ("gated_mlp", "position", "norm", "qk_norm")
"""Fields by which a shape is no ModernBERT that other tools know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Everything the weights depend on (paper, section 2.1). Speed settings live elsewhere."""

    vocab_size: int = 50_368
    """Rows of the embedding table; a multiple of 64 keeps matrix kernels fast."""
    dim: int = 768
    """Width of the residual stream."""
    mlp_dim: int = 1152
    """Width inside the MLP: of one half where it is gated (Hugging Face: intermediate_size)."""
    num_layers: int = 22
    num_heads: int = 12
    global_every: int = 3
    """Layers 0, n, 2n... attend to the whole document; the others are local."""
    layer_kinds: tuple[LayerKind, ...] = ()
    """A pattern that `global_every` cannot say, one entry a layer; empty follows it."""
    local_window: int = 128
    """Tokens a local layer looks at besides the token itself, half on each side."""
    global_rope_theta: float = 160_000.0
    local_rope_theta: float = 10_000.0
    global_rope_scaling: RopeScaling = UNSCALED
    """How global layers stretch positions beyond what their theta was trained for."""
    local_rope_scaling: RopeScaling = UNSCALED
    max_length: int = 8192
    """Longest document the thetas were trained for; with learned positions, how many there are."""
    position: Position = "rotary"
    """How tokens know their place: queries and keys are turned by it, or a learned vector of it is
    added to the token's (BERT, arXiv 1810.04805), and longer documents are refused."""
    norm: Norm = "layer"
    """Layer norm, or RMSNorm, which takes no mean away (arXiv 1910.07467)."""
    norm_eps: float = 1e-5
    norm_bias: bool = False
    qk_norm: bool = False
    """RMSNorm of each head's queries and keys before they are turned, by weights that heads share
    (Qwen3, arXiv 2505.09388)."""
    attention_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False
    """Whether the head's dense layer has a bias (Hugging Face: classifier_bias)."""
    decoder_bias: bool = True
    tie_embeddings: bool = True
    """Whether the decoder's matrix is the embedding table."""
    activation: Activation = "gelu"
    gated_mlp: bool = True
    """Whether a gate multiplies the MLP's widened vectors; without one it is BERT's (arXiv
    1810.04805) and has a third fewer weights at the same `mlp_dim`."""
    embedding_dropout: float = 0.0
    attention_out_dropout: float = 0.0
    """Dropout after each attention's output projection; pretraining uses 0.1."""
    mlp_dropout: float = 0.0
    init_std: float = 0.02
    init_cutoff: float = 2.0
    """Initial weights are cut at this many standard deviations."""
    pad_id: int = 50_283
    cls_id: int = 50_281
    sep_id: int = 50_282

    def __post_init__(self) -> None:
        """Reject shapes that cannot be built."""
        is_scaled = {self.global_rope_scaling, self.local_rope_scaling} != {UNSCALED}
        sizes = (self.vocab_size, self.dim, self.mlp_dim, self.num_layers, self.num_heads)
        if min(sizes) < 1:
            raise ConfigError(
                f"vocab_size, dim, mlp_dim, num_layers and num_heads are {sizes}: "
                "each must be at least 1"
            )
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 2:
            raise ConfigError(
                f"dim {self.dim} does not give {self.num_heads} heads an even width each: "
                "choose a dim that is a multiple of twice num_heads"
            )
        if self.layer_kinds and len(self.layer_kinds) != self.num_layers:
            raise ConfigError(
                f"layer_kinds has {len(self.layer_kinds)} entries for {self.num_layers} layers: "
                "give one a layer, or leave it empty and set global_every"
            )
        if self.norm == "rms" and self.norm_bias:
            raise ConfigError("norm is rms and norm_bias True: RMSNorm has no bias, leave it out")
        if self.position == "learned" and (is_scaled or self.max_length < 1):
            raise ConfigError(
                f"position is learned and max_length {self.max_length}: give 1 position or more, "
                "and no rope scaling, for nothing is turned"
            )
        if self.global_every < 1:
            raise ConfigError(f"global_every is {self.global_every}: it must be at least 1")
        if self.local_window < 2 or self.local_window % 2:
            raise ConfigError(
                f"local_window is {self.local_window}: it must be even and at least 2"
            )

        dropouts = (self.embedding_dropout, self.attention_out_dropout, self.mlp_dropout)
        positive = (self.init_std, self.init_cutoff, self.norm_eps)
        thetas = (self.global_rope_theta, self.local_rope_theta)
        if not (min(positive) > 0 and min(thetas) > 0 and all(0 <= each < 1 for each in dropouts)):
            raise ConfigError(
                f"init_std, init_cutoff and norm_eps {positive} and the thetas {thetas} must be "
                f"above 0, and dropouts {dropouts} from 0 to below 1"
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.num_heads

    @property
    def wide_dim(self) -> int:
        """Width of what the MLP's first matrix gives: a gate is as wide as what it multiplies."""
        return self.mlp_dim * (1 + self.gated_mlp)

    @property
    def num_positions(self) -> int:
        """Rows of the table of learned positions; 0 where positions are turned."""
        return self.max_length if self.position == "learned" else 0

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """Names and values of those of OPTIONS that a ModernBERT has otherwise."""
        usual = {field.name: field.default for field in fields(self)}
        values = ((name, getattr(self, name)) for name in OPTIONS)
        return tuple((name, value) for name, value in values if value != usual[name])

    def is_global(self, layer: int) -> bool:
        """Return whether a layer attends to the whole document."""
        if self.layer_kinds:
            return self.layer_kinds[layer] == "global"
        return layer % self.global_every == 0

    def window_at(self, layer: int) -> int | None:
        """Return the layer's attention window; None means global."""
        return None if self.is_global(layer) else self.local_window

    def rope_at(self, layer: int) -> tuple[float, RopeScaling]:
        """Return the base of the layer's rotary frequencies, and how they are stretched."""
        return self.rope_of(is_global=self.is_global(layer))

    def rope_of(self, *, is_global: bool) -> tuple[float, RopeScaling]:
        """Return the same for a kind of layer."""
        if is_global:
            return self.global_rope_theta, self.global_rope_scaling
        return self.local_rope_theta, self.local_rope_scaling


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadConfig:
    """What is read out of the encoder."""

    kind: HeadKind = "masked_lm"
    labels: tuple[str, ...] = ()
    """Names of the classifier's rows, for sequence and tokens."""
    pooling: Pooling = "mean"
    """How a document becomes one vector, for sequence and choice."""
    problem: Problem = "single_label"
    """What the scores of a sequence are: one label, any number of labels, or numbers."""
    dropout: float = 0.0
    """Dropout before the classifier."""
    activation: Activation | None = None
    """The head's own activation; None is the encoder's (Hugging Face: classifier_activation)."""

    def __post_init__(self) -> None:
        """Reject classifiers without labels."""
        if self.kind in ("sequence", "tokens") and not self.labels:
            raise ConfigError(f"a head of kind {self.kind} needs labels: give at least one")

    @property
    def num_scores(self) -> int:
        """Rows of the classifier: start and end for spans, one score for a choice."""
        return {"spans": 2, "choice": 1}.get(self.kind, len(self.labels))

    @property
    def reads_documents(self) -> bool:
        """Return whether a document gives one row of scores, not one a token."""
        return self.kind in ("sequence", "choice")


MASKED_LM = HeadConfig()
