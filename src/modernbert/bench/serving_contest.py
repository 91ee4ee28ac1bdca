"""Servers and requests in, what each of them did under the same load, round by round, out."""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

import numpy as np

from modernbert.base.errors import MachineError
from modernbert.base.log import say
from modernbert.bench.runtimes import OURS
from modernbert.bench.serving_case import KINDS, ServingCase
from modernbert.bench.serving_figures import Figures, figures
from modernbert.bench.serving_load import Group, Loaded, Plan, Record
from modernbert.bench.serving_servers import Server, running, vector_of

_AGREEMENT = 1e-3
"""Of the length of a vector; what is computed in float32 differs by some 1e-6."""
_DRAIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did in one round."""

    points: dict[int, Figures]
    """By the number of clients, all kinds of requests."""
    idle: Figures
    """Queries, one after the other, and nothing else."""
    beside: Figures
    """The same while others send long documents without pause."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts, and the vectors that every server has to give them."""

    texts: Sequence[str]
    vectors: Sequence[Sequence[float]]


@final
class Contest:
    """Keeps what each server did, and why one was left out."""

    def __init__(self, place: Path, case: ServingCase, sample: Sample) -> None:
        """Take a folder with `requests.jsonl`, where logs may be written too."""
        self._place, self._case, self._sample = place, case, sample
        self.turns: dict[str, list[Turn]] = {}
        self.failures: dict[str, str] = {}

    def seconds(self, server: Server) -> float | None:
        """Start a server, measure it at all points and return how long that took; None if it fails.

        Raises:
            MachineError: it is ours.
        """
        start = time.perf_counter()
        try:
            with running(server, self._place / "server.log") as port:
                self._check(server, port)
                turn = self._turn(server, port)
        except MachineError as error:
            if server.name == OURS:
                raise
            self.failures[server.name] = str(error)
            self.turns.pop(server.name, None)
            say(f"{server.name} is left out: {error}")
            return None
        self.turns.setdefault(server.name, []).append(turn)
        return time.perf_counter() - start

    def _turn(self, server: Server, port: int) -> Turn:
        ask = partial(self._asked, server, port)
        reader, writers = Group(("query",), 1), Group(("document",), self._case.writers)
        idle = ask([reader])
        points = {number: ask([Group(KINDS, number)]) for number in self._case.clients}
        beside = ask([reader, writers])
        return Turn(points, idle, beside)

    def _asked(self, server: Server, port: int, groups: Sequence[Group]) -> Figures:
        warm_s = self._case.warm_s
        plan = Plan(
            port=port,
            dialect=server.dialect,
            requests=str(self._place / "requests.jsonl"),
            dim=len(self._sample.vectors[0]),
            groups=tuple(groups),
            asks_s=warm_s + self._case.seconds,
            drain_s=_DRAIN_S,
        )
        return figures(loaded(plan), warm_s, plan.asks_s)

    def _check(self, server: Server, port: int) -> None:
        """Warm a server up by texts of each kind, and compare what it gives.

        Raises:
            MachineError: it gives no vectors, or others.
        """
        found = [vector_of(port, server.dialect, text) for text in self._sample.texts]
        vectors = [each for each in found if each is not None]
        if len(vectors) < len(found):
            raise MachineError(f"{server.name} gives some texts no vector: leave it out")
        difference = difference_of(vectors, self._sample.vectors)
        if not difference <= _AGREEMENT:  # NaN differs as well
            raise MachineError(
                f"the vectors of {server.name} differ by {difference:.2g}, and {_AGREEMENT:g} is "
                "let pass: let it serve the same model"
            )


def loaded(plan: Plan) -> Loaded:
    """Let the clients of a plan ask, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "modernbert.bench.serving_load"],
        input=json.dumps(dataclasses.asdict(plan)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    return Loaded(tuple(Record(*each) for each in told["records"]), told["cpu_share"])


def difference_of(some: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """Return the largest difference of vectors, once all have length 1."""
    one, other = (np.asarray(each, dtype=np.float64) for each in (some, others))
    if one.shape != other.shape:
        return float("inf")
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other))
    return float(np.linalg.norm(one - other, axis=1).max())
