"""The address of a server in, the answers of its models out; free of torch and of other packages.

client = Client("http://127.0.0.1:8000", key="...")
vectors = client.embed(["A text.", "Another one."])
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modernbert.infer.reading import Text, check_as_many, check_list, check_questions, parts_of
from modernbert.infer.replies import (
    Answer,
    Array,
    Entity,
    Guess,
    Label,
    Numbers,
    Option,
    Ranked,
    Sparse,
)
from modernbert.retrieval.answers import Found
from modernbert.retrieval.options import Mode
from modernbert.retrieval.snippets import Snippet
from modernbert.serve.asking import Asker

_TYPES: Mapping[Numbers, Any] = {"float32": np.float32, "int8": np.int8, "binary": np.uint8}


@final
class Client:
    """Asks a server as `Engine` asks a model; one may be shared by threads.

    Where the server is busy, it waits as long as it is told and asks again. Every method raises:

        ConfigError: the key is wrong, or no model can do what is asked.
        DataError: a text cannot be read, or the request is too large.
        MachineError: there is no server, or it stays busy.
        NumbersError: the model gives what is no number.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout_s: float = 120.0,
        tries: int = 4,
    ) -> None:
        """Remember where the server is; nothing is sent yet.

        Raises:
            ConfigError: the address is none, or the key cannot be sent.
        """
        self._ask = Asker(url, key, timeout_s, tries).ask

    def abilities(self) -> dict[str, tuple[str, ...]]:
        """Return what each model of the server can do, by its name."""
        models = self._ask("/v1/models", None)["data"]
        return {each["id"]: tuple(each["abilities"]) for each in models}

    def embed(
        self,
        texts: Sequence[str | Sequence[int]],
        *,
        prompt: str | None = None,
        normalize: bool = False,
        dimensions: int | None = None,
        numbers: Numbers = "float32",
        model: str | None = None,
    ) -> Array:
        """Return one vector a text, [S N]; see `Engine.embed`."""
        asked = {"normalize": normalize, "dimensions": dimensions, "prompt_name": prompt}
        more = {"inputs": _listed(texts), "numbers": numbers, "model": model}
        return np.array(self._ask("/embed", {**more, **asked}), dtype=_TYPES[numbers])

    def token_vectors(
        self, texts: Sequence[str], *, is_query: bool, model: str | None = None
    ) -> list[NDArray[np.float32]]:
        """Return the vectors of each text's tokens; see `Engine.token_vectors`."""
        prompt = "query" if is_query else "document"
        asked = {"inputs": _listed(texts), "prompt_name": prompt, "model": model}
        return [np.array(each, dtype=np.float32) for each in self._ask("/embed_all", asked)]

    def sparse(
        self, texts: Sequence[str], *, prompt: str | None = None, model: str | None = None
    ) -> list[Sparse]:
        """Return the words that each text calls for; see `Engine.sparse`."""
        asked = {"inputs": _listed(texts), "prompt_name": prompt, "model": model}
        return [
            Sparse(
                np.array([each["index"] for each in row], dtype=np.int64),
                np.array([each["value"] for each in row], dtype=np.float32),
            )
            for row in self._ask("/embed_sparse", asked)
        ]

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        is_raw: bool = False,
        model: str | None = None,
    ) -> list[Ranked]:
        """Return all documents in the order in which they fit a query; see `Engine.rerank`."""
        asked = {"query": query, "texts": _listed(documents), "raw_scores": is_raw, "model": model}
        return [Ranked(each["index"], each["score"]) for each in self._ask("/rerank", asked)]

    def classify(self, texts: Sequence[Text], *, model: str | None = None) -> list[list[Label]]:
        """Return every label of each text, or pair of texts; see `Engine.classify`."""
        given = [_classified(*parts_of(text)) for text in _listed(texts)]
        found = self._ask("/classify", {"inputs": given, "model": model})
        return [[Label(each["label"], each["score"]) for each in row] for row in found]

    def tag(
        self, texts: Sequence[str | Sequence[str]], *, model: str | None = None
    ) -> list[list[Entity]]:
        """Return the spans found in each text; see `Engine.tag`."""
        found = self._ask("/tag", {"inputs": _listed(texts), "model": model})
        return [[Entity(**each) for each in row] for row in found]

    def answer(
        self,
        asked: Sequence[tuple[str, str]],
        *,
        number: int = 1,
        can_be_none: bool = False,
        model: str | None = None,
    ) -> list[list[Answer]]:
        """Return the likeliest answers to each (question, text); see `Engine.answer`."""
        check_questions(asked)
        pairs = [{"question": question, "context": text} for question, text in asked]
        more = {"top": number, "can_be_none": can_be_none, "model": model}
        found = self._ask("/answer", {"inputs": pairs, **more})
        return [[Answer(**each) for each in row] for row in found]

    def choose(
        self,
        questions: Sequence[str],
        options: Sequence[Sequence[str]],
        *,
        model: str | None = None,
    ) -> list[list[Option]]:
        """Return the options of each question with their scores; see `Engine.choose`."""
        check_as_many(questions, options)
        pairs = zip(questions, options, strict=True)
        given = [{"question": each, "options": _listed(some, "options")} for each, some in pairs]
        found = self._ask("/choose", {"inputs": given, "model": model})
        return [[Option(**each) for each in row] for row in found]

    def fill(
        self, texts: Sequence[str], *, top: int = 5, model: str | None = None
    ) -> list[list[list[Guess]]]:
        """Return the likeliest tokens of each [MASK] of each text; see `Engine.fill`."""
        found = self._ask("/fill", {"inputs": _listed(texts), "top": top, "model": model})
        return [[[Guess(**each) for each in mask] for mask in masks] for masks in found]

    def maxsim(
        self, queries: Sequence[str], documents: Sequence[str], *, model: str | None = None
    ) -> NDArray[np.float32]:
        """Return how well the tokens of each document fit those of each query, [Q S]."""
        asked = {
            "queries": _listed(queries, "queries"),
            "documents": _listed(documents, "documents"),
            "model": model,
        }
        return np.array(self._ask("/maxsim", asked)["scores"], dtype=np.float32)

    def search(
        self,
        queries: Sequence[str],
        *,
        number: int = 10,
        mode: Mode = "hybrid",
        filter: Sequence[str] = (),  # noqa: A002 - as the route has it
        reranker: str | None = None,
        index: str | None = None,
    ) -> list[list[Found]]:
        """Return the documents of an index that fit each query; see `SearchOptions`.

        `reranker` names a served model that orders the best of what was found.
        """
        asked = {"query": _listed(queries, "queries"), "index": index, "return_text": True}
        how = {"number": number, "mode": mode, "filter": _listed(filter, "filter")}
        found = self._ask("/search", {**asked, **how, "reranker": reranker})["results"]
        return [[_found(hit) for hit in hits] for hits in found]


def _listed(texts: Sequence[Any], name: str = "texts") -> list[Any]:
    """Take a list of texts, and not the letters of a single one."""
    check_list(texts, name)
    return list(texts)


def _classified(text: str, pair: str | None = None) -> str | dict[str, str]:
    return text if pair is None else {"text": text, "text_pair": pair}


def _found(hit: Mapping[str, Any]) -> Found:
    told = hit["snippet"]
    marks = tuple((start, end) for start, end in told["highlights"])
    snippet = Snippet(told["text"], told["start"], told["end"], marks)
    return Found(hit["id"], hit["score"], hit["title"], hit["text"], hit["metadata"], snippet)
