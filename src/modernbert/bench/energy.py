"""A device in, a counter of the joules that it has taken out, where the system lets it be read."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

Joules = Callable[[], float]
"""Joules since some moment; differences count."""

_POWERCAP = Path("/sys/class/powercap")


def counter_of(device: str) -> Joules | None:
    """Return the counter of a processor's packages, or of the GPU; None where there is none.

    A package counts all that runs on it, other programs too.
    """
    return _gpu_counter() if device == "cuda" else packages(_POWERCAP)


def packages(folder: Path) -> Joules | None:
    """Return the counter of all packages of a processor, as Linux lists them in a folder."""
    # intel-rapl:0 is a package, intel-rapl:0:1 a part of it; AMD's are called the same.
    found = [
        _Package(path / "energy_uj", int((path / "max_energy_range_uj").read_text()))
        for path in sorted(folder.glob("intel-rapl:*"))
        if path.name.count(":") == 1 and _is_readable(path / "energy_uj")
    ]
    return (lambda: sum(package.joules() for package in found)) if found else None


@dataclass(slots=True)
class _Package:
    """A counter that begins again when it is full."""

    path: Path
    range_uj: int
    before_uj: int = 0
    total_uj: int = 0

    def joules(self) -> float:
        now = int(self.path.read_text())
        self.total_uj += (now - self.before_uj) % (self.range_uj + 1)
        self.before_uj = now
        return self.total_uj / 1e6


def _is_readable(path: Path) -> bool:
    try:
        path.read_text()
    except OSError:
        return False
    return True


def _gpu_counter() -> Joules | None:
    """Return the counter of the first visible GPU, by the driver's own library."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    handle, told = ctypes.c_void_p(), ctypes.c_ulonglong()
    name = f"GPU-{torch.cuda.get_device_properties(0).uuid}".encode()
    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)):
        return None

    def joules() -> float:
        library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(told))
        return told.value / 1e3

    is_refused = library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(told))
    return None if is_refused else joules
