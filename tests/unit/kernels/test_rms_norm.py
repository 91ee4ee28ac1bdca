import pytest
import torch
from torch.testing import assert_close

from modernbert.kernels.rms_norm import rms_norm


def given(*shape, dtype=torch.float64):
    source = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=source, dtype=torch.float64).to(dtype).requires_grad_()


def formula(x, weight, eps):
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


@pytest.mark.parametrize("shape", [(5, 8), (5, 3, 8), (0, 8)])
def test_both_ways_are_the_formula(shape):
    x, weight = given(*shape), given(8)
    expected = formula(x, weight, 1e-2)
    assert_close(rms_norm(x, weight, 1e-2), expected)
    with torch.no_grad():
        assert_close(rms_norm(x, weight, 1e-2), expected)


@pytest.mark.parametrize("shape", [(5, 8), (4, 3, 8)])
def test_gradients_are_slopes(shape):
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-2), (given(*shape), given(8)))


@pytest.mark.parametrize("is_learning", [True, False])
def test_bfloat16_is_computed_in_the_format_of_the_weight(is_learning):
    x, weight = given(50, 8, dtype=torch.bfloat16), given(8, dtype=torch.float32)
    with torch.set_grad_enabled(is_learning):
        out = rms_norm(x, weight, 1e-5)
    assert out.dtype == torch.bfloat16
    exact = formula(x.double(), weight.double(), 1e-5)
    assert_close(out.double(), exact, rtol=2**-8, atol=1e-5)


def test_gradients_have_the_format_of_what_they_move():
    x, weight = given(50, 8, dtype=torch.bfloat16), given(8, dtype=torch.float32)
    rms_norm(x, weight, 1e-5).float().square().sum().backward()
    assert (x.grad.dtype, weight.grad.dtype) == (torch.bfloat16, torch.float32)
    exact = [each.detach().double().requires_grad_() for each in (x, weight)]
    formula(*exact, 1e-5).square().sum().backward()
    for found, wide in zip((x, weight), exact, strict=True):
        assert_close(found.grad.double(), wide.grad, rtol=0.02, atol=0.05)
