"""A device and a precision in, the most FLOP/s that it could do out, and who says so."""

import torch

from modernbert.base.device import Precision
from modernbert.kernels.precision import multiply_rate

# Dense bfloat16 with sums in float32, in TFLOP/s, from NVIDIA's data sheets, which print twice as
# much "with sparsity" where a card has that. The first name that a card's begins with counts.
_CARDS = {
    "NVIDIA B200": 2250.0,
    "NVIDIA H200 NVL": 835.5,
    "NVIDIA H200": 989.5,
    "NVIDIA GH200": 989.5,
    "NVIDIA H100 PCIe": 756.5,
    "NVIDIA H100 NVL": 835.5,
    "NVIDIA H100": 989.5,
    "NVIDIA A100": 312.0,
    "NVIDIA L40S": 362.0,
    "NVIDIA L4": 121.0,
    "NVIDIA A10": 125.0,
    "NVIDIA GeForce RTX 4090": 165.2,
    "NVIDIA GeForce RTX 3090": 71.0,
}
_WIDE = 8192
"""Rows and columns of the matrices by which an unknown card is measured."""

DATA_SHEET, MEASURED = "data sheet", "measured product"


def peak(device: torch.device, precision: Precision) -> tuple[float, str]:
    """Return the rate that utilisation is a share of, and where it comes from.

    It is the data sheet's for a known card in bfloat16; elsewhere, as on every CPU, it is what
    this machine reaches on a product of square matrices just now.
    """
    if device.type != "cuda":
        return multiply_rate(device, precision), MEASURED
    told = of_card(torch.cuda.get_device_name(device)) if precision == "bfloat16" else None
    if told is not None:
        return told, DATA_SHEET
    return multiply_rate(device, precision, _WIDE), MEASURED


def of_card(name: str) -> float | None:
    """Return what the data sheet of a card says; None for an unknown one."""
    told = (rate for card, rate in _CARDS.items() if _is(name, card))
    return next((1e12 * rate for rate in told), None)


def _is(name: str, card: str) -> bool:
    """Return whether a name is a card's, or begins with it and goes on with a word of its own."""
    return f"{name} ".replace("-", " ").startswith(f"{card} ")
