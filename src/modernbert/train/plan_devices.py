"""Devices by name, as their makers describe them: what multiplies, how fast, in what memory."""

import re
from dataclasses import dataclass

from modernbert.base.errors import ConfigError
from modernbert.base.records import nearest

_OTHER_BOARDS = {"PCIE", "NVL"}
"""Words of a driver's name for slower boards with the same chip."""
_GIB = 2**30
"""What makers call a GB of memory."""
_CONTEXT_BYTES = 1e9
"""Of a device's memory: the driver's context and kernels."""
_LOST_SHARE = 0.03
"""Of the rest: gaps between what an allocator gave away. An estimate."""
_LOST_SHARE_CPU = 0.35
"""The same of a C library that keeps freed blocks (lab/LOG.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device, as its data sheet has it."""

    name: str
    title: str
    bfloat16_flops: float
    """Dense products in bfloat16, summed in float32, in FLOP/s; nothing sparse."""
    float32_flops: float
    """The same in float32 proper, not in TF32."""
    memory_bytes: float
    watts: float
    """What the board may draw; the rest of the machine is not in it."""
    is_cpu: bool = False
    called: str = ""
    """A word of the name that its driver gives it; empty for this machine."""

    @property
    def usable_bytes(self) -> float:
        """Memory that tensors may take."""
        lost = _LOST_SHARE_CPU if self.is_cpu else _LOST_SHARE
        return max(0.0, (self.memory_bytes - _CONTEXT_BYTES) * (1 - lost))

    def flops(self, precision: str) -> float:
        """Return the peak for a precision of products."""
        return self.bfloat16_flops if precision == "bfloat16" else self.float32_flops

    def is_called(self, driver_name: str | None) -> bool:
        """Return whether a measured row with this `gpu` is of such a device."""
        if driver_name is None:
            return self.is_cpu
        words = set(re.split(r"[^A-Z0-9]+", driver_name.upper()))
        return bool(self.called) and self.called in words and not words & _OTHER_BOARDS


DEVICES = {
    device.name: device
    for device in (
        # NVIDIA H100 Tensor Core GPU data sheet, column SXM; dense is half of what is printed.
        Device(
            name="h100",
            title="H100 SXM 80 GB",
            bfloat16_flops=989.5e12,
            float32_flops=67e12,
            memory_bytes=80 * _GIB,
            watts=700,
            called="H100",
        ),
        # NVIDIA H200 Tensor Core GPU data sheet, column SXM.
        Device(
            name="h200",
            title="H200 SXM 141 GB",
            bfloat16_flops=989.5e12,
            float32_flops=67e12,
            memory_bytes=141 * _GIB,
            watts=700,
            called="H200",
        ),
        # NVIDIA A100 Tensor Core GPU data sheet, A100 80GB SXM.
        Device(
            name="a100-80gb",
            title="A100 SXM 80 GB",
            bfloat16_flops=312e12,
            float32_flops=19.5e12,
            memory_bytes=80 * _GIB,
            watts=400,
            called="A100",
        ),
        # NVIDIA L4 Tensor Core GPU data sheet; dense is half of the 242 TFLOP/s printed. Error
        # correction takes 1.5 GB of the 24.
        Device(
            name="l4",
            title="L4 24 GB",
            bfloat16_flops=121e12,
            float32_flops=30.3e12,
            memory_bytes=22.5 * _GIB,
            watts=72,
            called="L4",
        ),
        # NVIDIA Ada GPU architecture paper, appendix A: bfloat16 summed in float32, dense.
        Device(
            name="rtx-4090",
            title="GeForce RTX 4090 24 GB",
            bfloat16_flops=165.2e12,
            float32_flops=82.6e12,
            memory_bytes=24 * _GIB,
            watts=450,
            called="4090",
        ),
        # NVIDIA HGX B200 specifications, an eighth of the system; dense is half of what is printed.
        Device(
            name="b200",
            title="B200 SXM 180 GB",
            bfloat16_flops=2250e12,
            float32_flops=75e12,
            memory_bytes=180 * _GIB,
            watts=1000,
            called="B200",
        ),
        # AMD Instinct MI300X data sheet, without sparsity.
        Device(
            name="mi300x",
            title="Instinct MI300X 192 GB",
            bfloat16_flops=1307.4e12,
            float32_flops=163.4e12,
            memory_bytes=192 * _GIB,
            watts=750,
            called="MI300X",
        ),
        # Intel Xeon Platinum 8480+: 56 cores at 2.0 GHz, 350 W (ARK). By Intel's optimization
        # manual a core makes 1024 multiplications and additions a cycle in bfloat16 with AMX, and
        # 32 in float32. Memory is that of eight modules of 32 GB.
        Device(
            name="cpu",
            title="Xeon Platinum 8480+ with 256 GB",
            bfloat16_flops=56 * 2.0e9 * 2048,
            float32_flops=56 * 2.0e9 * 64,
            memory_bytes=256 * _GIB,
            watts=350,
            is_cpu=True,
        ),
    )
}


def device_of(name: str) -> Device:
    """Return a device by its name.

    Raises:
        ConfigError: nobody knows it.
    """
    if name not in DEVICES:
        raise ConfigError(f"there is no device {name!r}: {nearest(name, [*DEVICES, 'here'])}")
    return DEVICES[name]
