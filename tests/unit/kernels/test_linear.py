"""Products by either of torch's libraries: the same numbers, values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from modernbert.base import device
from modernbert.kernels.cross_entropy import masked_lm_loss
from modernbert.kernels.linear import add_product, linear
from tests.nets import batch_of, config_of, lively
from tests.parity.tolerance import assert_as_accurate

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)
ROWS, NARROW, WIDE = 23, 24, 40


@pytest.fixture(autouse=True)
def is_narrow(monkeypatch):
    monkeypatch.setattr(device, "MKL_IS_NARROW", True)
    monkeypatch.setattr("modernbert.kernels.linear._FEWEST", 1)


@pytest.fixture
def products(monkeypatch):
    """Shapes that oneDNN was given, in order."""
    seen = []
    real = torch.ops.mkldnn._linear_pointwise

    def watched(x, weight, *more):
        seen.append((tuple(x.shape), tuple(weight.shape)))
        return real(x, weight, *more)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", watched)
    return seen


def drawn(*shape):
    source = torch.Generator().manual_seed(3)
    sizes = (shape or (ROWS,), (NARROW,))
    x = torch.randn(*sizes[0], NARROW, generator=source)
    weight = torch.randn(WIDE, NARROW, generator=source)
    return [each.requires_grad_() for each in (x, weight, torch.randn(WIDE, generator=source))]


def with_gradients(product, given):
    y = product(*given)
    return y, *torch.autograd.grad(y.pow(3).sum(), given)


@pytest.mark.parametrize("shape", [(ROWS,), (2, 3, 5), (1,), (0,)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_values_and_gradients_are_those_of_the_formula(shape, has_bias, products):
    given = drawn(*shape)[: 3 if has_bias else 2]
    exact = with_gradients(F.linear, [each.detach().double().requires_grad_() for each in given])
    plain, ours = with_gradients(F.linear, given), with_gradients(linear, given)
    assert len(products) == (3 if given[0].numel() else 0)
    for mine, theirs, right in zip(ours, plain, exact, strict=True):
        assert_as_accurate(mine, theirs, right)


def test_a_matrix_with_gaps_is_closed_up(products, monkeypatch):
    packed = torch.ops.mkldnn._linear_pointwise
    strides = []

    def watched(x, weight, *more):
        strides.append(weight.stride())
        return packed(x, weight, *more)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", watched)
    x, weight, _ = (each.detach() for each in drawn())
    apart = torch.cat([weight, weight], 1)[:, :NARROW]
    torch.testing.assert_close(linear(x, apart), F.linear(x, weight))
    torch.testing.assert_close(linear(x, weight.t().contiguous().t()), F.linear(x, weight))
    assert strides == [(NARROW, 1), (1, WIDE)]
    assert len(products) == 2


def test_a_gradient_has_one_too():
    x, weight, _ = drawn()

    def penalty(product):
        (slope,) = torch.autograd.grad(product(x, weight).pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), weight)[0]

    torch.testing.assert_close(penalty(linear), penalty(F.linear))


def test_only_gradients_that_are_asked_for_are_made(products):
    x, weight, _ = drawn()
    linear(x.detach(), weight).sum().backward()
    assert products == [((ROWS, NARROW), (WIDE, NARROW)), ((WIDE, ROWS), (NARROW, ROWS))]
    assert x.grad is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_formats_are_left_to_torch(dtype, products):
    x, weight, bias = (each.to(dtype) for each in drawn())
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
    assert not products


def test_autocast_is_left_to_torch(products):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(*drawn()).dtype == torch.bfloat16
    assert not products


def test_processors_on_which_mkl_is_fast_keep_it(monkeypatch, products):
    monkeypatch.setattr(device, "MKL_IS_NARROW", False)
    given = drawn()
    assert torch.equal(linear(*given), F.linear(*given))
    assert not products


def test_a_counter_sees_operations_that_it_knows(products):
    x, weight, _ = drawn()
    with FlopCounterMode(display=False) as counted:
        linear(x, weight)
    assert counted.get_total_flops() == 2 * ROWS * NARROW * WIDE
    assert not products


def test_small_products_are_left_to_torch(products, monkeypatch):
    x, weight, _ = drawn()
    monkeypatch.setattr("modernbert.kernels.linear._FEWEST", ROWS * NARROW * WIDE + 1)
    linear(x, weight)
    assert not products
    monkeypatch.setattr("modernbert.kernels.linear._FEWEST", ROWS * NARROW * WIDE)
    linear(x, weight)
    assert len(products) == 1


def test_a_single_vector_is_left_to_torch(products):
    x, weight, _ = drawn()
    linear(x[0], weight).sum().backward()
    assert weight.grad.shape == weight.shape
    assert not products


class Marked(nn.Parameter):
    """A parameter with ways of its own."""


def test_tensors_with_ways_of_their_own_are_left_to_torch(products):
    x, weight, _ = drawn()
    linear(x, Marked(weight.detach()))
    assert not products


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_is_added(dtype, monkeypatch):
    monkeypatch.setattr("modernbert.kernels.linear._ADDED_ROWS", 7)
    a, b, _ = (each.detach() for each in drawn())
    total = torch.ones(ROWS, WIDE)
    add_product(total, a.to(dtype), b.to(dtype))
    torch.testing.assert_close(total, 1 + (a.to(dtype) @ b.to(dtype).T).float(), atol=0.1, rtol=0)


def learned(model, batch, targets):
    model.zero_grad()
    x = model.encoder(batch)
    head = model.head
    loss, _ = masked_lm_loss(head(x), head.decoder.weight, head.decoder.bias, targets)
    loss.backward()
    return x, loss, *(weight.grad.clone() for weight in model.parameters())


def test_a_whole_model_is_as_accurate_by_either_library(monkeypatch, products):
    model, batch = lively(config_of()), batch_of([70, 3, 140])
    targets = torch.arange(213) % model.config.vocab_size
    ours = learned(model, batch, targets)
    # Queries, keys and values, and three more: each of a layer is made, and twice undone.
    assert len(products) >= 3 * 4 * model.config.num_layers
    monkeypatch.setattr(device, "MKL_IS_NARROW", False)
    plain = learned(model, batch, targets)
    for mine, theirs, right in zip(
        ours, plain, learned(model.double(), batch, targets), strict=True
    ):
        assert_as_accurate(mine, theirs, right)
