"""Attention a head at a time: what the oracle says, where the fused kernel is slow."""

import pytest
import torch

from modernbert.base import device
from modernbert.batch import Layout
from modernbert.kernels.attention import attend, by_head
from tests.parity.tolerance import assert_as_accurate
from tests.unit.kernels.test_attention import Largest, qkv_of

LENGTHS = [70, 3, 90, 90, 9, 120]
"""The two of 90 are read as one grid, those of less than a block by the fused kernel."""


@pytest.fixture
def heads(monkeypatch):
    """Shapes of the queries that are read a head at a time."""
    seen, real = [], by_head.attend

    def watched(q, k, v):
        seen.append(tuple(q.shape))
        return real(q, k, v)

    monkeypatch.setattr(by_head, "attend", watched)
    monkeypatch.setattr(device, "MKL_IS_NARROW", True)
    monkeypatch.setattr(by_head, "_SHORTEST", 40)
    monkeypatch.setattr(by_head, "_ROWS", 32)
    return seen


def read(dtype, window=None, backend="banded"):
    layout = Layout.of(LENGTHS)
    return attend(*qkv_of(sum(LENGTHS), dtype), layout, window, backend)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_cast", [False, True])
def test_it_says_what_the_oracle_says(dtype, is_cast, heads, monkeypatch):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_cast):
        ours = read(dtype)
    assert ours.dtype == dtype
    assert sorted(heads) == [(1, 2, 70, 8), (1, 2, 120, 8), (2, 2, 90, 8)]
    monkeypatch.setattr(device, "MKL_IS_NARROW", False)
    assert_as_accurate(ours, read(dtype), read(torch.float64, backend="oracle"))
    assert len(heads) == 3


def test_its_scores_are_made_some_rows_at_a_time(heads):
    with Largest() as largest:
        attend(*qkv_of(1000), Layout.of([1000]), None, "banded")
    assert heads
    assert largest.numel < 1000 * 1000 / 4


def test_gradients_and_windows_keep_the_fused_kernel(heads):
    read(torch.float32, window=8)
    read(torch.float64)
    qkv = [x.requires_grad_() for x in qkv_of(sum(LENGTHS))]
    attend(*qkv, Layout.of(LENGTHS), None, "banded").sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in qkv)
    assert not heads
