"""A case in, the speed and memory of every runtime that encodes its documents out."""

import dataclasses
import tempfile
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch

from modernbert.base import machine
from modernbert.base.errors import ConfigError, MachineError
from modernbert.base.log import say
from modernbert.base.records import nearest
from modernbert.bench.cases import ForwardCase, batches_of
from modernbert.bench.encoding import answers
from modernbert.bench.measure import Seconds, interleaved, ratio
from modernbert.bench.runtimes import BY_PRECISION, OURS, PRODUCTS, READ_GRAPHS, write_graph
from modernbert.bench.sides import agreement, timed
from modernbert.bench.worker import Failure, Worker, apart
from modernbert.model import folder as model_folder
from modernbert.model.config import EncoderConfig
from modernbert.model.count import forward_flops
from modernbert.model.init import build
from modernbert.model.presets import PRESETS

# Outputs are normed, so their numbers are about 1. Two ways of computing in float32 differ by
# some 1e-5 of that; a wrong mask, window or angle by a tenth and more.
_AGREEMENT = {"float32": 1e-3, "bfloat16": 0.5}

Row = dict[str, Any]


def measure(case: ForwardCase) -> Row:
    """Encode the same documents by every runtime, in turns, and return a row.

    A runtime whose vectors differ from this package's, or that fails, then or later, is left out,
    and the row says why.

    Raises:
        ConfigError: a preset or runtime is unknown.
        MachineError: this package itself could not run the case.
    """
    if case.model not in PRESETS:
        raise ConfigError(f"there is no preset {case.model!r}: {nearest(case.model, PRESETS)}")
    names, config = _names(case), PRESETS[case.model]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model_folder.write(build(config, 0, None), folder)
        if set(names) & set(READ_GRAPHS) and all(map(find_spec, ("transformers", "onnxscript"))):
            apart(write_graph, folder)
        workers: dict[str, Worker] = {}
        for name in names:
            worker = Worker(partial(answers, name, folder, case), torch.get_num_threads())
            workers[name] = stack.enter_context(worker)
        facts = _checked(workers, case)
        able = [name for name in facts if "failed" not in facts[name]]
        works = {
            name: partial(
                timed, workers[name], name, facts[name], is_needed=name in (OURS, PRODUCTS)
            )
            for name in able
        }
        seconds = interleaved(works, case.rounds)
        for name in seconds:
            facts[name] |= _speed(seconds, name, case) | _peak(workers[name])
            say(_line(name, facts[name]))
    return _row(case, facts, config)


def _names(case: ForwardCase) -> list[str]:
    known = BY_PRECISION[case.precision]
    for name in case.runtimes:
        if name not in known:
            raise ConfigError(
                f"there is no runtime {name!r} for {case.precision}: {nearest(name, known)}"
            )
    asked = case.runtimes or known
    return [name for name in known if name in (OURS, PRODUCTS) or name in asked]


def _checked(workers: dict[str, Worker], case: ForwardCase) -> dict[str, Row]:
    """Compare everyone's vectors with ours, before anything is timed."""
    ours = workers[OURS].ask("rows")
    if isinstance(ours, Failure):
        raise MachineError(f"the case cannot be encoded here: {ours.reason}")
    facts: dict[str, Row] = {}
    for name, worker in workers.items():
        package = name.split()[0]
        if name in (OURS, PRODUCTS):
            facts[name] = {}
            continue
        if package != OURS and find_spec(package) is None:
            facts[name] = {"failed": "not installed"}
        else:
            facts[name] = agreement(worker.ask("rows"), ours, _AGREEMENT[case.precision])
        if "failed" in facts[name]:
            say(f"{name} is left out: {facts[name]['failed']}")
    return facts


def _speed(seconds: Seconds, name: str, case: ForwardCase) -> Row:
    tokens = sum(map(sum, batches_of(case)))
    found = ratio(seconds[name], seconds[OURS])
    return {
        "tokens_per_second": round(tokens / median(seconds[name]), 1),
        "ours_is_faster": round(found.middle, 3),
        "quartiles": [round(found.low, 3), round(found.high, 3)],
    }


def _peak(worker: Worker) -> Row:
    found = worker.ask("peak")
    return {"peak_bytes": None if isinstance(found, Failure) else found}


def _line(name: str, found: Row) -> str:
    low, high = found["quartiles"]
    memory = found["peak_bytes"]
    said = "" if memory is None else f", {memory / 2**20:.0f} MiB above the weights"
    return (
        f"{name}: {found['tokens_per_second']:.0f} tok/s{said}; ours is "
        f"{found['ours_is_faster']:.2f}x as fast ({low:.2f} to {high:.2f})"
    )


def _row(case: ForwardCase, facts: dict[str, Row], config: EncoderConfig) -> Row:
    batches = batches_of(case)
    tokens = sum(map(sum, batches))
    grids = sum(len(batch) * max(batch) for batch in batches)
    return {
        "bench": "forward",
        **dataclasses.asdict(case),
        "documents": sum(map(len, batches)),
        "runtimes": facts,
        "tokens": tokens,
        "real_share": round(tokens / grids, 3),
        "share_of_products_rate": _share(facts, config, batches),
        "threads": torch.get_num_threads(),
        "machine": machine.machine(),
        "versions": machine.versions("onnxruntime", "openvino", "onnxscript"),
    }


def _share(facts: dict[str, Row], config: EncoderConfig, batches: list[list[int]]) -> float:
    """Return our rate of arithmetic, attention included, over the matrix products' alone."""
    lengths = [length for batch in batches for length in batch]
    whole = sum(length * forward_flops(config, length) for length in lengths)
    layer = 2 * config.dim * (4 * config.dim + 3 * config.mlp_dim)
    products = sum(lengths) * config.num_layers * layer
    speedup: float = facts[OURS]["tokens_per_second"] / facts[PRODUCTS]["tokens_per_second"]
    return round(whole / products * speedup, 3)
