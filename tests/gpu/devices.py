"""Where a test of this folder runs: on CUDA, or on a CPU too, so that its own code is exercised."""

import pytest
import torch

CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


def needs_cuda(test):
    """Mark a test that a CPU cannot run at all."""
    for mark in CUDA:
        test = mark(test)
    return test


BOTH = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CUDA)])

BACKENDS = pytest.mark.parametrize(
    ("device", "backend"),
    [
        ("cpu", "banded"),
        pytest.param("cuda", "varlen", marks=CUDA),
        pytest.param("cuda", "padded", marks=CUDA),
    ],
)


def peak_bytes(work) -> int:
    """Do a work once to set things up, and return what it needs there above what is held."""
    work()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
