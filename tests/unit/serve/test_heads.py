import pytest

from modernbert.infer.engine import Engine
from tests.served import ask, models

TEXTS = ["the packed batch", "every token keeps its place"]


def engine(name):
    return Engine(models()[name])


def near(value):
    return pytest.approx(value, abs=1e-4)


def test_labels(all_models):
    for given, texts in (
        (TEXTS, TEXTS),
        (TEXTS[0], TEXTS[:1]),
        ({"text": TEXTS[0], "text_pair": TEXTS[1]}, [tuple(TEXTS)]),
    ):
        reply = ask(all_models.url + "/classify", {"inputs": given, "model": "labels"})
        right = engine("labels").classify(texts)
        assert reply.json == [
            [{"label": each.name, "score": near(each.score)} for each in labels] for labels in right
        ]


def test_tags(all_models):
    reply = ask(all_models.url + "/tag", {"inputs": TEXTS})
    assert reply.json == [
        [
            {
                "label": each.label,
                "start": each.start,
                "end": each.end,
                "text": each.text,
                "score": near(each.score),
            }
            for each in spans
        ]
        for spans in engine("tags").tag(TEXTS)
    ]
    words = ask(all_models.url + "/tag", {"inputs": [["the", "place"]]})
    assert words.status == 200


def test_answers(all_models):
    asked = {"question": "what keeps", "context": TEXTS[1]}
    reply = ask(all_models.url + "/answer", {"inputs": asked, "top": 2})
    (right,) = engine("answers").answer([("what keeps", TEXTS[1])], number=2)
    assert [(each["text"], each["start"], each["end"]) for each in reply.json[0]] == [
        (each.text, each.start, each.end) for each in right
    ]
    none = {"inputs": [asked], "can_be_none": True, "top": 100}
    assert "" in [each["text"] for each in ask(all_models.url + "/answer", none).json[0]]


def test_masks(all_models):
    reply = ask(all_models.url + "/fill", {"inputs": "the [MASK] keeps [MASK]", "top": 3})
    (right,) = engine("words").fill(["the [MASK] keeps [MASK]"], top=3)
    assert [[each["id"] for each in mask] for mask in reply.json[0]] == [
        [each.id for each in mask] for mask in right
    ]
    assert [len(mask) for mask in reply.json[0]] == [3, 3]
    bare = ask(all_models.url + "/fill", {"inputs": "no mask"})
    assert (bare.status, bare.json["error"]) == (
        422,
        "the text has no [MASK]: write [MASK] where a token is to be guessed",
    )


def test_choices(all_models):
    reply = ask(all_models.url + "/choose", {"inputs": {"question": "what", "options": TEXTS}})
    (right,) = engine("choices").choose(["what"], [TEXTS])
    assert [(each["number"], each["score"]) for each in reply.json[0]] == [
        (each.number, near(each.score)) for each in right
    ]
    alone = ask(all_models.url + "/choose", {"inputs": {"question": "what", "options": ["x"]}})
    assert alone.status == 422


def test_maxsim(all_models):
    asked = {"queries": TEXTS, "documents": [*TEXTS, "x"]}
    scores = ask(all_models.url + "/maxsim", asked).json["scores"]
    queries = engine("late").token_vectors(TEXTS, is_query=True)
    documents = engine("late").token_vectors([*TEXTS, "x"], is_query=False)
    right = [[(q @ d.T).max(1).sum() for d in documents] for q in queries]
    assert scores == [pytest.approx(row, abs=1e-3) for row in right]
    assert ask(all_models.url + "/maxsim", {"queries": [], "documents": ["x"]}).status == 400


def test_attention(all_models):
    for layer, is_global in ((0, True), (1, False)):
        asked = {"inputs": TEXTS[0], "model": "words", "layer": layer, "head": 1}
        found = ask(all_models.url + "/attention", asked).json
        assert (found["is_global"], found["num_layers"], found["num_heads"]) == (is_global, 4, 2)
        assert found["window"] == (None if is_global else 128)
        assert [sum(row) for row in found["weights"]] == [near(1.0)] * len(found["tokens"])
        assert (found["tokens"][0], found["tokens"][-1]) == ("[CLS]", "[SEP]")
    far = ask(all_models.url + "/attention", {"inputs": "x", "layer": 99})
    assert (far.status, far.json["error"]) == (422, "layer is 99: this model has 0 to 3")


@pytest.mark.parametrize("path", ["/classify", "/tag", "/fill"])
def test_a_model_that_cannot_is_said(all_models, path):
    reply = ask(all_models.url + path, {"inputs": "x", "model": "dense"})
    assert (reply.status, reply.json["error_type"]) == (424, "Backend")
    assert "dense can embed" in reply.json["error"]
