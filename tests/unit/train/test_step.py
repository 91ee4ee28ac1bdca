import dataclasses
from contextlib import contextmanager

import pytest
import torch

from modernbert.base.device import Autocast
from modernbert.batch import Layout, PackedBatch
from modernbert.model.init import build
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.tasks.base import Loss
from modernbert.tasks.mlm import GuessedBatch
from modernbert.train.feed import Progress, feed
from modernbert.train.step import accumulate, gradient_norm, move, shorten
from tests.runs import MODEL

PLAIN = Autocast(torch.device("cpu"), "float32")
STILL = dataclasses.replace(MODEL, attention_out_dropout=0.0)


@pytest.fixture(scope="module")
def work(config, corpus):
    wide = dataclasses.replace(config.phases[0], batch_tokens=4 * 256)
    return next(feed(dataclasses.replace(config, phases=(wide,)), corpus, Progress()))


def joined(batches) -> GuessedBatch:
    """Lay several rows end to end as one."""
    starts = torch.tensor([0, *(batch.packed.ids.numel() for batch in batches[:-1])]).cumsum(0)
    lengths = [length for batch in batches for length in batch.packed.layout.lengths()]
    return GuessedBatch(
        PackedBatch(torch.cat([b.packed.ids for b in batches]), Layout.of(lengths)),
        torch.cat([b.positions + start for b, start in zip(batches, starts, strict=True)]),
        torch.cat([b.targets for b in batches]),
    )


def gradients(model):
    named = model.named_parameters()
    return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


@contextmanager
def several_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def exact(seed: int = 0):
    """A model in float64, where the order of sums does not matter."""
    model = build(STILL, seed).double()
    model.encoder.backend = "oracle"
    return model


def test_four_rows_give_the_gradients_of_one(work):
    assert len(work.batches) == 4
    one = dataclasses.replace(work, batches=(joined(work.batches),))
    apart, together = exact(), exact()
    ours, theirs = accumulate(apart, work, PLAIN, 0), accumulate(together, one, PLAIN, 0)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-12)
    assert ours.accuracy == theirs.accuracy
    assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-9)
    torch.testing.assert_close(gradients(apart), gradients(together))


@pytest.mark.parametrize("shares", [2, 3, 4])
def test_rows_side_by_side_give_the_gradients_of_rows_in_turn(work, shares):
    with several_threads():
        apart, beside = exact(), exact()
        for model in (apart, beside):
            model.encoder.embeddings.norm.weight.requires_grad_(False)
        ours = accumulate(beside, work, PLAIN, 0, shares)
        theirs = accumulate(apart, work, PLAIN, 0)
    assert (ours.loss, ours.accuracy) == (theirs.loss, theirs.accuracy)
    assert beside.encoder.embeddings.norm.weight.grad is None
    torch.testing.assert_close(gradients(beside), gradients(apart))


def test_rows_side_by_side_give_the_same_bits_each_time(work):
    def found():
        model = build(STILL, 0)
        accumulate(model, work, PLAIN, 0, 4)
        return gradients(model)

    with several_threads():
        first = found()
        for _ in range(3):
            torch.testing.assert_close(found(), first, rtol=0, atol=0)


def test_the_mean_is_over_all_hidden_tokens(work):
    model = exact()
    result = accumulate(model, work, PLAIN, 0)
    batch = joined(work.batches)
    with torch.no_grad():
        logits = model(batch.packed)[batch.positions]
    expected = torch.nn.functional.cross_entropy(logits, batch.targets)
    assert result.loss == pytest.approx(float(expected), rel=1e-6)
    assert result.accuracy == float((logits.argmax(1) == batch.targets).double().mean())
    norm = torch.cat([g.flatten() for g in gradients(model).values()]).norm()
    assert result.grad_norm == pytest.approx(float(norm), rel=1e-9)


def test_a_row_without_hidden_tokens_counts_for_nothing(work):
    nothing = torch.zeros(0, dtype=torch.int64)
    silent = GuessedBatch(work.batches[0].packed, nothing, nothing)
    one = dataclasses.replace(work, batches=work.batches[1:2])
    two = dataclasses.replace(work, batches=(silent, work.batches[1]))
    assert accumulate(exact(), one, PLAIN, 0).loss == accumulate(exact(), two, PLAIN, 0).loss


def test_a_step_without_hidden_tokens_moves_nothing_and_is_finite(work):
    nothing = torch.zeros(0, dtype=torch.int64)
    silent = dataclasses.replace(
        work, batches=(GuessedBatch(work.batches[0].packed, nothing, nothing),)
    )
    result = accumulate(exact(), silent, PLAIN, 0)
    assert (result.loss, result.accuracy, result.grad_norm) == (0.0, 0.0, 0.0)
    assert result.is_finite


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_result_that_is_not_finite_says_so(work, bad):
    model = exact()
    with torch.no_grad():
        model.head.norm.weight[0] = bad
    assert not accumulate(model, work, PLAIN, 0).is_finite


def test_dropout_is_addressed_by_seed_and_step(work):
    def norm(seed, step):
        model = build(MODEL, 0).train()
        return accumulate(model, dataclasses.replace(work, step=step), PLAIN, seed).grad_norm

    assert norm(0, 1) == norm(0, 1)
    assert len({norm(0, 1), norm(0, 2), norm(1, 1)}) == 3


@pytest.mark.parametrize("longest", [0.0, 1e-3, 1e6])
def test_long_gradients_are_shortened_as_torch_does(work, longest):
    ours, theirs = exact(), exact()
    norm = accumulate(ours, work, PLAIN, 0).grad_norm
    accumulate(theirs, work, PLAIN, 0)
    shorten(ours, norm, longest)
    if longest:
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), longest)
    torch.testing.assert_close(gradients(ours), gradients(theirs), rtol=1e-5, atol=1e-9)
    assert gradient_norm(ours) == pytest.approx(min(norm, longest or norm), rel=1e-5)


class Cubes:
    """A task for an encoder without a head: the sum of all cubes."""

    measures = ("loss",)

    def count(self, batch):
        return batch.packed.ids.numel()

    def loss(self, model, batch):
        x = model(batch.packed)
        return Loss(x.pow(3).sum(), (x > 0).sum())


@pytest.mark.parametrize("shares", [1, 3])
def test_an_embedding_that_names_rows_has_the_gradients_of_a_whole_one(work, shares):
    cubed = dataclasses.replace(work, task=Cubes())
    found = []
    for names_rows in (False, True):
        model = build(STILL, 0, None).double()
        model.encoder.backend = "oracle"
        embedding = model.encoder.embeddings.tok_embeddings
        embedding.sparse = names_rows
        with several_threads():
            result = accumulate(model, cubed, PLAIN, 0, shares)
        assert embedding.weight.grad.is_sparse is names_rows
        shorten(model, result.grad_norm, result.grad_norm / 2)
        assert float(gradient_norm(model)) == pytest.approx(result.grad_norm / 2)
        whole = {name: grad.to_dense() for name, grad in gradients(model).items()}
        found.append((result.loss, result.grad_norm, whole))
    assert found[0][:2] == pytest.approx(found[1][:2])
    torch.testing.assert_close(found[0][2], found[1][2])


def test_moving_sets_the_rate_and_forgets_the_gradients(work):
    model = exact()
    groups = decay_groups(model.named_parameters(), 0.01)
    optimizer = StableAdamW(groups, lr=1.0)
    before = model.encoder.layers[0].mlp.Wo.weight.detach().clone()
    accumulate(model, work, PLAIN, 0)
    assert gradient_norm(model) > 0
    move(optimizer, 1e-3)
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}
    assert not torch.equal(before, model.encoder.layers[0].mlp.Wo.weight)
    assert all(weight.grad is None for weight in model.parameters())
