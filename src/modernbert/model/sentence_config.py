"""What a folder of sentence-transformers says beyond the encoder, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "lasttoken"]
LateForm = Literal["ColBERT", "MultiVectorEncoder"]


@dataclass(frozen=True, slots=True)
class Pool:
    """A document's tokens become one vector; several modes are laid side by side."""

    modes: tuple[PoolingMode, ...] = ("mean",)
    includes_prompt: bool = True
    """Whether the tokens of the prompt, and [CLS] before them, count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseShape:
    """A learned projection, then an activation."""

    in_dim: int
    out_dim: int
    has_bias: bool
    activation: str
    """Its name in the file, a key of `sentence.ACTIVATIONS`."""
    has_residual: bool = False
    """Whether what came in is added, projected where the widths differ."""


@dataclass(frozen=True, slots=True)
class Normalize:
    """Every vector gets length 1."""


@dataclass(frozen=True, slots=True)
class Splade:
    """Logits of a masked-LM head become one sparse vector a document (arXiv 2109.10086)."""

    strategy: Literal["max", "sum"] = "max"
    is_log_twice: bool = False
    """Whether the logarithm is taken twice (arXiv 2504.14839)."""


Step = Pool | DenseShape | Normalize | Splade


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A query is filled up with a token whose vectors count in scoring (arXiv 2004.12832)."""

    length: int = 32
    """Tokens a query is filled up to, [CLS] and [SEP] included."""
    is_attended: bool = False
    """Whether the other tokens see those that fill up."""
    token: str | None = None
    """What a query is filled up with; None is [MASK]."""
    is_limit: bool = True
    """Whether longer queries are cut to the length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateInteraction:
    """How the texts of a model with a vector a token are read."""

    form: LateForm
    """In whose words a folder says it: PyLate's, or those of sentence-transformers 6 alone."""
    query_prefix: str = ""
    """Begins the prompt of queries: a token that was added for it."""
    document_prefix: str = ""
    query_length: int | None = None
    """Tokens that are read of a query; None is as many as of any text."""
    document_length: int | None = None
    expansion: Expansion | None = None
    skipped_words: tuple[str, ...] = ()
    """Tokens whose vectors are left out."""
    skipped_in: tuple[str, ...] = ("document",)
    """Where they are left out: query, document, or both."""

    @property
    def has_unseen(self) -> bool:
        """Return whether queries are filled up with tokens that no other token sees."""
        return self.expansion is not None and not self.expansion.is_attended


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceConfig:
    """How texts become vectors or scores, around the encoder."""

    max_length: int
    """Tokens that are read of a text, [CLS] and [SEP] included."""
    steps: tuple[Step, ...] = (Pool(),)
    """What happens after the encoder, in order. Where nothing pools, each token has a vector."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Texts by name, each put before the texts that it is for."""
    default_prompt: str | None = None
    """Name of the prompt that is used where none is asked for."""
    similarity: str = "cosine"
    """How vectors are compared: cosine, dot, euclidean, manhattan, MaxSim, maxsim."""
    has_lower_case: bool = False
    late: LateInteraction | None = None
    score_activation: str | None = None
    """What a cross-encoder of sentence-transformers does to scores, by its name in the file."""
    num_kept: int | None = None
    """Numbers of a text's vector that are given out: the first, or of a sparse one the largest."""

    @property
    def is_per_token(self) -> bool:
        """Return whether every token keeps its own vector."""
        return not any(isinstance(step, Pool | Splade) for step in self.steps)

    @property
    def is_sparse(self) -> bool:
        """Return whether vectors are made of a masked-LM head's logits."""
        return any(isinstance(step, Splade) for step in self.steps)

    @property
    def pool(self) -> Pool | None:
        """The step that pools the encoder's tokens."""
        return next((step for step in self.steps if isinstance(step, Pool)), None)

    def without_projections(self) -> "SentenceConfig":
        """Leave out the learned steps, as for an encoder of another width."""
        plain = tuple(step for step in self.steps if not isinstance(step, DenseShape))
        return replace(self, steps=plain)

    def prompt(self, name: str) -> str | None:
        """Return a prompt; `query` and `document` are empty where the folder has none."""
        return {"query": "", "document": "", **self.prompts}.get(name)
