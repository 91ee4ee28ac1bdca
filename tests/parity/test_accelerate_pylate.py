"""ColBERT models of PyLate, accelerated, against themselves before."""

import copy

import pytest
import torch

import modernbert
from tests.parity.test_accelerate_others import TEXTS, place
from tests.parity.tolerance import ALONE, assert_all_as_accurate

models = pytest.importorskip("pylate.models", reason="PyLate is in the other environment")
losses = pytest.importorskip("pylate.losses")

__all__ = ["place"]  # a fixture

QUERIES = ["the packed batch", "every token keeps", "documents apart place the token", "every"]


@pytest.fixture
def colbert(place, tmp_path):
    """A folder as PyLate lays it out: legacy module types, its own Dense, its own keys."""
    torch.manual_seed(0)
    options = {"query_length": 24, "document_length": 100, "embedding_size": 16}
    models.ColBERT(str(place / "masked"), device="cpu", **options).save_pretrained(
        str(tmp_path / "colbert")
    )
    return models.ColBERT(str(tmp_path / "colbert"), device="cpu")


def vectors(model, texts, **options):
    return [torch.as_tensor(each) for each in model.encode(texts, batch_size=3, **options)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attends", [False, True])
@pytest.mark.parametrize("is_query", [True, False])
def test_token_vectors_stay(colbert, is_query, attends):
    colbert.attend_to_expansion_tokens = attends
    texts = QUERIES if is_query else TEXTS
    expected = vectors(colbert, texts, is_query=is_query)
    if is_query:
        assert {len(each) for each in expected} == {24}
    assert_same(vectors(modernbert.accelerate(colbert), texts, is_query=is_query), expected)
    assert_same(vectors(modernbert.restore(colbert), texts, is_query=is_query), expected)


def test_queries_without_expansion_stay(colbert):
    colbert.do_query_expansion = False
    expected = vectors(colbert, QUERIES, is_query=True)
    assert len({len(each) for each in expected}) > 1
    assert_same(vectors(modernbert.accelerate(colbert), QUERIES, is_query=True), expected)


def test_padding_of_documents_is_left_out(colbert):
    """PyLate pads documents with [MASK]: the same id that expands a query, and read by nobody."""
    modernbert.accelerate(colbert)
    widths = []
    colbert[0].auto_model.layers[0].register_forward_hook(
        lambda _, given, __: widths.append(len(given[0]))
    )
    inputs = colbert.tokenize(TEXTS[:6], is_query=False)
    colbert(inputs)
    assert widths == [int(inputs["attention_mask"].sum())]
    assert widths[0] < inputs["input_ids"].numel()


@pytest.mark.parametrize("name", ["Contrastive", "CachedContrastive"])
def test_a_step_of_their_loss_has_the_same_gradients(colbert, name):
    def gradients(model):
        model.zero_grad()
        options = {"mini_batch_size": 2} if name == "CachedContrastive" else {}
        loss = getattr(losses, name)(model, **options)
        sides = [
            model.tokenize(part, is_query=is_query, pad=not is_query)
            for part, is_query in ((QUERIES, True), (TEXTS[:4], False), (TEXTS[4:8], False))
        ]
        value = loss(sides, None)
        value.backward()
        found = {
            n: weight.grad for n, weight in model.named_parameters() if weight.grad is not None
        }
        return {"loss": value.detach()} | found

    truth = gradients(copy.deepcopy(colbert).double())
    naive = gradients(copy.deepcopy(colbert))
    found = gradients(modernbert.accelerate(colbert))
    assert len(found) > 10
    # The slope of a loss is a factor of all gradients, and its error that of a few numbers.
    assert_all_as_accurate(found, naive, truth, slack=ALONE)


def test_what_is_saved_opens_in_pylate(colbert, tmp_path):
    expected = vectors(colbert, TEXTS, is_query=False)
    modernbert.accelerate(colbert).save_pretrained(str(tmp_path / "again"))
    again = models.ColBERT(str(tmp_path / "again"), device="cpu")
    assert not any("modernbert.bridge" in type(each).__module__ for each in again.modules())
    assert_same(vectors(again, TEXTS, is_query=False), expected)
