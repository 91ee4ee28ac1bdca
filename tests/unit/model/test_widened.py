"""Half-precision weights computed in float32, or not, by what the processor has."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from modernbert.base import device
from modernbert.kernels.linear import linear as product
from modernbert.model.widened import widely
from tests.nets import batch_of, config_of, lively
from tests.parity.tolerance import distance

HALVES = (torch.bfloat16, torch.float16)
LENGTHS = [70, 3, 140]


def pretend(monkeypatch, *slow):
    monkeypatch.setattr(device, "SLOW_ON_CPU", frozenset(slow))


@pytest.mark.parametrize("dtype", HALVES)
def test_a_slow_format_is_multiplied_in_float32(dtype, monkeypatch):
    torch.manual_seed(0)
    linear, x = nn.Linear(64, 8, dtype=dtype), torch.randn(5, 64, dtype=dtype)
    pretend(monkeypatch, dtype)
    wide = product(x.float(), linear.weight.float(), linear.bias.float())
    assert torch.equal(widely(linear, x), wide)
    assert linear.weight.dtype == dtype
    pretend(monkeypatch)
    assert torch.equal(widely(linear, x), linear(x))
    assert widely(linear, x).dtype == dtype


def encoded(encoder, batch):
    encoder.zero_grad()
    out = encoder(batch)
    out.float().square().sum().backward()
    return out.detach(), {name: weight.grad for name, weight in encoder.named_parameters()}


@pytest.mark.parametrize("dtype", HALVES)
def test_a_widened_encoder_strays_less_and_keeps_its_format(dtype, monkeypatch):
    encoder, batch = lively(config_of()).encoder, batch_of(LENGTHS)
    encoder.to(dtype)
    exact, _ = encoded(encoder.double(), batch)
    encoder.to(dtype)
    pretend(monkeypatch)
    plain, _ = encoded(encoder, batch)
    pretend(monkeypatch, *HALVES)
    out, gradients = encoded(encoder, batch)
    assert out.dtype == dtype
    assert all(each.dtype == dtype and each.abs().sum() > 0 for each in gradients.values())
    assert distance(out, exact) < distance(plain, exact)
    for layer in encoder.layers:
        forward = layer.forward
        layer.forward = lambda *args, f=forward: checkpoint(f, *args, use_reentrant=False)
    again, same = encoded(encoder, batch)
    assert torch.equal(again, out)
    assert all(torch.equal(same[name], each) for name, each in gradients.items())
