import numpy as np
import pytest

from modernbert.base.errors import ConfigError
from modernbert.infer.classify import label_scores
from modernbert.model.config import HeadConfig
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import LateInteraction, Normalize, SentenceConfig
from modernbert.retrieval.hits import Hits
from modernbert.retrieval.rerank import rerank
from tests.corpora import texts
from tests.sentence_folders import made

DOCUMENTS, QUERIES = texts(12, 3, 40), texts(3, 5, 10)
SCORER = HeadConfig(kind="sequence", labels=("score",), problem="regression")


def hits(*numbers):
    return Hits(np.array(numbers, dtype=np.int64), np.zeros(len(numbers), dtype=np.float32))


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_what_was_found_is_ordered_by_the_score_of_the_pair(monkeypatch, at_once):
    monkeypatch.setattr("modernbert.retrieval.rerank._QUERIES", at_once)
    model = made(SCORER)
    found = [hits(3, 1, 7), hits(), hits(0, 11)]
    ordered = rerank(model, QUERIES, DOCUMENTS, found)
    for query, before, after in zip(QUERIES, found, ordered, strict=True):
        pairs = [(query, DOCUMENTS[number]) for number in before.numbers]
        scores = label_scores(model, pairs)[:, 0].numpy()
        best = np.argsort(-scores)
        assert after.numbers.tolist() == before.numbers[best].tolist()
        np.testing.assert_allclose(after.scores, scores[best], rtol=1e-4, atol=1e-5)


def test_late_interaction_orders_what_was_found_by_its_tokens():
    model = made()
    model.sentence = Sentence(
        SentenceConfig(
            max_length=64,
            steps=(Normalize(),),
            late=LateInteraction(form="MultiVectorEncoder"),
            similarity="maxsim",
        )
    )
    found = [hits(3, 1, 7), hits(), hits(0, 11)]
    assert not rerank(model, QUERIES[:1], DOCUMENTS, [hits()])[0].numbers.size
    ordered = rerank(model, QUERIES, DOCUMENTS, found)
    asked, read = (
        model.token_vectors(texts, is_query=is_query)
        for texts, is_query in ((QUERIES, True), (DOCUMENTS, False))
    )
    for query, before, after in zip(asked, found, ordered, strict=True):
        scores = np.array(
            [(query @ read[number].T).max(1).values.sum().item() for number in before.numbers]
        )
        best = np.argsort(-scores)
        assert after.numbers.tolist() == before.numbers[best].tolist()
        np.testing.assert_allclose(after.scores, scores[best], rtol=1e-4)


def test_a_model_without_a_single_score_is_refused():
    labels = HeadConfig(kind="sequence", labels=("a", "b", "c"))
    with pytest.raises(ConfigError, match="a reranker gives one score, and this model 3: name an"):
        rerank(made(labels), QUERIES, DOCUMENTS, [hits(1)] * 3)
    with pytest.raises(ConfigError, match="or a vector a token, and this model neither: make one"):
        rerank(made(), QUERIES, DOCUMENTS, [hits(1)] * 3)
