"""What is measured, by name and number; free of torch, for the command line."""

from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError
from modernbert.bench.lengths import LENGTHS, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuningCase:
    """Examples and a budget, for this package and for Hugging Face's Trainer alike."""

    task: Literal["classify", "tokens", "spans"] = "classify"
    """What is learned: labels or numbers for texts or pairs, spans in texts, or answers."""
    train: str
    """File or folder with examples to learn from."""
    dev: str = ""
    """File or folder with examples to measure on; without it a tenth of the others is held out."""
    text: str = ""
    """Column of the texts; guessed where it is left out, as the others are."""
    pair: str = ""
    label: tuple[str, ...] = ()
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of a .csv or .tsv names the columns."""
    max_length: int = 0
    """Tokens at which texts are cut; 0 takes what the model reads."""
    epochs: int = 3
    batch_size: int = 32
    """Examples in one optimizer step."""
    peak_lr: float = 0.0
    """Highest learning rate, of both; 0 takes what `modernbert finetune` would take."""
    weight_decay: float = 5e-6
    """Share of a weight that a step at the highest rate takes away."""
    warmup: float = 0.06
    """Share of the steps over which the rate climbs; then it falls in a line to 0."""
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    """The first one."""
    seeds: int = 3
    """Times that every side learns, each with a seed of its own."""
    sides: tuple[str, ...] = ()
    """Ways of using Trainer to measure beside this package; empty for all."""

    def __post_init__(self) -> None:
        """Reject what gives no spread."""
        if self.seeds < 2:
            raise ConfigError(f"seeds is {self.seeds}: a spread needs 2 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccelerateCase:
    """Texts embedded by a model of sentence-transformers, before and after `accelerate`."""

    documents: int = 96
    """How many texts, taken from all over what is given."""
    batch_size: int = 16
    """Texts in a batch, padded to its longest."""
    order: Literal["given", "sorted"] = "sorted"
    """Whether texts are sorted by length first, as encoding does; batches of training are not."""
    longest: int = 0
    """Tokens that a text is cut to; 0 takes what the model says."""
    precision: Precision = "float32"
    rounds: int = 7
    """Times that all texts are embedded, either way."""

    def __post_init__(self) -> None:
        """Reject sizes that cannot be measured."""
        if self.rounds < 2 or self.documents < 2 or self.batch_size < 1 or self.longest < 0:
            raise ConfigError(
                f"rounds is {self.rounds}, documents {self.documents}, batch_size "
                f"{self.batch_size} and longest {self.longest}: rounds and documents are 2 or "
                "more, a batch 1 or more, and no length is negative"
            )


EmbeddingName = Literal["given", "queries", "short", "short-fixed", "long", "long-fixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCase:
    """Texts embedded by this package and by `SentenceTransformer.encode`."""

    case: EmbeddingName = "short"
    """How long the texts are: as given, or pieces of what is given, of as many tokens as those of
    `modernbert bench efficiency`."""
    documents: int = 0
    """How many; 0 takes 16 times what `modernbert bench efficiency` takes on a CPU, or 256 as
    given."""
    batch_size: int = 32
    """Texts in a batch of the other side; 32 is its own."""
    precision: Precision = "float32"
    rounds: int = 5
    """Times that each side embeds all texts, or its part of them."""
    deal: bool = False
    """Deal the texts into a part for each round, so that many texts are embedded only once."""

    def __post_init__(self) -> None:
        """Reject sizes that cannot be measured."""
        if self.rounds < 2 or self.documents < 0 or self.batch_size < 1:
            raise ConfigError(
                f"rounds is {self.rounds}, documents {self.documents} and batch_size "
                f"{self.batch_size}: rounds is 2 or more, a batch 1 or more, and documents cannot "
                "be negative"
            )
        if self.deal and self.num_documents < self.rounds:
            raise ConfigError(
                f"{self.num_documents} texts cannot be dealt into {self.rounds} parts: lower "
                "rounds, or raise documents"
            )

    @property
    def num_documents(self) -> int:
        """How many texts are embedded."""
        own = 256 if self.case == "given" else 16 * LENGTHS[self.case].documents
        return self.documents or own

    def parts(self, texts: list[str]) -> list[list[str]]:
        """Return what each round embeds, one after the other, from the first again after the last.

        Texts of one kind often lie together: every part has some of each.
        """
        return [texts[at :: self.rounds] for at in range(self.rounds)] if self.deal else [texts]


_FEWEST_QUERIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxSimCase:
    """Vectors of tokens whose late interaction is computed."""

    queries: int = 8
    query_tokens: int = 32
    documents: int = 1000
    shortest: int = 20
    """Tokens of the shortest document; lengths are drawn evenly up to the longest."""
    longest: int = 180
    dim: int = 128
    """Numbers of a vector."""
    rounds: int = 7
    """Times that each side scores all documents."""

    def __post_init__(self) -> None:
        """Reject sizes that cannot be measured."""
        sizes = (self.queries, self.query_tokens, self.documents, self.shortest, self.dim)
        if self.rounds < 2 or min(sizes) < 1 or self.longest < self.shortest:
            raise ConfigError(
                f"rounds is {self.rounds}, the sizes {sizes} and longest {self.longest}: rounds is "
                "2 or more, every size 1 or more, and longest no less than shortest"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCase:
    """Vectors that are searched exactly and through a graph of neighbours."""

    vectors: int = 10_000
    """Drawn from many clusters in few directions, as vectors of texts lie; the same everywhere."""
    dim: int = 384
    """Numbers of a vector."""
    queries: int = 100
    """Asked one by one."""
    number: int = 10
    """Documents wanted of each."""
    numbers: Literal["float32", "float16", "int8"] = "float32"
    """What vectors are kept in."""

    def __post_init__(self) -> None:
        """Reject sizes that cannot be measured."""
        sizes = (self.vectors, self.dim, self.queries, self.number)
        if min(sizes) < 1 or self.queries < _FEWEST_QUERIES:
            raise ConfigError(
                f"the sizes are {sizes}: every size is 1 or more, and queries {_FEWEST_QUERIES} or "
                "more for a spread"
            )
