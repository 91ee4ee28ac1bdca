"""Folders of sentence-transformers 5.3 and PyLate through this package: the same vectors there."""

import pytest
import torch

import modernbert
from tests.parity.test_accelerate_others import TEXTS, place
from tests.parity.test_accelerate_pylate import QUERIES, assert_same, colbert, models, vectors

__all__ = ["colbert", "place"]  # fixtures

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_an_embedding_model_comes_back_the_same(place, pooling, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

    torch.manual_seed(0)
    body = Transformer(str(place / "masked"))
    modules = [body, Pooling(32, pooling), Dense(32, 12), Normalize()]
    theirs = SentenceTransformer(modules=modules, device="cpu")
    theirs.save_pretrained(str(tmp_path / "theirs"))
    modernbert.load(tmp_path / "theirs").save(tmp_path / "ours")
    again = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert_same(torch.tensor(again.encode(TEXTS)), torch.tensor(theirs.encode(TEXTS)))


def test_a_colbert_model_comes_back_the_same(colbert, tmp_path):
    colbert.save_pretrained(str(tmp_path / "theirs"))
    modernbert.load(tmp_path / "theirs").save(tmp_path / "ours")
    again = models.ColBERT(str(tmp_path / "ours"), device="cpu")
    for texts, is_query in ((QUERIES, True), (TEXTS, False)):
        expected = vectors(colbert, texts, is_query=is_query)
        assert_same(vectors(again, texts, is_query=is_query), expected)
