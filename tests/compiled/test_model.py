"""Compiled graphs give the eager numbers; run in a process of its own, without the type hook."""

import pytest
import torch

from tests.nets import batch_of, config_of, lively

# Both are raised inside torch's own tracing.
pytestmark = [
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


def test_a_compiled_model_gives_the_same_numbers():
    model, batch = lively(config_of()), batch_of([70, 3, 140])
    expected = model(batch)
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(compiled(batch), expected)
