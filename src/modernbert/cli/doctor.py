"""What a machine has in, a page a person or a program reads out."""

from typing import Any

import torch

from modernbert.base import machine
from modernbert.base.device import MKL_IS_NARROW, SLOW_ON_CPU, Precision, choose_device
from modernbert.kernels.attention import BACKENDS, backend_for
from modernbert.kernels.precision import choose_precision, multiply_rate
from modernbert.model.config import EncoderConfig


def examine() -> dict[str, Any]:
    """Look at versions, devices, precision and attention backends; takes about three seconds."""
    device = choose_device("auto")
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    return {
        "versions": machine.versions(),
        "machine": machine.machine(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "device_name": torch.cuda.get_device_name() if device.type == "cuda" else "",
        "gflops": {p: round(multiply_rate(device, p) / 1e9, 1) for p in precisions},
        "precision": choose_precision("auto", device, EncoderConfig().dim),
        "widened": sorted(str(each).removeprefix("torch.") for each in SLOW_ON_CPU)
        if device.type == "cpu"
        else [],
        "by_onednn": device.type == "cpu" and MKL_IS_NARROW,
        "attention": backend_for(device),
        "attention_backends": sorted(BACKENDS),
        "commit": machine.commit(),
    }


def spelled(found: dict[str, Any]) -> str:
    """Write the findings as lines."""
    host = found["machine"]
    rates = ", ".join(f"{name} {rate} GFLOP/s" for name, rate in found["gflops"].items())
    lines = [
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        f"{host['system']}, {host['processor']}, {host['cores']} cores, "
        f"{host['memory_bytes'] / 1e9:.1f} GB",
        f"device: {found['device']} {found['device_name']}".rstrip()
        + f", {found['threads']} threads",
        f"matrix products: {rates}; training at base's width uses {found['precision']}",
        f"attention: {found['attention']} (of {', '.join(found['attention_backends'])})",
    ]
    if found["widened"]:
        lines.append(f"weights in {' and '.join(found['widened'])} are multiplied in float32 here")
    if found["by_onednn"]:
        lines.append("products in float32 go through oneDNN here, which is faster than torch's MKL")
    return "\n".join(lines)
