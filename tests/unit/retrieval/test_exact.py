from dataclasses import replace

import numpy as np
import pytest
import torch

import modernbert
from modernbert.base.errors import ConfigError
from modernbert.model.config import MASKED_LM
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import LateInteraction, Normalize, SentenceConfig, Splade
from modernbert.retrieval import exact
from modernbert.retrieval.hits import Best
from tests.corpora import texts
from tests.sentence_folders import change, made

DOCUMENTS = texts(30, 3, 40)
QUERIES = texts(4, 5, 10)


def with_steps(**fields):
    model = made(MASKED_LM)
    model.sentence = Sentence(SentenceConfig(max_length=64, **fields))
    return model


@pytest.mark.parametrize("shard", [4, 1024])
def test_every_kind_of_vector_is_searched_exactly(monkeypatch, shard):
    monkeypatch.setattr(exact, "SHARD", shard)
    late = LateInteraction(form="MultiVectorEncoder")
    plain, sparse = with_steps(), with_steps(steps=(Splade(),), similarity="dot")
    tokens = with_steps(steps=(Normalize(),), late=late, similarity="maxsim")
    q, d = (torch.nn.functional.normalize(plain.embed(each)) for each in (QUERIES, DOCUMENTS))
    words = sparse.embed(QUERIES) @ sparse.embed(DOCUMENTS).T
    sides = (
        tokens.token_vectors(QUERIES, is_query=True),
        tokens.token_vectors(DOCUMENTS, is_query=False),
    )
    best = [[float((a @ b.T).amax(1).sum()) for b in sides[1]] for a in sides[0]]
    for model, truth in ((plain, q @ d.T), (sparse, words), (tokens, torch.tensor(best))):
        found = exact.search(model, QUERIES, DOCUMENTS, 5)
        for row, hits in zip(truth, found, strict=True):
            scores = row.sort(descending=True).values[:5]
            torch.testing.assert_close(torch.from_numpy(hits.scores), scores, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(row[hits.numbers], scores, rtol=1e-4, atol=1e-5)


def test_the_folders_prompts_are_used(tmp_path):
    made().save(tmp_path / "model")
    settings = tmp_path / "model" / "config_sentence_transformers.json"
    change(settings, prompts={"query": "batch: ", "passage": "place: "})
    model = modernbert.load(tmp_path / "model")
    q, d = model.embed(QUERIES, "query"), model.embed(DOCUMENTS, "passage")
    truth = torch.nn.functional.normalize(q) @ torch.nn.functional.normalize(d).T
    found = exact.search(model, QUERIES, DOCUMENTS, 1)
    assert [hits.numbers.item() for hits in found] == truth.argmax(1).tolist()


def test_other_ways_to_compare_are_refused():
    with pytest.raises(ConfigError, match="compares vectors by 'manhattan': search knows cosine"):
        exact.search(with_steps(similarity="manhattan"), QUERIES, DOCUMENTS, 5)


@pytest.mark.parametrize("kind", ["dense", "late"])
def test_documents_are_searched_at_several_lengths_in_one_pass(kind):
    late = LateInteraction(form="MultiVectorEncoder", skipped_words=("packed",))
    tokens = {"steps": (Normalize(),), "late": late, "similarity": "maxsim"}
    model = with_steps(**(tokens if kind == "late" else {"prompts": {"document": "place: "}}))
    best = {length: Best(len(QUERIES), 5) for length in (12, 64, 24)}
    for numbers, length, scores in exact.scored_at(model, QUERIES, DOCUMENTS, [*best], shard=7):
        best[length].add(scores.numpy(), np.array(numbers))
    whole = model.sentence.config
    asked = model.token_vectors(QUERIES, is_query=True) if kind == "late" else model.embed(QUERIES)
    for length, found in best.items():
        model.sentence.config = replace(whole, max_length=length)
        if kind == "late":
            documents = model.token_vectors(DOCUMENTS, is_query=False)
            truth = torch.tensor(
                [[float((a @ b.T).amax(1).sum()) for b in documents] for a in asked]
            )
        else:
            documents = torch.nn.functional.normalize(model.embed(DOCUMENTS, "document"))
            truth = torch.nn.functional.normalize(asked) @ documents.T
        for row, hits in zip(truth, found.hits(), strict=True):
            scores = row.sort(descending=True).values[:5]
            torch.testing.assert_close(torch.from_numpy(hits.scores), scores, rtol=1e-4, atol=1e-5)


def test_shards_are_bounded_by_documents_and_by_text(monkeypatch):
    monkeypatch.setattr(exact, "_SHARD_CHARACTERS", 100)
    documents = ["a" * size for size in (900, 60, 50, 40, 1, 1, 1, 1, 0)]
    order = range(len(documents))
    assert [*exact.shards(documents, order, 100, 3)] == [[0], [1], [2, 3], [4, 5, 6], [7, 8]]
