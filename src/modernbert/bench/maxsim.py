"""A case of late interaction in, the speed and memory of everyone who scores it out."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from modernbert.base import machine, rng
from modernbert.base.machine import resident_bytes
from modernbert.batch import Layout
from modernbert.bench.cases import MaxSimCase
from modernbert.bench.measure import peak_above
from modernbert.bench.peers import maxsim_of_pylate, maxsim_of_sentence_transformers
from modernbert.bench.runtimes import OURS
from modernbert.bench.sides import beside
from modernbert.bench.worker import Answers
from modernbert.kernels.maxsim import maxsim

THEIRS = ("sentence-transformers", "pylate's formula")
_AGREEMENT = 1e-3

_Scores = Callable[[], Tensor]


def measure(case: MaxSimCase) -> dict[str, Any]:
    """Score the same vectors by every side, in turns, and return a row.

    Raises:
        MachineError: this package itself could not score the case.
    """
    makers = {name: partial(_answers, name, case) for name in (OURS, *THEIRS)}
    facts = beside(makers, case.rounds, _AGREEMENT)
    return {
        "bench": "maxsim",
        **dataclasses.asdict(case),
        "tokens": sum(_lengths(case)),
        "sides": facts,
        "threads": torch.get_num_threads(),
        "machine": machine.machine(),
        "versions": machine.versions("sentence-transformers"),
    }


def _answers(name: str, case: MaxSimCase) -> Answers:
    scores = _side(name, case)
    before = resident_bytes()

    def seconds() -> float:
        start = time.perf_counter()
        scores()
        return time.perf_counter() - start

    return {
        "rows": lambda: [scores().numpy()],
        "seconds": seconds,
        "peak": lambda: peak_above(before, seconds),
    }


def _side(name: str, case: MaxSimCase) -> _Scores:
    """Draw the vectors, in the form that a side takes: packed here, a list there."""
    state = torch.Generator().manual_seed(0)
    lengths, asked = _lengths(case), [case.query_tokens] * case.queries
    queries, documents = (_unit(sum(each), case.dim, state) for each in (asked, lengths))
    if name == OURS:
        layouts = Layout.of(asked), Layout.of(lengths)
        return partial(maxsim, queries, layouts[0], documents, layouts[1])
    score = maxsim_of_pylate if name == THEIRS[1] else maxsim_of_sentence_transformers()
    return partial(score, list(queries.split(asked)), list(documents.split(lengths)))


def _lengths(case: MaxSimCase) -> list[int]:
    drawn = rng.generator(0, "maxsim").integers(case.shortest, case.longest + 1, case.documents)
    return [int(length) for length in drawn]


def _unit(number: int, dim: int, state: torch.Generator) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(number, dim, generator=state), dim=-1)
