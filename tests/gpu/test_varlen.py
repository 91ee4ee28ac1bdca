"""The CUDA backends against the formula, forward and backward; skipped without a device."""

import pytest
import torch

from modernbert.batch import Layout
from modernbert.kernels.attention import attend, backend_for
from tests.parity.test_attention_backends import LAYOUTS, run
from tests.parity.tolerance import assert_as_accurate

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.mark.parametrize("window", [None, 8, 128])
@pytest.mark.parametrize("lengths", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("backend", ["varlen", "padded"])
def test_a_backend_is_as_accurate_as_the_formula(backend, lengths, window):
    source = torch.Generator().manual_seed(0)
    qkv = torch.randn(3, sum(lengths), 2, 64, generator=source).bfloat16()
    layout = Layout.of(lengths)
    truth = run(qkv.double(), layout, window, "oracle")
    naive = run(qkv, layout, window, "oracle")
    ours = run_on_device(qkv, layout, window, backend)
    for mine, plain, right in zip(ours, naive, truth, strict=True):
        assert_as_accurate(mine.cpu(), plain, right)


def run_on_device(qkv, layout, window, backend):
    qkv = [x.detach().cuda().requires_grad_() for x in qkv]
    mixed = attend(*qkv, layout.to("cuda"), window, backend)
    slope = torch.arange(len(mixed), dtype=torch.float64).sin()[:, None, None].to(mixed)
    return mixed, *torch.autograd.grad((mixed * slope).sum(), qkv)


@pytest.mark.parametrize("window", [8, 128])
def test_the_window_ends_exactly_half_a_window_away(window):
    near, middle, layout = window // 2, 150, Layout.of([300]).to("cuda")
    source = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 300, 2, 64, generator=source).bfloat16().cuda()
    base = attend(q, k, v, layout, window, "varlen")
    for offset, is_seen in ((near, True), (near + 1, False), (-near, True), (-near - 1, False)):
        moved = v.clone()
        moved[middle + offset] += 100
        change = attend(q, k, moved, layout, window, "varlen") - base
        assert bool(change[middle].abs().max() > 0) == is_seen, offset


def test_float32_is_left_to_the_padded_backend():
    assert backend_for(torch.device("cuda"), torch.float32) == "padded"
