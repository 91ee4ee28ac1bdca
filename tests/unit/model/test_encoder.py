import pytest
import torch
from torch.utils.checkpoint import checkpoint

from modernbert.batch import split
from modernbert.kernels.scaling import UNSCALED
from tests.nets import batch_of, config_of, lively
from tests.parity.tolerance import assert_all_as_accurate

LENGTHS = [70, 3, 140]


def named(model, batch):
    """Return scores and gradients by name; the loss is one number, exact or not by luck."""
    _, *grads = gradients(model, batch)
    names = [name for name, _ in model.named_parameters()]
    return {"scores": model(batch).detach().float()} | dict(zip(names, grads, strict=True))


def gradients(model, batch):
    places, targets = torch.tensor([0, 71, 200]), torch.tensor([5, 6, 7])
    loss, _ = model.masked_lm(batch, places, targets)
    return loss, *torch.autograd.grad(loss, list(model.parameters()))


def test_only_hidden_rows_make_the_loss_and_every_weight_gets_a_gradient():
    model, batch = lively(config_of()), batch_of(LENGTHS)
    places, targets = torch.tensor([0, 71, 200]), torch.tensor([5, 6, 7])
    logits = model(batch)[places]
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    loss, correct = model.masked_lm(batch, places, targets)
    torch.testing.assert_close(loss, expected)
    assert correct == (logits.argmax(-1) == targets).sum()
    loss.backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_without_a_head_the_model_gives_the_encoder_s_rows():
    model, batch = lively(config_of(), head=None), batch_of(LENGTHS)
    assert torch.equal(model(batch), model.encoder(batch))
    assert model(batch).shape == (sum(LENGTHS), 32)


@pytest.mark.parametrize("backend", ["oracle", "banded", "padded"])
def test_recomputed_layers_give_the_same_gradients(backend):
    model, batch = lively(config_of()), batch_of(LENGTHS)
    model.encoder.backend = backend
    plain = gradients(model, batch)
    for layer in model.encoder.layers:
        forward = layer.forward
        layer.forward = lambda *args, f=forward: checkpoint(f, *args, use_reentrant=False)
    for ours, theirs in zip(gradients(model, batch), plain, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("backend", ["banded", "padded"])
def test_autocast_is_as_accurate_as_the_plain_formula_under_autocast(backend):
    model, batch = lively(config_of()), batch_of(LENGTHS)
    results = {}
    for name in (backend, "oracle"):
        model.encoder.backend = name
        with torch.autocast("cpu", torch.bfloat16):
            results[name] = named(model, batch)
    assert {x.dtype for x in results[backend].values()} == {torch.float32}
    assert_all_as_accurate(results[backend], results["oracle"], named(model.double(), batch))


def test_without_gradients_the_numbers_are_the_same():
    model, batch = lively(config_of()), batch_of(LENGTHS)
    with torch.no_grad():
        quiet = model(batch)
    assert torch.equal(quiet, model(batch))


def test_plans_made_while_inferring_serve_training_too():
    model, batch = lively(config_of()), batch_of([71, 4, 141])
    with torch.inference_mode():
        quiet = model(batch)
    torch.testing.assert_close(model(batch), quiet.clone(), rtol=0, atol=0)
    assert all(grad.isfinite().all() for grad in gradients(model, batch))


def test_new_thetas_turn_the_layers_of_their_kind():
    model, batch = lively(config_of()), batch_of([150])
    before = model(batch)
    model.set_rope(global_theta=160_000.0, local_theta=10_000.0, max_length=8192)
    assert torch.equal(model(batch), before)
    model.set_rope(global_theta=10_000.0, local_theta=10_000.0, max_length=64)
    assert not torch.allclose(model(batch), before)
    assert model.config.global_rope_theta == 10_000.0
    assert model.encoder.config.max_length == 64


def test_dropout_acts_in_training_only():
    config = config_of(embedding_dropout=0.5, attention_out_dropout=0.5, mlp_dropout=0.5)
    model, batch = lively(config), batch_of([9])
    torch.manual_seed(0)
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_rotary_tables_stay_float32_whatever_the_model_s_dtype():
    encoder = lively(config_of()).to(torch.bfloat16).encoder
    ropes = encoder.ropes(torch.arange(9))
    assert {rope.cos.dtype for rope in ropes.values()} == {torch.float32}
    assert set(ropes) == {(160_000.0, UNSCALED), (10_000.0, UNSCALED)}


def test_rows_come_in_the_order_of_the_documents():
    model = lively(config_of(), head=None)
    batch = batch_of(LENGTHS)
    rows = split(model(batch), batch.layout)
    assert [len(row) for row in rows] == LENGTHS
