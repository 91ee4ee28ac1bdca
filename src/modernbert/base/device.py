"""Which device computes, and what the processor's units are good at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from modernbert.base import machine
from modernbert.base.errors import MachineError

Precision = Literal["float32", "bfloat16"]

# What torch.cpu.get_capabilities calls units that multiply a format, on x86 and on ARM.
_UNITS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16", "bf16"),
    torch.float16: ("avx512_fp16", "amx_fp16", "fp16_arith"),
}


def _capabilities() -> Mapping[str, Any] | None:
    try:
        from torch.cpu import get_capabilities
    except ImportError:  # an older torch cannot say, and is left to its own ways
        return None
    there: Mapping[str, Any] = get_capabilities()
    return there


def _slow_on_cpu(there: Mapping[str, Any] | None) -> frozenset[torch.dtype]:
    if there is None:
        return frozenset()
    return frozenset(dtype for dtype, units in _UNITS.items() if not any(map(there.get, units)))


def _is_mkl_narrow(there: Mapping[str, Any] | None, vendor: str) -> bool:
    has_both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return has_both and bool((there or {}).get("avx512_f")) and vendor != "GenuineIntel"


_THERE = _capabilities()
SLOW_ON_CPU = _slow_on_cpu(_THERE)
"""Formats that torch multiplies at a fraction of the rate of float32 on this processor."""
MKL_IS_NARROW = _is_mkl_narrow(_THERE, machine.vendor())
"""Whether MKL, by which torch multiplies float32, uses half of each of this processor's vectors:
those of AVX-512 where Intel did not make them. oneDNN, which torch carries too, uses them whole."""


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
