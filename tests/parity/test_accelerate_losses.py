"""One step of other people's losses on a model trained here: the gradients stay, accelerated."""

import copy

import pytest
import torch

import modernbert
from tests.corpora import texts
from tests.parity.tolerance import ALONE, assert_all_as_accurate
from tests.runs import small_corpus, small_run, trained

st = pytest.importorskip("sentence_transformers")
# Theirs warn of their own renaming.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Some weights of"),
]
TEXTS = texts(12, longest=60)
LABELS = torch.tensor([1.0, 0.2, 0.5, 0.0, 0.9, 0.4])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two phases of pretraining are left out: the weights have learned enough to differ."""
    place = tmp_path_factory.mktemp("trained")
    trained(small_run(small_corpus(place)), place / "run")
    return place / "run" / "model"


def bi_encoder(folder):
    from sentence_transformers.models import Pooling, Transformer

    modules = [Transformer(str(folder)), Pooling(64, "mean")]
    return st.SentenceTransformer(modules=modules, device="cpu")


def sparse_encoder(folder):
    from sentence_transformers.sparse_encoder.models import MLMTransformer, SpladePooling

    return st.SparseEncoder(modules=[MLMTransformer(str(folder)), SpladePooling()], device="cpu")


def bi_step(model, name, **options):
    from sentence_transformers import losses

    loss = getattr(losses, name)(model, **options)
    return loss([model.tokenize(part) for part in (TEXTS[:6], TEXTS[6:])], LABELS)


def sparse_step(model):
    from sentence_transformers.sparse_encoder import losses

    ranking = losses.SparseMultipleNegativesRankingLoss(model)
    loss = losses.SpladeLoss(model, ranking, document_regularizer_weight=3e-2)
    return sum(loss([model.tokenize(part) for part in (TEXTS[:6], TEXTS[6:])], None).values())


def cross_step(model):
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    return BinaryCrossEntropyLoss(model)([TEXTS[:6], TEXTS[6:]], LABELS)


STEPS = {
    "ranking": (bi_encoder, lambda model: bi_step(model, "MultipleNegativesRankingLoss")),
    "cached ranking": (
        bi_encoder,
        lambda model: bi_step(model, "CachedMultipleNegativesRankingLoss", mini_batch_size=2),
    ),
    "cosent": (bi_encoder, lambda model: bi_step(model, "CoSENTLoss")),
    "splade": (sparse_encoder, sparse_step),
}


def gradients(model, step):
    model.zero_grad()
    value = step(model)
    value.backward()
    found = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
    return {"loss": value.detach()} | found


def assert_same_step(model, step):
    naive = gradients(model, step)
    naive = {name: x.clone() for name, x in naive.items()}
    truth = gradients(copy.deepcopy(model).double(), step)
    ours = gradients(modernbert.accelerate(model), step)
    assert len(ours) > 10
    for name in truth:
        torch.testing.assert_close(ours[name], naive[name], rtol=1e-3, atol=1e-5)
    # The slope of a loss is a factor of all gradients, and its error that of a few numbers.
    assert_all_as_accurate(ours, naive, truth, slack=ALONE)


@pytest.mark.parametrize(("build", "step"), STEPS.values(), ids=STEPS)
def test_gradients_stay(folder, build, step):
    assert_same_step(build(folder), step)


def test_gradients_of_a_cross_encoder_stay(folder):
    torch.manual_seed(0)
    assert_same_step(st.CrossEncoder(str(folder), num_labels=1, device="cpu"), cross_step)


def test_embeddings_of_a_trained_model_stay(folder):
    model = bi_encoder(folder)
    before = torch.tensor(model.encode(TEXTS, batch_size=5))
    assert before.std(0).min() > 1e-3
    after = torch.tensor(modernbert.accelerate(model).encode(TEXTS, batch_size=5))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
