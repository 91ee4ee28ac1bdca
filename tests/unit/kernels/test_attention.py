import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from modernbert.base.errors import ConfigError, MachineError
from modernbert.batch import Layout
from modernbert.kernels.attention import BACKENDS, attend, backend_for
from modernbert.kernels.attention.oracle import visible
from modernbert.kernels.attention.padded import attend_to

ON_CPU = ("oracle", "banded", "padded")


def qkv_of(num_tokens, dtype=torch.float32, heads=2, width=8):
    source = torch.Generator().manual_seed(num_tokens)
    drawn = torch.randn(3, num_tokens, heads, width, generator=source, dtype=torch.float64)
    return drawn.to(dtype).unbind(0)


class Largest(TorchDispatchMode):
    """Remember the most elements any operation returned."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, tuple | list) else [result]:
            if isinstance(x, torch.Tensor):
                self.numel = max(self.numel, x.numel())
        return result


def test_an_unknown_backend_is_answered_with_near_names():
    with pytest.raises(ConfigError, match="'bandit': did you mean banded"):
        attend(*qkv_of(3), Layout.of([3]), backend="bandit")


def test_a_name_like_no_other_is_answered_with_all_names():
    with pytest.raises(ConfigError, match="known are banded, oracle, padded, varlen"):
        attend(*qkv_of(3), Layout.of([3]), backend="zzz")


def test_varlen_on_a_cpu_names_the_way_out():
    with pytest.raises(MachineError, match="on cpu: use banded or padded"):
        attend(*qkv_of(3), Layout.of([3]), backend="varlen")


def test_a_cpu_gets_the_banded_backend():
    assert backend_for(torch.device("cpu")) == "banded"
    assert backend_for(torch.device("mps")) == "padded"
    assert set(ON_CPU) < set(BACKENDS)


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize("window", [2, 8, 128])
def test_the_window_ends_exactly_half_a_window_away(backend, window):
    near, middle = window // 2, 150
    q, k, v = qkv_of(300)
    base = attend(q, k, v, Layout.of([300]), window, backend)
    for offset, is_seen in ((near, True), (near + 1, False), (-near, True), (-near - 1, False)):
        moved = v.clone()
        moved[middle + offset] += 1
        change = attend(q, k, moved, Layout.of([300]), window, backend) - base
        assert bool(change[middle].abs().max() > 0) == is_seen, offset


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize(("window", "first"), [(None, 0), (8, 146), (128, 86), (512, 0)])
def test_a_causal_token_sees_itself_and_what_stands_before_it(backend, window, first):
    middle, layout = 150, Layout.of([300, 20], is_causal=True)
    q, k, v = qkv_of(320, torch.float64)
    v.requires_grad_()
    mixed = attend(q, k, v, layout, window, backend)
    (slope,) = torch.autograd.grad(mixed[middle].sum(), v)
    assert slope.abs().amax((1, 2)).nonzero().flatten().tolist() == [*range(first, middle + 1)]
    (slope,) = torch.autograd.grad(attend(q, k, v, layout, window, backend)[300:].sum(), v)
    assert slope.abs().amax((1, 2)).nonzero().flatten().tolist() == [*range(300, 320)]


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize("window", [None, 128])
def test_documents_do_not_see_each_other(backend, window):
    lengths = [20, 90, 3, 70]
    layout = Layout.of(lengths)
    q, k, v = qkv_of(sum(lengths))
    base = attend(q, k, v, layout, window, backend)
    start = 0
    for length in lengths:
        own = slice(start, start + length)
        others = [x.clone().fill_(7.0) for x in (q, k, v)]
        for mine, given in zip(others, (q, k, v), strict=True):
            mine[own] = given[own]
        alone = attend(*others, layout, window, backend)
        assert torch.equal(alone[own], base[own])
        start += length


def test_a_local_layer_never_holds_a_square():
    lengths = [2000, 30, 1000]
    layout = Layout.of(lengths)
    qkv = [x.requires_grad_() for x in qkv_of(sum(lengths), heads=1)]
    with Largest() as largest:
        attend(*qkv, layout, 128, "banded").sum().backward()
    assert largest.numel <= sum(lengths) * (64 * 3 + 64)


@pytest.mark.parametrize("window", [None, 8])
def test_banded_gradients_are_the_slopes_of_the_output(window):
    layout = Layout.of([3, 70, 9, 1])
    qkv = [x.requires_grad_() for x in qkv_of(83, torch.float64, heads=1, width=4)]
    assert torch.autograd.gradcheck(
        lambda *x: attend(*x, layout, window, "banded"), qkv, fast_mode=True
    )


def test_strided_views_are_read_as_they_are():
    layout = Layout.of([70, 9])
    stacked = torch.stack(qkv_of(79), 1)
    views = stacked.unbind(1)
    copies = [x.contiguous() for x in views]
    assert torch.equal(attend(*views, layout, 128), attend(*copies, layout, 128))


def test_tokens_in_a_row_are_not_moved_when_no_gradient_is_kept():
    class Moved(TorchDispatchMode):
        rows = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if func is torch.ops.aten.index_select.default:
                self.rows += len(result)
            return result

    q, k, v = qkv_of(4096)
    layout = Layout.of([1000, 1096, 2000])
    attend(q, k, v, layout, 128)  # makes the plan
    with Moved() as moved:
        attend(q, k, v, layout, 128)
    # Two blocks at the ends, with what their queries reach, of q, k and v each.
    assert 0 < moved.rows <= 3 * 2 * (2 * 64 + 2 * 64)
    with Moved() as moved:
        attend(q.requires_grad_(), k, v, layout, 128)
    assert moved.rows >= 3 * 4096


@pytest.mark.parametrize("window", [None, 8])
def test_only_readable_tokens_are_seen_and_who_sees_none_gets_zeros(window):
    layout = Layout.of([20, 3, 12])
    q, k, v = qkv_of(35, torch.float64)
    readable = torch.arange(35) % 20 < 6
    seen = visible(layout, 35, window) & readable
    scores = torch.einsum("qhk,thk->hqt", q, k) * q.shape[-1] ** -0.5
    shares = scores.masked_fill(~seen, -torch.inf).softmax(-1).nan_to_num(0.0)
    expected = torch.einsum("hqt,thk->qhk", shares, v)
    found = attend_to(readable, q, k, v, layout, window)
    torch.testing.assert_close(found, expected)
    assert (found[19] == 0).all() == (window == 8)
    assert (found[23:].abs().amax((1, 2)) > 0).any()
