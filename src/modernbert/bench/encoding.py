"""A runtime by name and a case's lengths in, what it answers about them out."""

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernbert.base.machine import resident_bytes
from modernbert.bench.cases import ForwardCase, batches_of
from modernbert.bench.measure import peak_above
from modernbert.bench.runtimes import RUNTIMES, Encode, rows_of
from modernbert.bench.worker import Answers
from modernbert.model import folder as model_folder

Rows = list[NDArray[np.float32]]
"""Vectors of a batch's tokens, for each batch."""


def drawn(case: ForwardCase, vocab_size: int) -> list[list[Tensor]]:
    """Return a case's documents in their batches: random ids, the same for every runtime."""
    state = torch.Generator().manual_seed(0)
    # Rows of an embedding table that is mapped from a file are memory once they are read: few of
    # them, then, and none of the special tokens at the end.
    limit = max(1, min(1024, vocab_size - 100))
    return [
        [torch.randint(limit, (length,), generator=state) for length in batch]
        for batch in batches_of(case)
    ]


def answers(name: str, folder: Path, case: ForwardCase) -> Answers:
    """Load a runtime, and say what it can be asked: vectors, seconds, and its peak of memory."""
    batches = drawn(case, model_folder.read_config(folder).vocab_size)
    encode = RUNTIMES[name](folder, case.precision)
    # Weights that are mapped from a file are memory only once they were used.
    encode([batches[0][0][:4]])
    before = resident_bytes()

    def rows() -> Rows:
        found = (rows_of(encode(batch), batch) for batch in batches)
        return [each.float().numpy() for each in found]

    def seconds() -> float:
        return _encode_all(encode, batches)

    return {"rows": rows, "seconds": seconds, "peak": lambda: peak_above(before, seconds)}


def _encode_all(encode: Encode, batches: list[list[Tensor]]) -> float:
    start = time.perf_counter()
    for batch in batches:
        encode(batch)
    return time.perf_counter() - start
