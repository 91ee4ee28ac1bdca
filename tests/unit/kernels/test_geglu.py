import pytest
import torch

from modernbert.kernels.geglu import ACTIVATIONS, gated


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_activated_half_comes_first(activation):
    both = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    expected = ACTIVATIONS[activation](both[:, :4]) * both[:, 4:]
    assert torch.equal(gated(both, activation), expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_slopes(activation):
    both = torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).double()
    assert torch.autograd.gradcheck(lambda x: gated(x, activation), both.requires_grad_())
