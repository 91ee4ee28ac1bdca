"""Which device and which precision: chosen once, measured where it is not known, said aloud."""

import time
from dataclasses import dataclass
from statistics import median
from typing import Literal

import torch
from torch import nn

from modernbert.base.errors import MachineError

Precision = Literal["float32", "bfloat16"]

# What torch.cpu.get_capabilities calls units that multiply a format, on x86 and on ARM.
_UNITS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16", "bf16"),
    torch.float16: ("avx512_fp16", "amx_fp16", "fp16_arith"),
}
_CPU = torch.device("cpu")
_WORTHWHILE = 1.3
_PROBE = 1024
_PROBED_LENGTHS, _PROBED_LAYERS = range(960, 1280, 64), 4


def _slow_on_cpu() -> frozenset[torch.dtype]:
    try:
        from torch.cpu import get_capabilities
    except ImportError:  # an older torch cannot say, and is left to its own ways
        return frozenset()
    there = get_capabilities()
    return frozenset(dtype for dtype, units in _UNITS.items() if not any(map(there.get, units)))


SLOW_ON_CPU = _slow_on_cpu()
"""Formats that torch multiplies at a fraction of the rate of float32 on this processor."""


def choose_device(name: str) -> torch.device:
    """Return the device of a name; "auto" takes CUDA where it is, else the CPU.

    Apple's is never taken unasked: nobody has run this package on it yet.

    Raises:
        MachineError: the device asked for is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = "cuda" if there["cuda"] else "cpu"
    if not there.get(name.split(":")[0], False):
        raise MachineError(
            f"device {name!r} is not available to torch {torch.__version__}: "
            "use --device cpu, or see `modernbert doctor`"
        )
    return torch.device(name)


def choose_precision(name: str, device: torch.device, width: int) -> Precision:
    """Return the precision of a name; "auto" takes bfloat16 where a model so wide gains by it."""
    if name == "float32" or (name == "auto" and not _gains_by_bfloat16(device, width)):
        return "float32"
    return "bfloat16"


@dataclass(frozen=True, slots=True)
class Autocast:
    """How forward passes are run on a device; weights stay float32."""

    device: torch.device
    precision: Precision

    def __call__(self) -> torch.autocast:
        """Return the context of one forward pass."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"
        )


def multiply_rate(device: torch.device, precision: Precision, width: int = _PROBE) -> float:
    """Measure the device's own rate of a training-like matrix product, in FLOP/s.

    It takes about a third of a second and is the yardstick that utilisation is measured by.
    """
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    layer = nn.Linear(width, width, bias=False, device=device, dtype=dtype)
    x = torch.ones(width, width, device=device, dtype=dtype)
    with torch.no_grad():
        layer(x)
        best, until = float("inf"), time.perf_counter() + 0.3
        while time.perf_counter() < until:
            best = min(best, _seconds(layer, x))
    return 2.0 * width**3 / best


def _seconds(layer: nn.Linear, x: torch.Tensor) -> float:
    start = time.perf_counter()
    layer(x)
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
    layer, autocast = nn.Linear(width, 3 * width, bias=False), Autocast(_CPU, precision)
    seconds = []
    for length in _PROBED_LENGTHS:
        x = torch.ones(length, width, requires_grad=True)
        start = time.perf_counter()
        for _ in range(_PROBED_LAYERS):
            with torch.enable_grad(), autocast():
                total = layer(x).sum()
            total.backward()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:])
