"""Compiled graphs give the eager numbers; run in a process of its own, without the type hook."""

import pytest
import torch

from modernbert.base import device
from tests.nets import batch_of, config_of, lively

# All are raised inside torch's own compiler.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
    pytest.mark.filterwarnings("ignore:The .grad attribute"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated"),
]

PLACES, TARGETS = torch.tensor([0, 71, 200]), torch.tensor([5, 6, 7])


def run(model, batch):
    loss, correct = model.masked_lm(batch, PLACES, TARGETS)
    return loss, correct, *torch.autograd.grad(loss, list(model.parameters()))


@pytest.mark.parametrize("backend", ["banded", "padded"])
def test_compiled_layers_give_the_same_numbers(backend):
    model = lively(config_of())
    model.encoder.backend = backend
    batches = [batch_of([70, 3, 140]), batch_of([9, 100, 100, 64])]
    expected = [run(model, batch) for batch in batches]
    for layer in model.encoder.layers:
        layer.compile(backend="eager", dynamic=True)
    for batch, plain in zip(batches, expected, strict=True):
        for ours, theirs in zip(run(model, batch), plain, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_products_by_onednn_are_compiled_too(monkeypatch):
    monkeypatch.setattr(device, "MKL_IS_NARROW", True)
    monkeypatch.setattr("modernbert.kernels.linear._FEWEST", 1)
    model = lively(config_of(num_layers=2))
    batches = [batch_of([70, 3, 140]), batch_of([9, 100, 100, 64])]
    expected = [run(model, batch) for batch in batches]
    for layer in model.encoder.layers:
        layer.compile(dynamic=True)
    for batch, plain in zip(batches, expected, strict=True):
        for ours, theirs in zip(run(model, batch), plain, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("is_training", [False, True])
def test_compiled_kernels_take_any_length_in_bfloat16(is_training):
    model = lively(config_of(num_layers=2))
    given = [batch_of([70, 3, 140]), batch_of([9, 100, 100, 64])]

    def numbers(batch):
        if is_training:
            with torch.autocast("cpu", torch.bfloat16):
                return run(model, batch)
        with torch.inference_mode():
            return [model.encoder(batch)]

    model = model if is_training else model.to(torch.bfloat16)
    expected = [numbers(batch) for batch in given]
    for layer in model.encoder.layers:
        layer.compile(dynamic=True)
    for batch, plain in zip(given, expected, strict=True):
        for ours, theirs in zip(numbers(batch), plain, strict=True):
            off = (ours.double() - theirs.double()).norm() / theirs.double().norm().clamp(min=1)
            assert off < 0.05


def test_a_compiled_model_gives_the_same_numbers():
    model, batch = lively(config_of()), batch_of([70, 3, 140])
    expected = model(batch)
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(compiled(batch), expected)
