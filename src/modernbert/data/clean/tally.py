"""Documents that pass and documents that are dropped in, counts and a few samples out."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from modernbert.base.files import hashed

_SAMPLE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Sample:
    """A dropped document, shortened."""

    document: str
    """Its file and line, row or part."""
    text: str
    note: str = ""
    """What the step has to say of it."""


@dataclass(slots=True)
class Loss:
    """What a step dropped for one reason."""

    documents: int = 0
    characters: int = 0
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class Amount:
    """How much there is of something."""

    documents: int = 0
    characters: int = 0

    def add(self, documents: int, characters: int) -> None:
        """Count some more."""
        self.documents += documents
        self.characters += characters


@dataclass(slots=True)
class Step:
    """What a step let pass, and what it dropped, by reason."""

    passed: Amount = field(default_factory=Amount)
    losses: dict[str, Loss] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that holds words of an evaluation set."""

    document: str
    evaluation: str
    ngram: str


@dataclass(slots=True)
class Tally:
    """What one task has seen."""

    max_samples: int
    repaired: int = 0
    steps: dict[str, Step] = field(default_factory=dict)
    hits: list[Hit] = field(default_factory=list)

    def clear(self) -> None:
        """Begin anew."""
        self.repaired = 0
        self.steps.clear()
        self.hits.clear()

    def step(self, name: str) -> Step:
        """Return the counts of a step."""
        return self.steps.setdefault(name, Step())

    def drop(self, step: str, reason: str, sample: Sample) -> None:
        """Count a dropped document; its sample carries the whole text."""
        loss = self.step(step).losses.setdefault(reason, Loss())
        loss.documents += 1
        loss.characters += len(sample.text)
        loss.samples = chosen([*loss.samples, _shortened(sample)], self.max_samples)


def chosen(samples: Iterable[Sample], most: int) -> list[Sample]:
    """Keep some samples, by a hash of their names: the same ones in whatever order they come."""
    return sorted(samples, key=lambda each: (hashed(each.document), each.document))[:most]


def _shortened(sample: Sample) -> Sample:
    if len(sample.text) <= _SAMPLE_CHARACTERS:
        return sample
    return Sample(sample.document, f"{sample.text[:_SAMPLE_CHARACTERS]} [...]", sample.note)
