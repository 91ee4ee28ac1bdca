import pytest
import torch
import torch.nn.functional as F

from modernbert.kernels.cross_entropy import masked_lm_loss
from tests.parity.tolerance import assert_as_accurate
from tests.unit.kernels.test_attention import Largest

ROWS, DIM, VOCAB = 23, 16, 50


def drawn(dtype=torch.float32, rows=ROWS):
    source = torch.Generator().manual_seed(3)
    hidden = torch.randn(rows, DIM, generator=source)
    weight = torch.randn(VOCAB, DIM, generator=source)
    bias = torch.randn(VOCAB, generator=source)
    targets = torch.randint(VOCAB, (rows,), generator=source)
    return [x.to(dtype).requires_grad_() for x in (hidden, weight, bias)], targets


def naive(hidden, weight, bias, targets):
    logits = F.linear(hidden, weight, bias)
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(exact, targets, reduction="sum")


def with_gradients(loss, given):
    return loss, *torch.autograd.grad(loss * 0.5, given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("chunk_rows", [1, 7, 100, None])
def test_loss_and_gradients_are_as_accurate_as_the_formula(dtype, chunk_rows):
    given, targets = drawn(dtype)
    exact = [x.detach().double().requires_grad_() for x in given]
    truth = with_gradients(naive(*exact, targets), exact)
    plain = with_gradients(naive(*given, targets), given)
    ours = with_gradients(masked_lm_loss(*given, targets, chunk_rows)[0], given)
    assert ours[0].dtype == torch.float32
    for mine, theirs, right in zip(ours, plain, truth, strict=True):
        assert_as_accurate(mine, theirs, right)


@pytest.mark.slow
def test_gradients_are_slopes():
    given, targets = drawn(torch.float64, rows=5)
    assert torch.autograd.gradcheck(lambda *x: masked_lm_loss(*x, targets, 2)[0], given)


def test_right_guesses_are_counted():
    (hidden, weight, bias), targets = drawn()
    expected = (F.linear(hidden, weight, bias).argmax(-1) == targets).sum()
    assert masked_lm_loss(hidden, weight, bias, targets, 4)[1] == expected
    best = F.linear(hidden, weight, bias).argmax(-1)
    assert masked_lm_loss(hidden, weight, bias, best, 4)[1] == ROWS


def test_a_decoder_without_bias():
    (hidden, weight, bias), targets = drawn()
    plain = naive(hidden, weight, torch.zeros_like(bias), targets)
    torch.testing.assert_close(masked_lm_loss(hidden, weight, None, targets)[0], plain)


def test_no_hidden_row_gives_zeros():
    given, targets = drawn(rows=0)
    loss, correct = masked_lm_loss(*given, targets)
    loss.backward()
    assert (loss, correct) == (0, 0)
    assert not given[1].grad.any()


def test_all_logits_are_never_held():
    given, targets = drawn(rows=4 * DIM * 10)
    with Largest() as largest:
        masked_lm_loss(*given, targets, 8)[0].backward()
    assert largest.numel < len(targets) * VOCAB // 2


def test_without_gradients_none_are_formed():
    given, targets = drawn()
    with torch.no_grad(), Largest() as largest:
        masked_lm_loss(*given, targets, 1)
    assert largest.numel <= given[1].numel()


def test_autocast_multiplies_in_bfloat16_and_sums_in_float32():
    given, targets = drawn()
    narrow = [x.detach().bfloat16().requires_grad_() for x in given]
    with torch.autocast("cpu", torch.bfloat16):
        ours = with_gradients(masked_lm_loss(*given, targets, 7)[0], given)
    expected = with_gradients(masked_lm_loss(*narrow, targets, 7)[0], narrow)
    assert all(x.dtype == torch.float32 for x in ours)
    for mine, theirs in zip(ours, expected, strict=True):
        assert torch.equal(mine.to(theirs.dtype), theirs)
