"""A case in; speed, memory and utilisation of an optimizer step out, for each way to take it."""

import dataclasses
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from resource import RLIM_INFINITY
from statistics import median
from typing import Any

import numpy as np
import torch

from modernbert.base import machine
from modernbert.base.device import choose_device
from modernbert.base.errors import ConfigError, MachineError
from modernbert.base.log import say
from modernbert.base.records import nearest
from modernbert.bench.measure import Seconds, interleaved, ratio, told
from modernbert.bench.peaks import peak
from modernbert.bench.peers import real_share
from modernbert.bench.sides import timed
from modernbert.bench.training_case import TrainingCase
from modernbert.bench.training_sides import PACKED, SIDES, answers, chosen
from modernbert.bench.training_work import Job, grids_of, job_of
from modernbert.bench.worker import Failure, Worker

Row = dict[str, Any]

# Of the loss, in nats, and of the gradients' norm, as a share of it.
_AGREEMENT = {"float32": (1e-4, 1e-3), "bfloat16": (0.05, 0.1)}


def measure(case: TrainingCase, corpus: Path | None = None) -> Row:
    """Take the same optimizer steps in every way, in turns, and return a row.

    All begin with the same weights, documents and hidden tokens, each in a process of its own. A
    side whose first loss or gradients differ from `packed`, or that fails, then or later, is left
    out, and the row says why.

    Raises:
        ConfigError: the preset or a side is unknown.
        MachineError: the device is not there, or this package itself could not take the steps.
    """
    device = choose_device(case.device)
    for name in case.sides:
        if name not in SIDES:
            raise ConfigError(f"there is no side {name!r} of training: {nearest(name, SIDES)}")
    job = job_of(case, corpus)
    say(
        f"steps of {job.tokens:.0f} tokens, {case.rounds} rounds after one that warms up; the row "
        "is written when all are done"
    )
    highest, source = peak(device, case.precision)
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        limit = RLIM_INFINITY if device.type == "cuda" else None
        facts: dict[str, Row] = {}
        for name in chosen(case, device):
            facts[name] = {} if SIDES[name].is_installed else {"failed": "not installed"}
            if "failed" not in facts[name]:
                make = partial(answers, name, case, corpus)
                worker = Worker(make, torch.get_num_threads(), limit)
                workers[name] = stack.enter_context(worker)
        _compare(workers, facts, case.precision)
        seconds = _timed(workers, facts, case.rounds)
        for name in seconds:
            facts[name] |= _speed(seconds, name, job, highest) | _peak(workers[name])
            say(_line(name, facts[name]))
    return _row(case, job, facts) | {
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "lengths": case.lengths if corpus is None else "corpus",
        "peak_flops": highest,
        "peak_flops_are": source,
    }


def _compare(workers: dict[str, Worker], facts: dict[str, Row], precision: str) -> None:
    """Compare everyone's first step with ours, before anything is timed."""
    ours: tuple[float, float] | None = None
    for name in told("comparing", workers):
        found = workers[name].ask("first")
        if isinstance(found, Failure):
            if name == PACKED:
                raise MachineError(f"the steps cannot be taken here: {found.reason}")
            facts[name] = {"failed": found.reason}
        elif ours is None:
            ours = found
        else:
            facts[name] = agreement(found, ours, precision)
        if "failed" in facts[name]:
            say(f"{name} is left out: {facts[name]['failed']}")


def agreement(theirs: tuple[float, float], ours: tuple[float, float], precision: str) -> Row:
    """Return by how much loss and gradients differ, or that this is too much."""
    loss, norm = theirs[0] - ours[0], theirs[1] / ours[1] - 1
    limits = _AGREEMENT[precision]
    if not abs(loss) <= limits[0]:  # NaN differs as well
        return {"failed": f"its first loss differs by {loss:.2g}"}
    if not abs(norm) <= limits[1]:
        return {"failed": f"its gradients are {norm:+.2%} of ours longer"}
    return {"loss_difference": loss, "gradient_difference": norm}


def _timed(workers: dict[str, Worker], facts: dict[str, Row], rounds: int) -> Seconds:
    works = {
        name: partial(timed, worker, name, facts[name], is_needed=name == PACKED)
        for name, worker in workers.items()
        if "failed" not in facts[name]
    }
    return interleaved(works, rounds)


def _speed(seconds: Seconds, name: str, job: Job, highest: float) -> Row:
    found, middle = ratio(seconds[name], seconds[PACKED]), median(seconds[name])
    speed = job.tokens / middle
    return {
        "seconds": round(middle, 4),
        "tokens_per_second": round(speed, 1),
        "ours_is_faster": round(found.middle, 3),
        "quartiles": [round(found.low, 3), round(found.high, 3)],
        "utilisation": round(speed * job.token_flops / highest, 4),
    }


def _peak(worker: Worker) -> Row:
    found = worker.ask("peak")
    return {"peak_bytes": None if isinstance(found, Failure) else found}


def _line(name: str, found: Row) -> str:
    low, high = found["quartiles"]
    memory = found["peak_bytes"]
    said = "" if memory is None else f", {memory / 2**20:.0f} MiB above the weights"
    return (
        f"{name}: {found['tokens_per_second']:.0f} tok/s, utilisation "
        f"{found['utilisation']:.1%}{said}; packed is {found['ours_is_faster']:.2f}x as fast "
        f"({low:.2f} to {high:.2f})"
    )


def _row(case: TrainingCase, job: Job, facts: dict[str, Row]) -> Row:
    asked = dataclasses.asdict(case)
    del asked["sides"]
    lengths = [length for step in job.steps for length in step.lengths]
    grids = [grid for step in job.steps for grid in grids_of(step, case.batch_size, 0)]
    return {
        "bench": "training",
        **asked,
        "vocab_size": job.config.vocab_size,
        "corpus_documents": job.corpus_documents,
        "tokens": round(job.tokens, 1),
        "length_quartiles": [round(each) for each in np.percentile(lengths, (25, 50, 75))],
        "padded_real_share": round(real_share(grids), 3),
        "token_flops": round(job.token_flops),
        "sides": facts,
        "threads": torch.get_num_threads(),
        "machine": machine.machine(),
        "versions": machine.versions("flash-attn"),
    }
