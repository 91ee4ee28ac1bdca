"""Every backend that runs on a CPU against the formula, forward and backward."""

import pytest
import torch

from modernbert.base import device
from modernbert.batch import Layout
from modernbert.kernels.attention import attend
from tests.parity.tolerance import assert_all_as_accurate

LAYOUTS = {
    "one token": [1],
    "one document": [300],
    "short ones": [1, 64, 24, 30, 2, 33],
    "of one length": [21] * 5,
    "around the window": [64, 65, 66, 129],
    "mixed": [300, 3, 90, 64, 1, 200, 65],
}


def run(qkv, layout, window, backend):
    qkv = [x.detach().requires_grad_() for x in qkv]
    mixed = attend(*qkv, layout, window, backend)
    slope = torch.arange(len(mixed), dtype=torch.float64).sin()[:, None, None].to(mixed)
    return mixed, *torch.autograd.grad((mixed * slope).sum(), qkv)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("window", [None, 2, 8, 128, 300])
@pytest.mark.parametrize("lengths", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("is_causal", [False, True], ids=["both sides", "causal"])
@pytest.mark.parametrize("backend", ["banded", "padded"])
def test_a_backend_is_as_accurate_as_the_formula(backend, is_causal, lengths, window, dtype):
    source = torch.Generator().manual_seed(0)
    qkv = torch.randn(3, sum(lengths), 2, 16, generator=source).to(dtype)
    layout = Layout.of(lengths, is_causal=is_causal)
    truth = run(qkv.double(), layout, window, "oracle")
    naive = run(qkv, layout, window, "oracle")
    ours = run(qkv, layout, window, backend)
    named = [
        dict(zip(("mixed", "q", "k", "v"), each, strict=True)) for each in (ours, naive, truth)
    ]
    # Half the keys, half the chances to round: the formula alone is more exact on two of them than
    # torch's kernels, whose backward pass starts from the rounded output.
    assert_all_as_accurate(*named, slack=2.0 if is_causal else 1.5)


@pytest.mark.parametrize("backend", ["banded", "padded"])
def test_large_scores_overflow_nothing(backend):
    source = torch.Generator().manual_seed(0)
    qkv = 100 * torch.randn(3, 90, 2, 16, generator=source)
    layout = Layout.of([20, 70])
    for mine in run(qkv, layout, 8, backend):
        assert mine.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("window", [None, 2, 8, 128, 300])
@pytest.mark.parametrize("lengths", [*LAYOUTS.values(), [900], [70] * 12], ids=str)
@pytest.mark.parametrize("is_causal", [False, True], ids=["both sides", "causal"])
def test_without_gradients_the_same_numbers_come_from_views(
    is_causal, lengths, window, dtype, monkeypatch
):
    # The other products know no causal layout: there this one may be left to them.
    monkeypatch.setattr(device, "MKL_IS_NARROW", is_causal)
    source = torch.Generator().manual_seed(0)
    qkv = torch.randn(sum(lengths), 3, 2, 16, generator=source).to(dtype).unbind(1)
    layout = Layout.of(lengths, is_causal=is_causal)
    kept, *_ = run([x.contiguous() for x in qkv], layout, window, "banded")
    assert torch.equal(attend(*qkv, layout, window, "banded"), kept)
