"""The clients that people have, unchanged, against a server of ours."""

import asyncio
import gc

import numpy as np
import pytest

from modernbert.infer.engine import Engine
from tests.served import models, served

# Of sockets that the libraries leave to be closed when they are forgotten.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TEXTS = ["the packed batch", "every token keeps its place", "a window"]


@pytest.fixture(scope="module")
def running():
    with served() as all_of_them:
        yield all_of_them


@pytest.fixture(scope="module")
def right():
    return Engine(models()["dense"]).embed(TEXTS, normalize=True)


def test_openai(running, right):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0)
    # Given no format, it asks for base64 and decodes that itself.
    found = client.embeddings.create(model="dense", input=TEXTS)
    np.testing.assert_allclose([each.embedding for each in found.data], right, atol=1e-5)
    assert found.usage.total_tokens > 0
    plain = client.embeddings.create(
        model="dense", input=TEXTS[0], encoding_format="float", dimensions=8
    )
    assert len(plain.data[0].embedding) == 8
    ids = models()["dense"].tokenizer.encode(TEXTS[1]).tolist()
    (one,) = client.embeddings.create(model="dense", input=[ids]).data
    np.testing.assert_allclose(one.embedding, right[1], atol=1e-5)
    assert [each.id for each in client.models.list()] == [*models()]
    assert client.models.retrieve("dense").id == "dense"
    with pytest.raises(openai.NotFoundError) as error:
        client.embeddings.create(model="none", input="x")
    assert error.value.code == "model_not_found"
    with pytest.raises(openai.UnprocessableEntityError, match="holds the id 100257"):
        client.embeddings.create(model="dense", input=[[100_257]])
    client.close()


def test_openai_asynchronously(running, right):
    openai = pytest.importorskip("openai")

    async def go():
        async with openai.AsyncOpenAI(base_url=running.url + "/v1", api_key="none") as client:
            calls = (client.embeddings.create(model="dense", input=text) for text in TEXTS)
            return await asyncio.gather(*calls)

    found = [each.data[0].embedding for each in asyncio.run(go())]
    np.testing.assert_allclose(found, right, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("version", ["Client", "ClientV2"])
def test_cohere(running, version):
    cohere = pytest.importorskip("cohere")
    client = getattr(cohere, version)(api_key="none", base_url=running.url)
    found = client.rerank(model="pairs", query="the place", documents=TEXTS, top_n=2)
    ranked = Engine(models()["pairs"]).rerank("the place", TEXTS)[:2]
    assert [each.index for each in found.results] == [each.number for each in ranked]
    assert found.results[0].relevance_score == pytest.approx(ranked[0].score, abs=1e-4)
    assert found.meta.billed_units.search_units == 1
    with pytest.raises(cohere.NotFoundError):
        client.rerank(model="none", query="the place", documents=TEXTS)
    asked = {"model": "dense", "texts": TEXTS, "input_type": "search_document"}
    found = client.embed(**asked, embedding_types=["float", "int8"]).embeddings
    right = Engine(models()["dense"]).embed(TEXTS, prompt="document", normalize=True)
    np.testing.assert_allclose(found.float_, right, atol=1e-5)
    assert np.shape(found.int8) == right.shape
    if version == "Client":
        np.testing.assert_allclose(client.embed(**asked).embeddings, right, atol=1e-5)


@pytest.fixture(autouse=True)
def sessions_are_closed(monkeypatch):
    # What is out of reach is the hub, and not a server of this machine.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield
    hub = pytest.importorskip("huggingface_hub")
    hub.close_session()
    gc.collect()


def client_of(running, name, **options):
    hub = pytest.importorskip("huggingface_hub")
    return hub.InferenceClient(f"{running.url}/models/{name}", **options)


def test_inference_client_embeds(running, right):
    client = client_of(running, "dense")
    np.testing.assert_allclose(client.feature_extraction(TEXTS[0]), right[:1], atol=1e-5)
    short = client.feature_extraction(TEXTS[0], normalize=True, dimensions=8, truncate=True)
    assert short.shape == (1, 8)
    found = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:])
    np.testing.assert_allclose(found, right[1:] @ right[0], atol=1e-5)


def test_inference_client_asks_heads(running):
    labels = client_of(running, "labels").text_classification(TEXTS[0], top_k=2)
    right = Engine(models()["labels"]).classify(TEXTS[:1])[0][:2]
    assert [each.label for each in labels] == [each.name for each in right]
    spans = client_of(running, "tags").token_classification(TEXTS[1])
    right = Engine(models()["tags"]).tag(TEXTS[1:2])[0]
    assert [(each.entity_group, each.word, each.start, each.end) for each in spans] == [
        (each.label, each.text, each.start, each.end) for each in right
    ]
    told = client_of(running, "answers").question_answering(question="what keeps", context=TEXTS[1])
    ((right,),) = Engine(models()["answers"]).answer([("what keeps", TEXTS[1])])
    assert (told.answer, told.start, told.end) == (right.text, right.start, right.end)


def test_inference_client_is_told_what_is_not_done_here(running):
    errors = pytest.importorskip("huggingface_hub.errors")
    for name, task, given, more in (
        ("labels", "zero_shot_classification", ["x", ["a", "b"]], {}),
        ("labels", "text_classification", ["x"], {"function_to_apply": "none"}),
        ("words", "fill_mask", ["a [MASK]"], {"targets": ["the"]}),
    ):
        with pytest.raises(errors.HfHubHTTPError) as error:
            getattr(client_of(running, name), task)(*given, **more)
        assert error.value.response.status_code == 422


def test_inference_client_fills(running):
    found = client_of(running, "words").fill_mask("the [MASK] keeps its place", top_k=3)
    ((right,),) = Engine(models()["words"]).fill(["the [MASK] keeps its place"], top=3)
    assert [(each.token, each.token_str) for each in found] == [
        (each.id, each.token) for each in right
    ]
    assert found[0].sequence == f"the {right[0].token.removeprefix(' ')} keeps its place"
    # The first model of the server is asked at its plain address.
    hub = pytest.importorskip("huggingface_hub")
    plain = hub.InferenceClient(running.url + "/")
    assert plain.fill_mask("the [MASK] keeps its place", top_k=3) == found
    assert plain.feature_extraction(TEXTS[0]).shape == (1, 32)


def test_langchain(running, right):
    chain = pytest.importorskip("langchain_openai")
    embeddings = chain.OpenAIEmbeddings(
        model="dense",
        base_url=running.url + "/v1",
        api_key="none",
        check_embedding_ctx_length=False,
    )
    np.testing.assert_allclose(embeddings.embed_documents(TEXTS), right, atol=1e-5)
    np.testing.assert_allclose(embeddings.embed_query(TEXTS[0]), right[0], atol=1e-5)


def test_langchain_with_ids_of_another_vocabulary_is_told_the_way_out(running):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.UnprocessableEntityError, match="check_embedding_ctx_length=False"):
        client.embeddings.create(model="dense", input=[[1820, 37522, 7309]])


def test_sentence_transformers_like_clients_of_tei(running, right):
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=running.url) as client:
        # As text-embeddings-inference's README and LlamaIndex's client of it ask.
        found = client.post(
            "/embed", json={"inputs": TEXTS, "truncate": True, "model": "dense"}
        ).json()
        np.testing.assert_allclose(found, right, atol=1e-5)
        ranked = client.post(
            "/rerank",
            json={"query": "x", "raw_scores": False, "return_text": False, "texts": TEXTS},
        ).json()
        assert {*ranked[0]} == {"index", "score"}
