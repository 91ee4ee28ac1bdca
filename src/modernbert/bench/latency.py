"""One short query after another in, how long each waits out: launched as ever, and from a graph."""

import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

import torch

from modernbert.base import machine
from modernbert.base.device import choose_device
from modernbert.base.errors import ConfigError, MachineError
from modernbert.base.log import say
from modernbert.base.records import nearest
from modernbert.batch import Layout, PackedBatch
from modernbert.bench.measure import interleaved
from modernbert.infer.encode import encode
from modernbert.infer.graphs import Graphs
from modernbert.model.init import build
from modernbert.model.presets import PRESETS

LENGTHS = (16, 24, 32, 48, 64)
"""Tokens of the queries."""
LAUNCHED, REPLAYED = "launched", "replayed"
_IDS = 1024
_AGREEMENT = 0.1
"""Of their length that vectors may lie apart, in bfloat16."""

Row = dict[str, Any]


def measure(model: str, device_name: str = "auto", rounds: int = 50) -> Row:
    """Encode one query at a time, its vectors brought back, in turns, and return a row.

    On CUDA weights are bfloat16, and a captured graph is measured beside passes that are launched;
    a CPU has only the latter, in float32.

    Raises:
        ConfigError: the preset is unknown.
        MachineError: the device is not there, or a graph gives other vectors.
    """
    if model not in PRESETS:
        raise ConfigError(f"there is no preset {model!r}: {nearest(model, PRESETS)}")
    device = choose_device(device_name)
    is_cuda = device.type == "cuda"
    dtype = torch.bfloat16 if is_cuda else torch.float32
    encoder = build(PRESETS[model], 0, None).encoder.to(device, dtype).eval()
    ways: dict[str, Callable[[PackedBatch], torch.Tensor]] = {
        LAUNCHED: lambda batch: encode(encoder, batch.to(device)).cpu()
    }
    if is_cuda:
        graphs = Graphs(encoder)
        ways[REPLAYED] = lambda batch: graphs(batch).cpu()
    found = {str(length): _of_length(length, ways, rounds) for length in LENGTHS}
    return {
        "bench": "latency",
        "model": model,
        "precision": "bfloat16" if is_cuda else "float32",
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if is_cuda else None,
        "rounds": rounds,
        "queries": found,
        "threads": torch.get_num_threads(),
        "machine": machine.machine(),
        "versions": machine.versions(),
    }


def _of_length(
    length: int, ways: dict[str, Callable[[PackedBatch], torch.Tensor]], rounds: int
) -> Row:
    ids = torch.randint(_IDS, (length,), generator=torch.Generator().manual_seed(length))
    batch = PackedBatch(ids, Layout.of([length]))
    vectors = {name: way(batch).double() for name, way in ways.items()}
    scale = vectors[LAUNCHED].norm()
    off = {name: float((each - vectors[LAUNCHED]).norm() / scale) for name, each in vectors.items()}
    if not max(off.values()) <= _AGREEMENT:
        raise MachineError(
            f"vectors of {length} tokens differ by {max(off.values()):.2g}: a replayed graph is "
            "not what a pass gives"
        )
    seconds = interleaved({name: _timed(way, batch) for name, way in ways.items()}, rounds)
    facts: Row = {}
    for name, each in seconds.items():
        ms = [round(1000 * part, 4) for part in quantiles(each, n=4, method="inclusive")]
        facts[name] = {"milliseconds": ms[1], "quartiles": [ms[0], ms[2]], "difference": off[name]}
        say(f"a query of {length} tokens, {name}: {ms[1]:.2f} ms ({ms[0]:.2f} to {ms[2]:.2f})")
    return facts


def _timed(way: Callable[[PackedBatch], torch.Tensor], batch: PackedBatch) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        way(batch)  # brought back: nothing is left to wait for
        return time.perf_counter() - start

    return run
