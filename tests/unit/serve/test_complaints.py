import pytest
from pydantic import TypeAdapter, ValidationError

from modernbert.serve.complaints import spelled
from modernbert.serve.protocols import heads, huggingface, openai, tei
from modernbert.serve.protocols.cohere import CohereRequest, TEIRequest

RANK = TEIRequest | CohereRequest


@pytest.mark.parametrize(
    ("request_type", "body", "says"),
    [
        (tei.EmbedRequest, {}, "inputs: Field required"),
        (tei.EmbedRequest, {"inputs": 1}, "inputs: Input should be a text or a list"),
        (tei.EmbedRequest, {"inputs": ["a", 2.5]}, "inputs.1: Input should be a text or a list"),
        (tei.PredictRequest, {"inputs": [["a", 1]]}, "inputs.0.1: Input should be a text"),
        (
            openai.EmbeddingsRequest,
            {"input": ["a", 1], "model": "m"},
            "input.1: Input should be a text, or input.0: Input should be a whole number",
        ),
        (
            openai.EmbeddingsRequest,
            {"input": "a", "model": 1, "dimensions": 0},
            "model: Input should be a text; dimensions: Input should be greater than or equal to 1",
        ),
        (heads.ClassifyRequest, {"inputs": [{"text": "a"}]}, "inputs.0.text_pair: Field required"),
        (
            heads.ClassifyRequest,
            {"inputs": [["a", "b"]]},
            "inputs.0: Input should be a text or an object",
        ),
        (
            huggingface.TaskRequest,
            {"inputs": {"source_sentence": "a"}},
            "inputs.sentences: Field required",
        ),
        (RANK, {"query": 1, "texts": ["a"]}, "query: Input should be a text"),
        (RANK, {"query": "a"}, "texts: Field required, or documents: Field required"),
        (RANK, {"query": "a", "documents": [{}]}, "documents.0.text: Field required"),
        (RANK, [], "body: Input should be an object"),
    ],
)
def test_the_type_that_fits_furthest_says_what_is_wrong(request_type, body, says):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(request_type).validate_python(body, strict=True)
    assert spelled(caught.value, body) == says


def test_values_are_not_repeated():
    body = {"inputs": {"x": "a very private text"}}
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(tei.EmbedRequest).validate_python(body, strict=True)
    assert "private" not in spelled(caught.value, body)
