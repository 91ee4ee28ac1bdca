"""Search against formulas written again, and against sentence-transformers' evaluator."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

import modernbert
from modernbert.batch import Layout
from modernbert.evals.judging import MEASURES, by_id, judge, means
from modernbert.kernels.maxsim import maxsim
from modernbert.retrieval.exact import search
from modernbert.retrieval.lexical import K1, B, Lexical, words_of
from tests.corpora import texts
from tests.sentence_folders import change, made

# What the other line of transformers is installed with has none of them.
pytest.importorskip("bm25s", reason="bm25s is not installed here")
pytest.importorskip("pytrec_eval", reason="pytrec_eval is not installed here")

DOCUMENTS = texts(60, 3, 40)
QUERIES = [" ".join(text.split()[1:6]) for text in texts(9, 5, 40)]


def test_bm25_is_lucenes():
    counts = [Counter(words_of(text)) for text in DOCUMENTS]
    lengths = [sum(each.values()) for each in counts]
    mean = sum(lengths) / len(lengths)

    def score(query, number):
        total = 0.0
        for word in words_of(query):
            holders = sum(word in each for each in counts)
            often = counts[number][word]
            rarity = math.log(1 + (len(counts) - holders + 0.5) / (holders + 0.5))
            total += rarity * often / (often + K1 * (1 - B + B * lengths[number] / mean))
        return total

    for query, found in zip(QUERIES, Lexical(DOCUMENTS).search(QUERIES, 60), strict=True):
        truth = [score(query, number) for number in range(len(DOCUMENTS))]
        assert {*found.numbers.tolist()} == {n for n, each in enumerate(truth) if each > 0}
        np.testing.assert_allclose(found.scores, [truth[n] for n in found.numbers], rtol=1e-5)
        assert (np.diff(found.scores) <= 0).all()


def test_bm25_of_nothing_finds_nothing():
    assert not len(Lexical(["", "the"]).search(["a packed batch"], 5)[0].numbers)
    assert not len(Lexical(["packed"]).search(["the", "batch"], 5)[1].numbers)


@pytest.mark.parametrize("most", [1, 40, 2**21])
def test_maxsim_is_the_sum_of_the_best_products(monkeypatch, most):
    monkeypatch.setattr("modernbert.kernels.maxsim._PRODUCTS", most)
    source = torch.Generator().manual_seed(0)
    queries, documents = [3, 1, 5], [4, 1, 9, 2]
    q, d = (torch.randn(sum(each), 8, generator=source) for each in (queries, documents))
    truth = torch.tensor(
        [[float((a @ b.T).amax(1).sum()) for b in d.split(documents)] for a in q.split(queries)]
    )
    found = maxsim(q, Layout.of(queries), d, Layout.of(documents))
    torch.testing.assert_close(found, truth)


def test_maxsim_of_a_document_without_tokens_is_the_worst():
    found = maxsim(torch.ones(2, 3), Layout.of([2]), torch.ones(1, 3), Layout.of([0, 1]))
    assert found.tolist() == [[-math.inf, 6.0]]


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_measures_are_those_of_sentence_transformers(tmp_path, similarity):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    made().save(tmp_path / "model")
    prompts = {"query": "batch: ", "document": "place: "}
    settings = tmp_path / "model" / "config_sentence_transformers.json"
    change(settings, similarity_fn_name=similarity, prompts=prompts)
    documents = {f"d{number}": text for number, text in enumerate(DOCUMENTS)}
    queries = {f"q{number}": text for number, text in enumerate(QUERIES)}
    judged = {
        name: {f"d{(7 * number + step) % 60}": 1 for step in range(4)}
        for number, name in enumerate(queries)
    }
    ours = modernbert.load(tmp_path / "model")
    found = by_id(search(ours, QUERIES, DOCUMENTS, 60), list(queries), list(documents))
    theirs = InformationRetrievalEvaluator(
        queries,
        documents,
        {name: {*each} for name, each in judged.items()},
        mrr_at_k=[10],
        ndcg_at_k=[10],
        precision_recall_at_k=[20],
        map_at_k=[10],
        accuracy_at_k=[10],
        query_prompt_name="query",
        corpus_prompt_name="document",
        main_score_function=similarity,
    )(SentenceTransformer(str(tmp_path / "model"), device="cpu"))
    measured = means(judge(judged, found))
    for name in ("ndcg@10", "mrr@10"):
        assert measured[name] == pytest.approx(theirs[f"{similarity}_{name}"], abs=1e-6)


def test_measures_are_trec_evals_definitions():
    judged = {"q": {"a": 2, "b": 1, "c": 0, "lost": 1}, "none": {"a": 1}}
    found = {"q": {"c": 3.0, "a": 2.0, "x": 1.0, "b": 0.5}, "none": {}}
    measured = judge(judged, found)
    gain = 2 / math.log2(3) + 1 / math.log2(5)
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert measured["q"]["ndcg@10"] == pytest.approx(gain / ideal)
    assert measured["q"]["mrr@10"] == pytest.approx(1 / 2)
    assert measured["q"]["recall@100"] == pytest.approx(2 / 3)
    assert measured["none"] == dict.fromkeys(MEASURES, 0.0)
    assert means(measured)["mrr@10"] == pytest.approx(1 / 4)


def test_an_answer_below_the_tenth_place_has_no_rank():
    found = {"q": {f"x{number:02}": 20.0 - number for number in range(10)} | {"a": 1.0}}
    measured = judge({"q": {"a": 1}}, found)
    assert (measured["q"]["mrr@10"], measured["q"]["recall@100"]) == (0.0, 1.0)
