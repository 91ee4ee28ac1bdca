"""Documents shared out over a CPU's threads: the same numbers, and only where that is safe."""

import threading
from contextlib import ExitStack
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode

from modernbert.infer.encode import encode, filled_up, rounded, shares
from modernbert.model.encoder import Encoder
from tests.nets import batch_of, config_of, lively
from tests.parity.tolerance import distance

LENGTHS = [200, 5, 150, 300, 45, 100]
CONFIG = config_of()


@pytest.fixture(params=[2, 4])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def callers(monkeypatch):
    """The threads that encoders worked on, one a call: a quick one may be called twice."""
    found, forward = [], Encoder.forward

    def noted(*given):
        found.append(threading.get_ident())
        return forward(*given)

    monkeypatch.setattr(Encoder, "forward", noted)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shares_give_what_one_pass_gives(dtype, threads, callers):
    encoder, batch = lively(CONFIG).encoder.eval().to(dtype), batch_of(LENGTHS * threads)
    found = encode(encoder, batch)
    assert len(callers) == threads
    assert threading.get_ident() not in callers
    with torch.no_grad():
        whole = encoder(batch)
        exact = lively(CONFIG).encoder.eval().to(dtype).double()(batch)
    assert not found.requires_grad
    assert distance(found, exact) <= 2 * distance(whole, exact)


@pytest.mark.usefixtures("threads")
def test_whoever_watches_sees_the_batch_once():
    encoder, batch = lively(CONFIG).encoder.eval(), batch_of(LENGTHS * 4)
    seen = []
    encoder.layers[1].attn.register_forward_hook(lambda *given: seen.append(len(given[2])))
    encode(encoder, batch)
    assert seen == [len(batch.ids)]


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("how", ["mode", "global hook", "own forward"])
def test_whoever_belongs_to_a_thread_is_met_there(how, callers):
    encoder, batch = lively(CONFIG).encoder.eval(), batch_of(LENGTHS * 4)
    if how == "own forward":
        encoder.layers[0].mlp.forward = encoder.layers[0].mlp.forward
    with ExitStack() as stack:
        if how == "mode":
            counted = stack.enter_context(FlopCounterMode(display=False))
        if how == "global hook":
            hook = register_module_forward_hook(lambda *_: None)
            stack.callback(hook.remove)
        encode(encoder, batch)
    assert set(callers) == {threading.get_ident()}
    assert how != "mode" or counted.get_total_flops() > 0


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("reason", ["short", "training", "autocast"])
def test_what_would_change_or_not_gain_runs_in_one_pass(reason, callers):
    encoder = lively(CONFIG).encoder.train(reason == "training")
    batch = batch_of([100, 100] if reason == "short" else LENGTHS * 4)
    with torch.autocast("cpu", enabled=reason == "autocast"):
        encode(encoder, batch)
    assert set(callers) == {threading.get_ident()}


@given(st.lists(st.integers(1, 900), min_size=1, max_size=30), st.integers(1, 8))
def test_shares_are_even_large_and_as_many_as_divide_the_threads(lengths, threads):
    dealt = shares(CONFIG, lengths, threads)
    assert sorted(each for share in dealt for each in share) == list(range(len(lengths)))
    assert threads % len(dealt) == 0
    if len(dealt) > 1:
        assert min(sum(lengths[each] for each in share) for share in dealt) >= 256


def test_a_long_document_is_not_waited_for():
    assert len(shares(CONFIG, [256, 256], 2)) == 2
    assert len(shares(CONFIG, [255, 257], 2)) == 1
    assert len(shares(CONFIG, [1000, 300, 300], 2)) == 1
    assert len(shares(CONFIG, [300] * 4, 8)) == 4
    assert len(shares(CONFIG, [300] * 6, 6)) == 6


def test_batches_are_filled_up_to_few_numbers_of_tokens():
    sizes = [rounded(tokens) for tokens in range(1, 8193)]
    assert sizes == sorted(sizes)
    assert all(tokens <= size for tokens, size in enumerate(sizes, start=1))
    assert all(size <= max(tokens + 7, 1.25 * tokens) for tokens, size in enumerate(sizes, start=1))
    assert len({*sizes}) < 90
    assert max(after - before for before, after in pairwise(sorted({*sizes}))) == 128
    assert [rounded(tokens) for tokens in (8, 9, 64, 65, 1024, 1025, 8192)] == [
        *(8, 16, 64, 80, 1024, 1152, 8192)
    ]


def test_what_fills_a_batch_up_is_seen_by_nobody():
    encoder = lively(config_of(max_length=256)).encoder.eval()
    batch = batch_of([30, 70, 5])
    filled = filled_up(batch, 23)
    assert filled.layout.lengths() == (30, 70, 5, 23)
    assert filled.layout.max_seqlen == 70
    assert filled_up(batch, 90).layout.max_seqlen == 90
    with torch.no_grad():
        torch.testing.assert_close(encoder(filled)[:105], encoder(batch))


def test_only_products_of_onednn_are_filled_up(monkeypatch):
    seen = []
    encoder = lively(config_of(max_length=256)).encoder.eval()
    monkeypatch.setattr(
        encoder,
        "forward",
        lambda batch: seen.append(len(batch.ids)) or torch.zeros(len(batch.ids), 1),
    )
    for is_narrow, lengths in ((True, [30, 70]), (False, [30, 70]), (True, [100]), (True, [200])):
        monkeypatch.setattr("modernbert.infer.encode.MKL_IS_NARROW", is_narrow)
        assert len(encode(encoder, batch_of(lengths))) == sum(lengths)
    assert seen == [112, 100, 100, 224]
    monkeypatch.setattr("modernbert.infer.encode.MKL_IS_NARROW", False)
    encode(encoder.bfloat16(), batch_of([30, 70]))
    assert seen[-1] == 112
