import dataclasses

import pytest
import torch

from modernbert.base import dist
from modernbert.model.config import HeadConfig
from modernbert.model.init import build
from modernbert.train import parallel
from tests.runs import MODEL

STILL = dataclasses.replace(MODEL, attention_out_dropout=0.0)
CPU = torch.device("cpu")


def shares(model, device=CPU, is_compiled=False):
    return parallel.shares(model, device, is_compiled=is_compiled)


def test_a_small_model_has_a_share_for_each_thread_of_a_cpu(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    model = build(STILL, 0)
    assert shares(model) == 4
    assert shares(model, torch.device("cuda")) == 1
    assert shares(model, is_compiled=True) == 1
    monkeypatch.setattr(dist, "world_size", lambda: 2)
    assert shares(model) == 1


def test_dropout_and_one_thread_want_one_after_the_other(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert shares(build(MODEL, 0)) == 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert shares(build(STILL, 0)) == 1


@pytest.mark.parametrize(("weights_mib", "expected"), [(4, 8), (80, 3), (200, 1), (600, 1)])
def test_gradients_of_all_shares_stay_within_their_memory(monkeypatch, weights_mib, expected):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    with torch.device("meta"):
        model = torch.nn.Linear(weights_mib * 2**18, 1, bias=False)
        frozen = torch.nn.Linear(2**30, 1, bias=False).requires_grad_(False)
    assert shares(torch.nn.Sequential(model, frozen)) == expected


def test_an_embedding_without_a_decoder_names_the_rows_it_read(monkeypatch):
    tagger = build(STILL, 0, HeadConfig(kind="tokens", labels=("O", "B-X")))
    embedding = tagger.encoder.embeddings.tok_embeddings
    parallel.name_rows(tagger, CPU)
    assert embedding.sparse
    parallel.name_rows(tagger, torch.device("cuda"))
    assert not embedding.sparse
    decoder = build(STILL, 0)
    parallel.name_rows(decoder, CPU)
    assert not decoder.encoder.embeddings.tok_embeddings.sparse
    monkeypatch.setattr(dist, "world_size", lambda: 2)
    parallel.name_rows(tagger, CPU)
    assert not embedding.sparse


def test_rows_that_are_named_take_no_room_in_the_shares(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    with torch.device("meta"):
        model = torch.nn.Sequential(
            torch.nn.Embedding(200 * 2**18, 1), torch.nn.Linear(2**18, 4, bias=False)
        )
    assert shares(model) == 1
    model[0].sparse = True
    assert shares(model) == 8
