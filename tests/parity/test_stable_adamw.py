"""StableAdamW against the formulas of its paper, written again in numpy and float64."""

import numpy as np
import pytest
import torch
from torch import nn

from modernbert.base.rng import generator
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW


def by_the_book(weight, grads, lrs, peak_lr, decay, betas=(0.9, 0.98), eps=1e-6):
    """Bias-corrected moments and RMS-clipped rates, one step at a time (arXiv 2304.13013)."""
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    for t, (grad, lr) in enumerate(zip(grads, lrs, strict=True), start=1):
        m = betas[0] * m + (1 - betas[0]) * grad
        v = betas[1] * v + (1 - betas[1]) * grad**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        rms = np.sqrt(np.mean(grad**2 / np.maximum(v_hat, eps**2)))
        lr = lr / max(1.0, rms)
        weight = weight * (1 - lr / peak_lr * decay) - lr * m_hat / (np.sqrt(v_hat) + eps)
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("is_fused", [True, False])
def test_equals_the_paper(decay, is_fused):
    rng = generator(0, "stable adamw")
    start = rng.standard_normal((7, 5))
    grads = [rng.standard_normal((7, 5)) * scale for scale in (1, 1, 0, 30, 1e-9, 1)]
    lrs = [1e-3, 2e-3, 4e-3, 4e-3, 4e-3, 1e-3]
    # torch's kernel takes only tensors whose elements lie in order.
    laid = torch.tensor(start) if is_fused else torch.tensor(start.T.copy()).T
    weight = nn.Parameter(laid)
    optimizer = StableAdamW([weight], lr=4e-3, weight_decay=decay)
    for grad, lr in zip(grads, lrs, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        weight.grad = torch.tensor(grad)
        optimizer.step()
    truth = by_the_book(start, grads, lrs, peak_lr=4e-3, decay=decay)
    np.testing.assert_allclose(weight.detach().numpy(), truth, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("is_fused", [True, False])
def test_gradients_that_name_rows_move_all_rows_as_whole_ones_do(is_fused):
    rng = generator(2, "stable adamw")
    start = rng.standard_normal((7, 5))
    named = [[1, 3, 1], [0], [], [6, 5, 6, 6], [3]]
    values = [rng.standard_normal((len(rows), 5)) for rows in named]
    weight = nn.Parameter(torch.tensor(start) if is_fused else torch.tensor(start.T.copy()).T)
    optimizer = StableAdamW([weight], lr=4e-3, weight_decay=0.1)
    grads = []
    for rows, each in zip(named, values, strict=True):
        places = torch.tensor([rows], dtype=torch.int64)
        weight.grad = torch.sparse_coo_tensor(
            places, torch.tensor(each), (7, 5), check_invariants=True
        )
        grads.append(weight.grad.to_dense().numpy())
        optimizer.step()
    truth = by_the_book(start, grads, [4e-3] * 5, peak_lr=4e-3, decay=0.1)
    np.testing.assert_allclose(weight.detach().numpy(), truth, rtol=1e-12, atol=1e-14)
    assert optimizer.state_dict()["state"][0].keys() == {"exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize("names_rows", [False, True])
@pytest.mark.parametrize("is_fused", [True, False])
def test_without_its_clipping_it_is_torchs_adamw(is_fused, names_rows):
    rng = generator(3, "stable adamw")
    start = rng.standard_normal((7, 5))
    grads = [rng.standard_normal((7, 5)) * scale for scale in (1, 30, 1e-3, 30, 1)]
    weight = nn.Parameter(torch.tensor(start) if is_fused else torch.tensor(start.T.copy()).T)
    ours = StableAdamW([weight], lr=4e-3, weight_decay=0.1, clips_updates=False)
    other = nn.Parameter(torch.tensor(start))
    # Theirs multiplies the decay by the rate; ours is at its peak throughout.
    theirs = torch.optim.AdamW([other], 4e-3, (0.9, 0.98), eps=1e-6, weight_decay=0.1 / 4e-3)
    for grad in grads:
        other.grad = torch.tensor(grad)
        weight.grad = torch.tensor(grad).to_sparse(1) if names_rows else torch.tensor(grad)
        ours.step()
        theirs.step()
    np.testing.assert_allclose(weight.detach(), other.detach(), rtol=1e-6)


def test_one_dimensional_tensors_do_not_decay():
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 3), nn.LayerNorm(3))
    decayed, spared = decay_groups(model.named_parameters(), 0.5)
    assert {tuple(p.shape) for p in decayed["params"]} == {(4, 3), (3, 3)}
    assert [p.dim() for p in spared["params"]] == [1, 1, 1]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0.0)


def test_state_survives_its_dict():
    rng = generator(1, "stable adamw")
    grads = [torch.tensor(rng.standard_normal(6)) for _ in range(6)]

    def run(stop):
        weight = nn.Parameter(torch.zeros(6, dtype=torch.float64))
        optimizer = StableAdamW([weight], lr=0.1)
        for index, grad in enumerate(grads):
            if index == stop:
                fresh = StableAdamW([weight], lr=0.1)
                fresh.load_state_dict(optimizer.state_dict())
                optimizer = fresh
            weight.grad = grad
            optimizer.step()
        return weight.detach()

    assert torch.equal(run(3), run(None))
