import base64

import numpy as np
import pytest

from modernbert.infer.engine import Engine
from tests.served import ask, models

TEXTS = ["the packed batch", "every token keeps its place", "a window"]
ASKED = {"model": "pairs", "query": "the place", "documents": TEXTS}


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank"])
@pytest.mark.parametrize("name", ["pairs", "late"])
def test_documents_are_ordered(all_models, path, name):
    reply = ask(all_models.url + path, {**ASKED, "model": name})
    right = Engine(models()[name]).rerank("the place", TEXTS)
    assert [each["index"] for each in reply.json["results"]] == [each.number for each in right]
    for one, other in zip(reply.json["results"], right, strict=True):
        assert one["relevance_score"] == pytest.approx(min(1, max(0, other.score)), abs=1e-4)
    assert reply.json["meta"]["api_version"]["version"] == ("2" if "v2" in path else "1")
    assert reply.json["usage"]["total_tokens"] > 0
    assert reply.json["model"] == name


def test_texts_are_embedded_in_each_kind_of_numbers(all_models):
    kinds = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    asked = {"model": "dense", "texts": TEXTS, "input_type": "search_query"}
    reply = ask(all_models.url + "/v2/embed", {**asked, "embedding_types": kinds}).json
    found = reply["embeddings"]
    engine = Engine(models()["dense"])
    right = engine.embed(TEXTS, prompt="query", normalize=True)
    np.testing.assert_allclose(found["float"], right, atol=1e-5)
    decoded = [np.frombuffer(base64.b64decode(each), "<f4") for each in found["base64"]]
    np.testing.assert_array_equal(decoded, np.float32(found["float"]))
    signs = np.packbits(np.array(found["float"]) > 0, axis=1)
    np.testing.assert_array_equal(found["ubinary"], signs)
    np.testing.assert_array_equal(found["binary"], signs.astype(int) - 128)
    np.testing.assert_array_equal(np.array(found["uint8"]) - 128, found["int8"])
    cosines = [a @ b / np.linalg.norm(a) for a, b in zip(found["int8"], right, strict=True)]
    assert min(cosines) > 0.999
    assert (reply["response_type"], reply["texts"]) == ("embeddings_by_type", TEXTS)
    assert reply["meta"]["billed_units"]["input_tokens"] > 0
    first = ask(all_models.url + "/v1/embed", {**asked, "output_dimension": 8}).json
    assert first["response_type"] == "embeddings_floats"
    shorter = engine.embed(TEXTS, prompt="query", normalize=True, dimensions=8)
    np.testing.assert_allclose(first["embeddings"], shorter, atol=1e-5)


def test_uses_without_a_prompt_of_their_own_read_the_text_alone(all_models):
    asked = {"model": "dense", "texts": TEXTS, "input_type": "clustering"}
    found = ask(all_models.url + "/v2/embed", asked).json["embeddings"]["float"]
    right = Engine(models()["dense"]).embed(TEXTS, prompt="", normalize=True)
    np.testing.assert_allclose(found, right, atol=1e-5)
    long = {**asked, "texts": ["every token " * 400], "truncate": "NONE"}
    refused = ask(all_models.url + "/v2/embed", long)
    assert (refused.status, {*refused.json}) == (422, {"message"})


def test_documents_may_be_objects_and_come_back_where_wanted(all_models):
    asked = {**ASKED, "documents": [{"text": text} for text in TEXTS], "top_n": 2}
    first = ask(all_models.url + "/v1/rerank", asked).json["results"]
    assert len(first) == 2
    assert all(each["document"]["text"] == TEXTS[each["index"]] for each in first)
    second = ask(all_models.url + "/v2/rerank", asked).json["results"]
    assert not any("document" in each for each in second)
    told = {**asked, "return_documents": True}
    assert "document" in ask(all_models.url + "/v2/rerank", told).json["results"][0]


def test_documents_are_cut_where_it_is_said(all_models):
    long = [text + " and much more of it" * 9 for text in TEXTS]
    cut = ask(all_models.url + "/v2/rerank", {**ASKED, "documents": long, "max_tokens_per_doc": 3})
    tokens = models()["pairs"].tokenizer
    first = [
        text[: int(places[2, 1])]
        for text, (_, places) in zip(long, tokens.encode_with_offsets(long), strict=True)
    ]
    right = ask(all_models.url + "/v2/rerank", {**ASKED, "documents": first})
    assert cut.json["results"] == right.json["results"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({**ASKED, "model": "dense"}, 400),
        ({**ASKED, "model": "nobody"}, 404),
        ({**ASKED, "documents": []}, 400),
        ({**ASKED, "query": 5}, 422),
        ({**ASKED, "query": ""}, 422),
    ],
)
def test_refusals_have_coheres_shape(all_models, asked, status):
    reply = ask(all_models.url + "/v2/rerank", asked)
    assert (reply.status, {*reply.json}) == (status, {"message"})
