"""A runtime by name and some work in, what it answers about the work out."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernbert.base.machine import give_back, resident_bytes
from modernbert.bench.efficiency_case import Work, checked_of
from modernbert.bench.energy import counter_of
from modernbert.bench.lengths import Batches
from modernbert.bench.measure import peak_above, peak_on_cuda
from modernbert.bench.runtimes import RUNTIMES, Target
from modernbert.bench.runtimes.kinds import Encode, rows_of
from modernbert.bench.worker import Answers

Rows = list[NDArray[np.float32]]
"""Vectors of a batch's tokens, for each batch."""

_FIRST, _IDS = 100, 1024


def drawn(batches: Batches) -> list[list[Tensor]]:
    """Return documents of these lengths: random ids, the same for every runtime and model."""
    state = torch.Generator().manual_seed(0)
    # Rows of an embedding table that is mapped from a file are memory once they are read: few of
    # them, then. Special tokens are the first or the last of a vocabulary.
    return [
        [torch.randint(_FIRST, _FIRST + _IDS, (length,), generator=state) for length in batch]
        for batch in batches
    ]


def answers(name: str, folder: Path, work: Work) -> Answers:
    """Load a runtime, and say what it can be asked: vectors, seconds, joules, peak of memory."""
    batches = drawn(work.batches)
    encode = RUNTIMES[name].load(folder, Target(work.precision, work.device))
    # Weights that are mapped from a file are memory only once they were used.
    encode([batches[0][0][:4]])
    # What making the runtime needed for a while is not its weights.
    give_back()
    before = resident_bytes()
    is_cuda, spent = work.device == "cuda", list[float]()
    joules = counter_of(work.device)

    def rows() -> Rows:
        told = drawn(checked_of(work))
        if RUNTIMES[name].is_yardstick:
            _encode_all(encode, told)
            return []
        found = [rows_of(encode(batch), batch).float().numpy() for batch in told]
        if is_cuda:  # the others are loaded beside it
            torch.cuda.empty_cache()
        return found

    def once() -> float:
        return _encode_all(encode, batches)

    def seconds() -> float:
        if is_cuda:  # the largest batch, for the memory that was given back
            _encode_all(encode, [max(batches, key=lambda batch: sum(map(len, batch)))])
        start = joules() if joules else 0.0
        found = once()
        if joules:
            spent.append(joules() - start)
        if is_cuda:
            torch.cuda.empty_cache()
        return found

    return {
        "rows": rows,
        "seconds": seconds,
        "once": once,
        # Of the rounds that count; the first one warms up.
        "joules": lambda: round(median(spent[1:]), 3) if len(spent) > 1 else None,
        "peak": partial(_peak, before, once, is_cuda=is_cuda),
    }


def _peak(before: int | None, work: Callable[[], object], *, is_cuda: bool) -> int | None:
    if is_cuda:
        return peak_on_cuda(torch.cuda.memory_allocated(), work)
    return peak_above(before, work)


def _encode_all(encode: Encode, batches: Sequence[Sequence[Tensor]]) -> float:
    start = time.perf_counter()
    for batch in batches:
        encode(batch)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start
