import pytest

from modernbert.retrieval.index import Index
from modernbert.retrieval.options import SearchOptions
from tests.indexes import queries
from tests.served import ask, index_of, served


@pytest.fixture(scope="module", params=["dense", "late", "sparse"])
def searched(request, tmp_path_factory):
    folder = index_of(tmp_path_factory.mktemp(request.param), request.param)
    with served(None, ("pairs", "late"), index=folder) as running:
        yield running, Index.open(folder), request.param


def ids(hits):
    return [hit["id"] for hit in hits]


@pytest.mark.parametrize("mode", ["hybrid", "dense", "words"])
def test_what_is_found_is_what_the_index_finds(searched, mode):
    running, index, _ = searched
    asked = {"query": list(queries()), "mode": mode, "number": 5, "return_text": True}
    reply = ask(running.url + "/search", asked)
    right = index.search(queries(), SearchOptions(number=5, mode=mode))
    assert reply.json["index"] == "found"
    for hits, found in zip(reply.json["results"], right, strict=True):
        assert ids(hits) == [each.id for each in found]
        for hit, each in zip(hits, found, strict=True):
            assert hit["score"] == pytest.approx(each.score, abs=1e-3)
            assert (hit["title"], hit["text"]) == (each.title, each.text)
            assert hit["metadata"] == dict(each.metadata)
            assert hit["snippet"]["text"] == each.snippet.text
            assert hit["snippet"]["highlights"] == [list(each) for each in each.snippet.highlights]


def test_conditions_hold(searched):
    running, _, _ = searched
    asked = {"query": queries()[0], "filter": ["odd=1", "year>=2010"], "number": 20}
    (hits,) = ask(running.url + "/search", asked).json["results"]
    assert len(hits) == 5
    assert all(hit["metadata"]["odd"] for hit in hits)
    wrong = ask(running.url + "/search", {"query": "x", "filter": ["od=1"]})
    assert (wrong.status, "did you mean odd?" in wrong.json["error"]) == (422, True)


def test_a_served_model_orders_what_was_found(searched):
    running, index, _ = searched
    asked = {"query": queries()[0], "number": 3, "reranker": "pairs"}
    (hits,) = ask(running.url + "/search", asked).json["results"]
    (found,) = index.search(queries()[:1], SearchOptions(number=50))
    texts = {"query": queries()[0], "texts": [each.text for each in found], "raw_scores": True}
    order = ask(running.url + "/rerank", {**texts, "model": "pairs"}).json
    assert ids(hits) == [found[each["index"]].id for each in order[:3]]
    nobody = ask(running.url + "/search", {**asked, "reranker": "/etc/passwd"})
    assert nobody.status == 404


def test_tokens_of_passages_have_scores_where_tokens_have_vectors(searched):
    running, index, kind = searched
    reply = ask(running.url + "/search", {"query": queries()[0], "number": 2, "token_scores": True})
    if kind != "late":
        assert (reply.status, "gives each text one vector" in reply.json["error"]) == (422, True)
        return
    query = index.model.token_vectors(queries()[:1], is_query=True)[0]
    for hit in reply.json["results"][0]:
        passage, tokens = hit["snippet"]["text"], hit["snippet"]["tokens"]
        vectors = index.model.token_vectors([passage], is_query=False)[0]
        best = (vectors @ query.T).amax(1)[1:-1].tolist()  # without [CLS] and [SEP]
        assert [each["score"] for each in tokens] == pytest.approx(best, abs=1e-4)
        assert tokens[0]["start"] == 0
        assert tokens[-1]["end"] == len(passage)


def test_an_index_that_is_not_there_is_said(searched, all_models):
    running, _, _ = searched
    other = ask(running.url + "/search", {"query": "x", "index": "fond"})
    assert (other.status, other.json["error"]) == (
        404,
        "there is no index 'fond': did you mean found?",
    )
    none = ask(all_models.url + "/search", {"query": "x"})
    assert none.json["error"] == "no index is served: start the server with --index FOLDER"
    assert ask(running.url + "/search", {"query": " "}).status == 422
    assert ask(running.url + "/search", {"query": []}).status == 400
