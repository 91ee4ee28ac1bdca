"""What precision products are made in, and how fast: measured where it is not known."""

import time
from statistics import median

import torch

from modernbert.base.device import SLOW_ON_CPU, Autocast, Precision
from modernbert.kernels.linear import linear

_CPU = torch.device("cpu")
_WORTHWHILE = 1.3
_PROBE = 1024
_PROBED_LENGTHS, _PROBED_LAYERS = range(960, 1280, 64), 4


def choose_precision(name: str, device: torch.device, width: int) -> Precision:
    """Return the precision of a name; "auto" takes bfloat16 where a model so wide gains by it."""
    if name == "float32" or (name == "auto" and not _gains_by_bfloat16(device, width)):
        return "float32"
    return "bfloat16"


def multiply_rate(device: torch.device, precision: Precision, width: int = _PROBE) -> float:
    """Measure the device's own rate of a training-like matrix product, in FLOP/s.

    It takes about a third of a second and is the yardstick that utilisation is measured by.
    """
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    x, weight = torch.ones(2, width, width, device=device, dtype=dtype)
    with torch.no_grad():
        linear(x, weight)
        best, until = float("inf"), time.perf_counter() + 0.3
        while time.perf_counter() < until:
            best = min(best, _seconds(x, weight))
    return 2.0 * width**3 / best


def _seconds(x: torch.Tensor, weight: torch.Tensor) -> float:
    start = time.perf_counter()
    linear(x, weight)
    if x.is_cuda:
        torch.cuda.synchronize()
    elif x.is_mps:
        torch.mps.synchronize()
    return time.perf_counter() - start


def _gains_by_bfloat16(device: torch.device, width: int) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or torch.bfloat16 in SLOW_ON_CPU:
        return False
    return _layer_seconds("float32", width) > _WORTHWHILE * _layer_seconds("bfloat16", width)


def _layer_seconds(precision: Precision, width: int) -> float:
    """Time training steps of a projection, each with a number of tokens that was not there before.

    Packed batches are like that, and a CPU's kernels for bfloat16 are made anew for each number:
    narrow layers lose more by it than the units gain. They are made once for all layers.
    """
    weight, autocast = torch.ones(3 * width, width, requires_grad=True), Autocast(_CPU, precision)
    seconds = []
    for length in _PROBED_LENGTHS:
        x = torch.ones(length, width, requires_grad=True)
        start = time.perf_counter()
        for _ in range(_PROBED_LAYERS):
            with torch.enable_grad(), autocast():
                total = linear(x, weight).sum()
            total.backward()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:])
