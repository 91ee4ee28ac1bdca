"""Who else is running: rank, world size and sums over ranks; no-ops when alone."""

import torch
from torch import distributed


def rank() -> int:
    """Return this process's number, 0 when alone."""
    return distributed.get_rank() if _is_shared() else 0


def world_size() -> int:
    """Return how many processes train together, 1 when alone."""
    return distributed.get_world_size() if _is_shared() else 1


def total(values: list[float], device: torch.device) -> list[float]:
    """Add each value over all ranks, in float64."""
    if not _is_shared():
        return values
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(summed)
    return [float(value) for value in summed.tolist()]


def _is_shared() -> bool:
    return distributed.is_available() and distributed.is_initialized()
