"""How long the documents of a named case are; free of torch and numpy, for the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CaseName = Literal["queries", "short", "short-fixed", "long", "long-fixed"]
Precision = Literal["float32", "bfloat16"]
Numbers = Literal["float32", "bfloat16", "int8"]
"""What matrices are multiplied in."""
Batches = tuple[tuple[int, ...], ...]
"""Tokens of each document of each batch."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the documents of a case are, in tokens."""

    mean: int
    deviation: int
    """Of a normal distribution; 0 makes all documents equally long."""
    shortest: int
    longest: int
    documents: int
    """How many are encoded on a CPU when nobody says otherwise."""


LENGTHS: dict[CaseName, Lengths] = {
    "queries": Lengths(24, 8, shortest=4, longest=64, documents=64),
    # The paper's four (section 4, tables 2 and 10); its sets have 8,192 documents each.
    "short": Lengths(256, 64, shortest=32, longest=512, documents=16),
    "short-fixed": Lengths(512, 0, shortest=512, longest=512, documents=8),
    "long": Lengths(4096, 1024, shortest=32, longest=8192, documents=2),
    "long-fixed": Lengths(8192, 0, shortest=8192, longest=8192, documents=1),
}


def lengths_of(case: CaseName, number: int) -> list[int]:
    """Draw so many lengths of a case; the same on every machine."""
    from modernbert.base.rng import generator

    told = LENGTHS[case]
    drawn = generator(0, "lengths", case).normal(told.mean, told.deviation, number)
    return [int(length) for length in drawn.clip(told.shortest, told.longest)]


def grouped(lengths: Sequence[int], batch_tokens: int) -> Batches:
    """Fill batches one after the other, in the order given; a longer document is alone."""
    batches: list[list[int]] = []
    for length in lengths:
        if not batches or sum(batches[-1]) + length > batch_tokens:
            batches.append([])
        batches[-1].append(length)
    return tuple(map(tuple, batches))
