import numpy as np
import pytest

from modernbert.infer.engine import Engine
from tests.served import ask, models, served

TEXTS = ["the packed batch", "every token keeps its place"]
LONG = "every token keeps its place " * 200


def test_embed_gives_nested_lists(all_models):
    engine = Engine(models()["dense"])
    alone = ask(all_models.url + "/embed", {"inputs": TEXTS[0], "model": "dense"})
    np.testing.assert_allclose(alone.json, engine.embed(TEXTS[:1], normalize=True), atol=1e-5)
    asked = {"inputs": TEXTS, "model": "dense", "normalize": False, "prompt_name": "query"}
    found = ask(all_models.url + "/embed", asked)
    np.testing.assert_allclose(found.json, engine.embed(TEXTS, prompt="query"), atol=1e-4)


def test_ids_and_texts_may_be_mixed(all_models):
    ids = models()["dense"].tokenizer.encode(TEXTS[1]).tolist()
    for given in ([TEXTS[0], ids], ids):
        reply = ask(all_models.url + "/embed", {"inputs": given, "model": "dense"})
        right = Engine(models()["dense"]).embed(TEXTS, normalize=True)
        np.testing.assert_allclose(reply.json, right[-len(reply.json) :], atol=1e-5)


def test_without_a_name_the_first_that_can_answers(all_models):
    assert ask(all_models.url + "/embed", {"inputs": "x"}).status == 200
    found = ask(all_models.url + "/embed_sparse", {"inputs": "x"}).json
    right = Engine(models()["sparse"]).sparse(["x"])[0]
    assert [each["index"] for each in found[0]] == right.ids.tolist()
    np.testing.assert_allclose([each["value"] for each in found[0]], right.weights, rtol=1e-3)


def test_embed_all_gives_a_vector_a_token(all_models):
    late = ask(all_models.url + "/embed_all", {"inputs": TEXTS, "model": "late"}).json
    right = Engine(models()["late"]).token_vectors(TEXTS, is_query=False)
    for one, other in zip(late, right, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    plain = ask(all_models.url + "/embed_all", {"inputs": TEXTS[0], "model": "dense"}).json
    (count,) = {len(models()["dense"].tokenizer.encode(TEXTS[0]))}
    assert np.array(plain).shape == (1, count, 32)
    asked = {"inputs": TEXTS[0], "model": "late", "prompt_name": "query"}
    assert ask(all_models.url + "/embed_all", asked).status == 200
    other = ask(all_models.url + "/embed_all", asked | {"prompt_name": "clustering"})
    assert (other.status, other.json["error_type"]) == (422, "Validation")
    assert "prompt_name is 'clustering'" in other.json["error"]


def test_embed_all_goes_to_the_first_that_gives_tokens_vectors():
    with served(None, ("late", "tags")) as running:
        assert ask(running.url + "/embed_all", {"inputs": TEXTS}).status == 200


def test_predict_reads_texts_pairs_and_batches(all_models):
    engine = Engine(models()["labels"])

    def rows(texts):
        return [
            [{"score": pytest.approx(each.score, abs=1e-4), "label": each.name} for each in labels]
            for labels in engine.classify(texts)
        ]

    def asked(inputs, **more):
        return ask(all_models.url + "/predict", {"inputs": inputs, "model": "labels", **more}).json

    assert asked(TEXTS[0]) == rows(TEXTS[:1])[0]
    assert asked(TEXTS) == rows([tuple(TEXTS)])[0]
    assert asked([[TEXTS[0]], [TEXTS[1]]]) == rows(TEXTS)
    assert asked([TEXTS, TEXTS[::-1]]) == rows([tuple(TEXTS), tuple(TEXTS[::-1])])
    raw = {each["label"]: each["score"] for each in asked(TEXTS[0], raw_scores=True)}
    assert abs(sum(np.exp(list(raw.values()))) - 1) > 1e-3


def test_one_score_alone_goes_through_a_sigmoid(all_models):
    asked = {"inputs": TEXTS, "model": "pairs"}
    (found,) = ask(all_models.url + "/predict", asked).json
    (raw,) = ask(all_models.url + "/predict", asked | {"raw_scores": True}).json
    assert found["score"] == pytest.approx(1 / (1 + np.exp(-raw["score"])), abs=1e-6)
    (right,) = Engine(models()["pairs"]).rerank(TEXTS[0], TEXTS[1:])
    assert found["score"] == pytest.approx(right.score, abs=1e-4)


def test_rerank_orders_texts(all_models):
    asked = {"query": "the place", "texts": TEXTS, "model": "pairs", "return_text": True}
    found = ask(all_models.url + "/rerank", asked).json
    right = Engine(models()["pairs"]).rerank("the place", TEXTS)
    assert [each["index"] for each in found] == [each.number for each in right]
    assert [each["text"] for each in found] == [TEXTS[each.number] for each in right]
    np.testing.assert_allclose(
        [each["score"] for each in found], [each.score for each in right], atol=1e-4
    )
    assert "text" not in ask(all_models.url + "/rerank", {**asked, "return_text": False}).json[0]


def test_similarity_gives_cosines(all_models):
    asked = {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS}, "model": "dense"}
    found = ask(all_models.url + "/similarity", asked | {"parameters": None}).json
    vectors = Engine(models()["dense"]).embed(TEXTS, normalize=True)
    np.testing.assert_allclose(found, vectors @ vectors[0], atol=1e-5)


def test_tokens_and_texts_become_each_other(all_models):
    text = "every \N{PILE OF POO} token"
    (found,) = ask(all_models.url + "/tokenize", {"inputs": text, "model": "dense"}).json
    tokens = models()["dense"].tokenizer
    assert [each["id"] for each in found] == tokens.encode(text).tolist()
    assert [each["special"] for each in found] == [True, *[False] * (len(found) - 2), True]
    assert (found[0]["text"], found[0]["start"]) == ("[CLS]", None)
    assert all(text[each["start"] : each["stop"]] == each["text"] for each in found[1:-1])
    bare = {"inputs": [text], "model": "dense", "add_special_tokens": False}
    (inner,) = ask(all_models.url + "/tokenize", bare).json
    assert inner == found[1:-1]
    ids = [each["id"] for each in found]
    for given in (ids, [ids]):
        decoded = ask(all_models.url + "/decode", {"ids": given, "model": "dense"}).json
        assert decoded == [text]
    kept = {"ids": ids, "model": "dense", "skip_special_tokens": False}
    assert ask(all_models.url + "/decode", kept).json[0].startswith("[CLS]")
    wrong = ask(all_models.url + "/decode", {"ids": [99_999], "model": "dense"})
    assert (wrong.status, wrong.json["error"][:34]) == (422, "the id 99999 stands for no token: ")


def test_info_says_what_is_served(all_models):
    found = ask(all_models.url + "/info").json
    assert found["model_id"] == "some/words"
    assert found["model_type"] == {"embedding": {"pooling": "mean"}}
    assert found["max_input_length"] == 512
    assert found["models"]["pairs"] == ["rerank", "classify"]


@pytest.mark.parametrize(
    ("path", "asked", "status", "kind"),
    [
        ("/embed", {"inputs": []}, 400, "Empty"),
        ("/embed", {"inputs": "x", "model": "tags"}, 424, "Backend"),
        ("/embed", {"inputs": "x", "model": "none"}, 404, "NotFound"),
        ("/embed", {"inputs": 5}, 422, "Validation"),
        ("/embed", {"inputs": LONG, "model": "dense", "truncate": False}, 422, "Tokenizer"),
        ("/rerank", {"query": "x", "texts": ["y"], "model": "dense"}, 424, "Backend"),
        ("/rerank", {"query": " ", "texts": ["y"]}, 422, "Tokenizer"),
        ("/predict", {"inputs": LONG, "truncate": False}, 422, "Tokenizer"),
        ("/predict", {"inputs": [["a", "b", "c"]]}, 422, "Tokenizer"),
        ("/predict", {"inputs": [[]]}, 422, "Tokenizer"),
        ("/embed", b"", 400, "Validation"),
    ],
)
def test_refusals_have_teis_shape(all_models, path, asked, status, kind):
    reply = ask(all_models.url + path, asked)
    assert (reply.status, reply.json["error_type"]) == (status, kind)
    assert {*reply.json} == {"error", "error_type"}


def test_long_texts_are_cut_at_either_end(all_models):
    model = models()["dense"]
    last = {"inputs": "x " + LONG + "y", "model": "dense", "truncation_direction": "Left"}
    found = ask(all_models.url + "/embed", last).json
    ids = model.tokenizer.encode(last["inputs"]).tolist()
    right = Engine(model).embed([ids[-511:-1]], normalize=True)
    np.testing.assert_allclose(found, right, atol=1e-5)
    other = ask(all_models.url + "/embed", {**last, "truncation_direction": "right"}).json
    assert not np.allclose(found, other, atol=1e-3)


def test_every_answer_says_what_it_took(all_models):
    reply = ask(all_models.url + "/embed", {"inputs": TEXTS}, **{"X-Request-Id": "mine-1"})
    assert reply.headers["x-request-id"] == "mine-1"
    assert reply.headers["x-compute-type"] == "cpu"
    assert int(reply.headers["x-compute-characters"]) == sum(map(len, TEXTS))
    assert int(reply.headers["x-compute-tokens"]) > 4
    for name in ("total", "tokenization", "queue", "inference"):
        assert int(reply.headers[f"x-{name}-time"]) >= 0
    odd = ask(all_models.url + "/embed", {"inputs": "x"}, **{"X-Request-Id": "a b\tc"})
    first, other = odd.headers["x-request-id"], ask(all_models.url + "/embed", {"inputs": "x"})
    assert "a b" not in first
    assert first != other.headers["x-request-id"]
