"""What an engine says of texts, as a program gets it; free of torch, for clients of a server."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Numbers = Literal["float32", "int8", "binary"]
"""What vectors are given out in: binary is their signs, eight in a byte."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label, and how sure a model is of it."""

    name: str
    score: float
    """Probability from 0 to 1; of a regression the number itself."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A span of a text, of one kind."""

    label: str
    start: int
    """Its first character in the text; of a list of words, in these joined by blanks."""
    end: int
    """The character behind its last one."""
    text: str
    score: float
    """Mean probability of the tags of its words, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A part of a text that answers a question; "" says that none does."""

    text: str
    start: int
    """Its first character in the text."""
    end: int
    """The character behind its last one."""
    score: float
    """Probability that it begins and ends just there, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option, and how sure a model is of it."""

    text: str
    number: int
    """Its place among the options as they were given, from 0, however training counted."""
    score: float
    """Probability from 0 to 1; those of a question sum to 1."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One candidate for a hidden token."""

    token: str
    probability: float
    id: int
    """Of the token, in the model's vocabulary."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One of some documents, and how well it fits a query."""

    number: int
    """Its place among the documents as they were given, from 0."""
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """The words that a text calls for, and how much it does."""

    ids: NDArray[np.int64]
    """Of tokens of the model's vocabulary, in their order."""
    weights: NDArray[np.float32]
