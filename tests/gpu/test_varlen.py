"""The backends of CUDA against the formula in float64, forward and backward."""

import pytest
import torch

from modernbert.batch import Layout
from modernbert.kernels.attention import attend, backend_for, flash
from tests.gpu.devices import BACKENDS, BOTH, needs_cuda
from tests.parity.test_attention_backends import LAYOUTS, run
from tests.parity.tolerance import distance

MORE = LAYOUTS | {
    "tokens": [1] * 50,
    "many": list(range(1, 41)),
    "around half a window": [3, 4, 5, 63, 64, 65, 66],
    "a block of the kernel": [127, 128, 129],
}


def drawn(num_tokens: int, dtype: torch.dtype, width: int = 64) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randn(3, num_tokens, 2, width, generator=source).to(dtype)


def run_on(device, qkv, layout, window, backend):
    found = run(qkv.to(device), layout.to(device), window, backend)
    return [x.cpu() for x in found]


def rounding(qkv, num_tokens: int) -> float:
    """What float32 leaves of two sums that cancel, as they do where a token sees itself alone."""
    longest = qkv.float().norm(dim=-1).max().item()
    return torch.finfo(torch.float32).eps * num_tokens**0.5 * longest**3


@BACKENDS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("window", [None, 2, 7, 8, 128])
@pytest.mark.parametrize("lengths", MORE.values(), ids=MORE)
@pytest.mark.parametrize("is_causal", [False, True], ids=["both sides", "causal"])
def test_a_backend_is_as_accurate_as_the_formula(
    device, backend, is_causal, dtype, window, lengths
):
    qkv, layout = drawn(sum(lengths), dtype), Layout.of(lengths, is_causal=is_causal)
    truth = run(qkv.double(), layout, window, "oracle")
    naive = run(qkv, layout, window, "oracle")
    ours = run_on(device, qkv, layout, window, backend)
    for name, mine, plain, right in zip("xqkv", ours, naive, truth, strict=True):
        allowed = 2 * distance(plain, right) + rounding(qkv, sum(lengths))
        assert distance(mine, right) <= allowed, name


@BACKENDS
@pytest.mark.parametrize("width", [32, 64, 128])
def test_heads_may_have_other_widths(device, backend, width):
    qkv, layout = drawn(200, torch.bfloat16, width), Layout.of([150, 50])
    truth = run(qkv.double(), layout, 128, "oracle")
    naive = run(qkv, layout, 128, "oracle")
    for mine, plain, right in zip(
        run_on(device, qkv, layout, 128, backend), naive, truth, strict=True
    ):
        assert distance(mine, right) <= 2 * distance(plain, right)


@BACKENDS
@pytest.mark.parametrize("window", [2, 7, 8, 128, 130])
def test_the_window_ends_exactly_half_a_window_away(device, backend, window):
    near, middle, layout = window // 2, 150, Layout.of([300]).to(device)
    q, k, v = drawn(300, torch.bfloat16).to(device)
    base = attend(q, k, v, layout, window, backend)
    for offset, is_seen in ((near, True), (near + 1, False), (-near, True), (-near - 1, False)):
        moved = v.clone()
        moved[middle + offset] += 100
        change = attend(q, k, moved, layout, window, backend) - base
        assert bool(change[middle].abs().max() > 0) == is_seen, offset


@BACKENDS
@pytest.mark.parametrize("window", [None, 128])
def test_a_document_does_not_see_its_neighbours(device, backend, window):
    layout = Layout.of([60, 1, 139]).to(device)
    q, k, v = drawn(200, torch.bfloat16).to(device)
    base = attend(q, k, v, layout, window, backend)
    moved = v.clone()
    moved[60] += 100
    changed = (attend(q, k, moved, layout, window, backend) - base).abs().amax((1, 2)) > 0
    assert changed.nonzero().flatten().tolist() == [60]


@BOTH
def test_gradients_under_a_mask_are_numbers(device):
    """A kernel of cuDNN gives NaN at such lengths where all scores are low (pytorch#196678)."""
    qkv = 0.1 * drawn(704, torch.bfloat16)
    qkv[0, ..., 0], qkv[1, ..., 0] = 1, -120 * 64**0.5
    for window in (None, 128):
        for found in run_on(device, qkv, Layout.of([704]), window, "padded"):
            assert found.isfinite().all()


def is_there(kernel: str) -> bool:
    return torch.cuda.is_available() and flash.is_installed(kernel)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(
            name, marks=pytest.mark.skipif(not is_there(name), reason=f"{name} is not there")
        )
        for name in flash.PACKAGES
    ],
)
@pytest.mark.parametrize("window", [None, 128])
def test_newer_kernels_are_as_accurate(kernel, window):
    qkv, layout = drawn(600, torch.bfloat16), Layout.of([1, 300, 65, 234])
    truth = run(qkv.double(), layout, window, "oracle")
    naive = run(qkv, layout, window, "oracle")
    flash.activate(kernel)
    try:
        ours = run_on("cuda", qkv, layout, window, "varlen")
    finally:
        flash.restore()
    for mine, plain, right in zip(ours, naive, truth, strict=True):
        assert distance(mine, right) <= 2 * distance(plain, right) + rounding(qkv, 600)


@needs_cuda
def test_the_device_and_the_precision_choose():
    device = torch.device("cuda")
    assert backend_for(device, torch.float32) == "padded"
    is_new = torch.cuda.get_device_capability() >= (8, 0)
    assert backend_for(device, torch.bfloat16) == ("varlen" if is_new else "padded")
