import pytest
import torch

from modernbert.batch import Layout, positions
from modernbert.kernels.rope import make_rope, rotate, rotate_
from tests.parity.tolerance import assert_as_accurate

FAR = torch.tensor([0, 1, 64, 2048, 8191])


def turned(x, place, theta=160_000.0):
    """Rotate in float64 by the definition: pairs (i, i + K/2) as complex numbers."""
    half = x.shape[-1] // 2
    frequency = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    spin = torch.polar(torch.ones(()).double(), place.double()[:, None] * frequency)[:, None]
    pairs = torch.complex(x[..., :half].double(), x[..., half:].double()) * spin
    return torch.cat([pairs.real, pairs.imag], -1)


def drawn(num_tokens, dtype):
    source = torch.Generator().manual_seed(0)
    return torch.randn(num_tokens, 3, 2, 64, generator=source).to(dtype)


def test_positions_restart_at_each_document():
    assert positions(Layout.of([3, 1, 2]), 6).tolist() == [0, 1, 2, 0, 0, 1]


def test_bfloat16_is_rounded_once_even_at_the_end_of_the_context():
    qkv = drawn(len(FAR), torch.bfloat16)
    q, k, v = rotate(qkv, make_rope(FAR, 64, 160_000.0))
    for ours, given in ((q, qkv[:, 0]), (k, qkv[:, 1])):
        truth = turned(given, FAR)
        assert_as_accurate(ours, truth.to(torch.bfloat16), truth)
    assert torch.equal(v, qkv[:, 2])


def test_tables_are_float32_and_scores_depend_on_distance_alone():
    rope = make_rope(FAR, 64, 10_000.0)
    assert rope.cos.dtype == rope.sin.dtype == torch.float32
    qkv = drawn(1, torch.float64).expand(5, -1, -1, -1)
    near = rotate(qkv, make_rope(torch.arange(5), 64, 10_000.0))
    far = rotate(qkv, make_rope(torch.arange(5) + 100, 64, 10_000.0))
    scores = [torch.einsum("qhk,thk->hqt", q, k) for q, k, _ in (near, far)]
    # 100 places further the float32 angles are that much coarser.
    assert (scores[0] - scores[1]).abs().max() < 100 * torch.finfo(torch.float32).eps * 64


def test_the_gradient_is_the_opposite_turn():
    rope = make_rope(torch.arange(5), 8, 100.0)
    qkv = torch.randn(5, 3, 2, 8, generator=torch.Generator().manual_seed(1)).double()
    assert torch.autograd.gradcheck(lambda x: rotate(x, rope), qkv.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_in_place_the_numbers_are_the_same_and_the_memory_is_the_callers(dtype):
    rope = make_rope(torch.arange(300), 64, 10_000.0)
    qkv = drawn(300, dtype)
    wanted = rotate(qkv.clone(), rope)
    with torch.no_grad():
        found = rotate_(qkv, rope)
    assert all(map(torch.equal, found, wanted))
    assert found[0].data_ptr() == qkv.data_ptr()


def test_what_a_gradient_needs_is_never_overwritten():
    rope = make_rope(torch.arange(300), 64, 10_000.0)
    qkv = drawn(300, torch.float64).requires_grad_()
    before = qkv.detach().clone()
    rotate_(qkv, rope)
    assert torch.equal(qkv, before)
