import base64

import numpy as np
import pytest

from modernbert.infer.engine import Engine
from tests.served import ask, models, served

TEXTS = ["the packed batch", "every token keeps its place"]


@pytest.fixture(scope="module")
def right():
    return Engine(models()["dense"]).embed(TEXTS, normalize=True)


def vectors(reply):
    return np.array([each["embedding"] for each in reply.json["data"]])


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_texts_get_vectors(all_models, right, path):
    reply = ask(all_models.url + path, {"input": TEXTS, "model": "dense"})
    assert reply.status == 200
    np.testing.assert_allclose(vectors(reply), right, atol=1e-5)
    assert (reply.json["object"], reply.json["model"]) == ("list", "dense")
    assert [each["index"] for each in reply.json["data"]] == [0, 1]
    tokens = sum(len(models()["dense"].tokenizer.encode(text)) for text in TEXTS)
    assert reply.json["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_without_a_name_the_first_that_can_answers(all_models):
    reply = ask(all_models.url + "/v1/embeddings", {"input": TEXTS})
    assert (reply.status, reply.json["model"]) == (200, "words")


def test_numbers_may_be_spelled_in_base64(all_models, right):
    asked = {"input": TEXTS, "model": "dense", "encoding_format": "base64"}
    reply = ask(all_models.url + "/v1/embeddings", asked)
    found = [
        np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in reply.json["data"]
    ]
    np.testing.assert_allclose(found, right, atol=1e-5)
    unset = ask(all_models.url + "/v1/embeddings", asked | {"encoding_format": None})
    np.testing.assert_allclose(vectors(unset), right, atol=1e-5)


def test_ids_of_the_models_own_tokenizer_are_texts_too(all_models, right):
    tokens = models()["dense"].tokenizer
    for ids in ([tokens.encode(text).tolist() for text in TEXTS], tokens.encode(TEXTS[0]).tolist()):
        reply = ask(all_models.url + "/v1/embeddings", {"input": ids, "model": "dense"})
        np.testing.assert_allclose(vectors(reply), right[: len(reply.json["data"])], atol=1e-5)
    foreign = ask(all_models.url + "/v1/embeddings", {"input": [[5, 100_257]], "model": "dense"})
    assert foreign.status == 422
    assert "LangChain: check_embedding_ctx_length=False" in foreign.json["error"]["message"]


def test_vectors_may_be_shorter(all_models, right):
    asked = {"input": TEXTS, "model": "dense", "dimensions": 8}
    found = vectors(ask(all_models.url + "/v1/embeddings", asked))
    cut = right[:, :8] / np.linalg.norm(right[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(found, cut, atol=1e-5)
    reply = ask(all_models.url + "/v1/embeddings", {**asked, "dimensions": 33})
    assert reply.status == 422
    assert reply.json["error"]["message"] == "dimensions is 33, and vectors have 32: keep fewer"


@pytest.mark.parametrize(("numbers", "dtype"), [("int8", "i1"), ("binary", "u1")])
def test_vectors_may_take_less_room(all_models, numbers, dtype):
    right = Engine(models()["dense"]).embed(TEXTS, numbers=numbers).astype(float)
    asked = {"model": "dense", "numbers": numbers}
    plain = vectors(ask(all_models.url + "/v1/embeddings", {**asked, "input": TEXTS}))
    packed = ask(
        all_models.url + "/v1/embeddings",
        {**asked, "input": TEXTS, "encoding_format": "base64"},
    )
    bytes_ = [base64.b64decode(each["embedding"]) for each in packed.json["data"]]
    tei = ask(all_models.url + "/embed", {**asked, "inputs": TEXTS}).json
    for found in (plain, [np.frombuffer(each, dtype) for each in bytes_], tei):
        np.testing.assert_allclose(np.array(found, dtype=float), right, atol=numbers == "int8")


def test_prompts_go_before_texts(all_models):
    asked = {"input": TEXTS, "model": "dense", "prompt_name": "query"}
    found = vectors(ask(all_models.url + "/v1/embeddings", asked))
    right = Engine(models()["dense"]).embed(TEXTS, prompt="query", normalize=True)
    np.testing.assert_allclose(found, right, atol=1e-5)


def test_models_are_listed_and_found_by_name(all_models):
    listed = ask(all_models.url + "/v1/models").json["data"]
    assert [each["id"] for each in listed] == [*models()]
    assert listed[1] == ask(all_models.url + "/v1/models/dense").json
    assert listed[1]["abilities"] == ["embed"]
    missing = ask(all_models.url + "/v1/models/dens")
    assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"input": "x", "model": "nobody"}, 404, "there is no model 'nobody': "),
        ({"input": "x", "model": "tags"}, 400, "no model here that gives texts dense vectors"),
        ({"input": [], "model": "dense"}, 400, "there is no text: give at least one"),
        ({"model": "dense"}, 422, "input: Field required"),
        ({"input": {"x": 1}, "model": "dense"}, 422, "input: "),
        ({"input": "x", "model": "dense", "encoding_format": "hex"}, 422, "encoding_format: "),
        ({"input": "x", "model": "dense", "prompt_name": "q"}, 422, "no prompt 'q': known are"),
        (b"{", 400, "the body is no JSON: "),
        (b'{"input": "\\ud800", "model": "dense"}', 400, "the body is no JSON: "),
    ],
)
def test_refusals_have_openais_shape(all_models, asked, status, says):
    reply = ask(all_models.url + "/v1/embeddings", asked)
    assert (reply.status, {*reply.json}) == (status, {"error"})
    assert {*reply.json["error"]} == {"message", "type", "param", "code"}
    assert says in reply.json["error"]["message"]


def test_texts_that_are_too_long_are_refused_where_the_server_is_told_so():
    from modernbert.serve.settings import Settings

    long = {"input": "every token keeps its place " * 200, "model": "dense"}
    with served(Settings(auto_truncate=False), ("dense",)) as strict:
        reply = ask(strict.url + "/v1/embeddings", long)
        assert reply.status == 422
        assert "has more than the 512 tokens that are read" in reply.json["error"]["message"]
