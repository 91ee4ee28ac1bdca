"""Muon against its formula, written again by singular values in float64, and against torch's."""

import numpy as np
import pytest
import torch
from torch import nn

from modernbert.base.rng import generator
from modernbert.optim.stable_adamw import StableAdamW
from tests.parity.tolerance import assert_as_accurate

LRS = (1e-3, 2e-3, 4e-3, 4e-3, 1e-3)
SHAPES = {"square": (6, 6), "wide": (4, 9), "tall": (9, 4)}


def bent(matrix):
    """Five rounds of the polynomial, on singular values alone."""
    left, values, right = np.linalg.svd(matrix / np.linalg.norm(matrix), full_matrices=False)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left @ np.diag(values) @ right


def by_the_book(weight, grads, lrs, peak_lr, decay):
    momentum = np.zeros_like(weight)
    for grad, lr in zip(grads, lrs, strict=True):
        momentum = 0.95 * momentum + 0.05 * grad
        step = 0.2 * np.sqrt(max(weight.shape)) * bent(0.05 * grad + 0.95 * momentum)
        weight = weight * (1 - lr / peak_lr * decay) - lr * step
    return weight


def moved(start, grads, lrs, pieces, decay=0.1):
    weight = nn.Parameter(torch.tensor(start))
    group = {"params": [weight], "pieces": pieces}
    optimizer = StableAdamW([group], lr=4e-3, weight_decay=decay)
    for grad, lr in zip(grads, lrs, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        weight.grad = torch.tensor(grad)
        optimizer.step()
    assert optimizer.state[weight].keys() == {"momentum"}
    return weight.detach()


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_each_matrix_moves_as_the_formula_says(shape, pieces, decay):
    rng = generator(0, "muon")
    starts = rng.standard_normal((pieces, *shape))
    grads = [rng.standard_normal((pieces, *shape)) * scale for scale in (1, 1e-3, 30, 1, 1)]
    truth = [
        by_the_book(start, [grad[at] for grad in grads], LRS, 4e-3, decay)
        for at, start in enumerate(starts)
    ]
    joined = [grad.reshape(-1, shape[1]) for grad in grads]
    found = moved(starts.reshape(-1, shape[1]), joined, LRS, pieces, decay)
    np.testing.assert_allclose(found.numpy(), np.concatenate(truth), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_it_is_nearer_to_the_formula_than_torchs(shape):
    rng = generator(1, "muon")
    start = rng.standard_normal(shape)
    grads = [rng.standard_normal(shape) for _ in range(5)]
    other = nn.Parameter(torch.tensor(start, dtype=torch.float32))
    # Theirs multiplies the decay by the rate; ours is at its peak throughout.
    theirs = torch.optim.Muon(
        [other], 4e-3, weight_decay=0.1 / 4e-3, adjust_lr_fn="match_rms_adamw"
    )
    for grad in grads:
        other.grad = torch.tensor(grad, dtype=torch.float32)
        theirs.step()
    truth = torch.tensor(by_the_book(start, grads, [4e-3] * 5, 4e-3, 0.1))
    small = [grad.astype(np.float32) for grad in grads]
    ours = moved(start.astype(np.float32), small, [4e-3] * 5, 1)
    assert_as_accurate(ours, other, truth, slack=1.0)
    # What torch's bfloat16 costs, and no more: the two agree on the way.
    way = (truth - torch.tensor(start)).norm()
    assert (other.detach() - truth).norm() < 0.02 * way
    assert (ours - truth).norm() < 1e-5 * way


def test_a_gradient_of_nothing_moves_nothing():
    start = generator(2, "muon").standard_normal((6, 4))
    found = moved(start, [np.zeros((6, 4))] * 3, LRS[:3], 2, decay=0.0)
    np.testing.assert_array_equal(found.numpy(), start)
