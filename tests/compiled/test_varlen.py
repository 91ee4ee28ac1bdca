"""Layers on torch's variable-length kernel are one graph each, for all lengths.

The kernel needs CUDA. Here torch's operator is given a CPU kernel that computes the formula, so
that everything around it is traced, compiled and run as it is there.
"""

from itertools import product

import pytest
import torch
from torch.nn.attention import varlen as torchs

from modernbert.batch import Layout
from modernbert.kernels.attention import BACKENDS
from modernbert.kernels.attention.oracle import attend as oracle
from modernbert.kernels.attention.oracle import shares
from modernbert.kernels.attention.varlen import call
from tests.nets import batch_of, config_of, lively

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
    pytest.mark.filterwarnings("ignore:The .grad attribute"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated"),
]

LENGTHS = ([70, 3, 140], [9, 100, 100, 64], [5] * 30, [300])


def window_of(sides) -> int | None:
    return None if sides[0] < 0 else 2 * sides[0]


def layout_of(starts, longest, sides) -> Layout:
    assert sides[1] in (sides[0], 0)
    return Layout(starts, longest, is_causal=sides[0] != sides[1])


def forward(q, k, v, starts, _, longest, __, is_causal, scale, sides, *rest):
    assert (is_causal, scale) == ([*sides] == [-1, 0], None)
    mixed = oracle(q, k, v, layout_of(starts, longest, sides), window_of(sides))
    sums = torch.zeros(q.shape[1], len(q))
    return torch.empty_like(q).copy_(mixed), sums, torch.zeros(2, dtype=torch.uint64)


def backward(grad, q, k, v, out, _, starts, __, longest, ___, ____, _____, scale=None, sides=None):
    share = shares(q, k, layout_of(starts, longest, sides), window_of(sides))
    slope = torch.einsum("qhk,thk->hqt", grad, v)
    slope = share * (slope - (slope * share).sum(-1, keepdim=True)) * q.shape[-1] ** -0.5
    grads = (
        torch.einsum("hqt,thk->qhk", slope, k),
        torch.einsum("hqt,qhk->thk", slope, q),
        torch.einsum("hqt,qhk->thk", share, grad),
    )
    return tuple(torch.empty_like(x).copy_(g) for x, g in zip((q, k, v), grads, strict=True))


@pytest.fixture
def cpu_kernels(monkeypatch):
    torchs._varlen_attn.register_kernel("cpu")(forward)
    torchs._varlen_attn_backward.register_kernel("cpu")(backward)
    # Without the look at the device, which would refuse.
    monkeypatch.setitem(BACKENDS, "varlen", call)


def numbers(model, lengths):
    batch = batch_of(lengths)
    loss, _ = model.masked_lm(batch, torch.tensor([0, 2]), torch.tensor([5, 6]))
    return loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))


@pytest.mark.parametrize("compiler", ["eager", "inductor"])
def test_layers_are_whole_graphs_that_take_any_length(cpu_kernels, compiler):
    torch._dynamo.reset()
    model = lively(config_of(num_layers=7, global_every=3))
    model.encoder.backend = "varlen"
    expected = [numbers(model, lengths) for lengths in LENGTHS]
    for layer in model.encoder.layers:
        layer.compile(backend=compiler, dynamic=True, fullgraph=True)
    for index, (lengths, plain) in enumerate(zip(LENGTHS, expected, strict=True)):
        # Three kinds of layers are traced once; then new lengths may not trace anything anew.
        with torch._dynamo.config.patch(error_on_recompile=index > 1):
            found = numbers(model, lengths)
        for ours, theirs in zip(found, plain, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_the_kernel_is_called_as_the_formula_reads(cpu_kernels):
    q, k, v = torch.randn(3, 90, 2, 16, generator=torch.Generator().manual_seed(0))
    for window, is_causal in product((None, 2, 7, 64), (False, True)):
        layout = Layout.of([1, 20, 69], is_causal=is_causal)
        expected = BACKENDS["oracle"](q, k, v, layout, window)
        torch.testing.assert_close(call(q, k, v, layout, window), expected)
