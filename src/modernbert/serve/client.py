"""The address of a server in, the answers of its models out; free of torch and of other packages.

client = Client("http://127.0.0.1:8000", key="...")
vectors = client.embed(["A text.", "Another one."])
"""

import http.client
import json
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, final
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import (
    ConfigError,
    DataError,
    MachineError,
    NumbersError,
    UserError,
)
from modernbert.infer.reading import check_list
from modernbert.infer.replies import Answer, Entity, Guess, Label, Option, Ranked, Sparse
from modernbert.retrieval.answers import Found
from modernbert.retrieval.snippets import Snippet

Text = str | tuple[str, ...]
_BUSY = (429, 503)
_LONGEST_WAIT_S = 10.0
_ERRORS: Mapping[int, type[UserError]] = {
    400: DataError,
    401: ConfigError,
    404: ConfigError,
    413: DataError,
    422: DataError,
    424: ConfigError,
    500: NumbersError,
}


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
            ConfigError: the address is none.
        """
        parts = urlsplit(url)
        try:
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
            port = parts.port
        except ValueError:
            is_address, port = False, None
        if not is_address:
            raise ConfigError(
                f"{url!r} is no address of a server: give one such as http://HOST:8000"
            )
        self.url, self._timeout_s, self._tries = url.rstrip("/"), timeout_s, tries
        self._makes = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._place, self._before = (str(parts.hostname), port), parts.path.rstrip("/")
        self._headers = {"content-type": "application/json"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"
        self._idle: list[http.client.HTTPConnection] = []
        """Connections that are kept for the next requests."""
        weakref.finalize(self, _close, self._idle)

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
        model: str | None = None,
    ) -> NDArray[np.float32]:
        """Return one vector a text, [S N]; see `Engine.embed`."""
        asked = {"normalize": normalize, "dimensions": dimensions, "prompt_name": prompt}
        found = self._ask("/embed", {"inputs": _listed(texts), "model": model, **asked})
        return np.array(found, dtype=np.float32)

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
        given = [
            text if isinstance(text, str) else dict(zip(("text", "text_pair"), text, strict=False))
            for text in texts
        ]
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
        pairs = zip(questions, options, strict=True)
        given = [{"question": question, "options": list(some)} for question, some in pairs]
        found = self._ask("/choose", {"inputs": given, "model": model})
        return [[Option(**each) for each in row] for row in found]

    def fill(
        self, texts: Sequence[str], *, top: int = 5, model: str | None = None
    ) -> list[list[list[Guess]]]:
        """Return the likeliest tokens of each [MASK] of each text; see `Engine.fill`."""
        found = self._ask("/fill", {"inputs": _listed(texts), "top": top, "model": model})
        return [[[Guess(**each) for each in mask] for mask in masks] for masks in found]

    def search(
        self, queries: Sequence[str], *, index: str | None = None, **options: Any
    ) -> list[list[Found]]:
        """Return the documents of an index that fit each query; see `Index.search`.

        Options are those of the route: number, mode, filter, reranker.
        """
        asked = {"query": _listed(queries), "index": index, "return_text": True, **options}
        found = self._ask("/search", asked)["results"]
        return [[_found(hit) for hit in hits] for hits in found]

    def _ask(self, path: str, asked: Mapping[str, Any] | None) -> Any:
        """Send a request, again where the server is busy, and return what it says."""
        body = None if asked is None else json.dumps(_present(asked))
        for left in reversed(range(self._tries)):
            status, headers, content = self._once(path, body)
            if status == 200:
                return json.loads(content)
            if status not in _BUSY or not left:
                break
            told = headers.get("retry-after", "")
            time.sleep(min(float(told) if told.isdecimal() else 1.0, _LONGEST_WAIT_S))
        raise _error_of(status, content)

    def _once(self, path: str, body: str | None) -> tuple[int, Mapping[str, str], bytes]:
        method = "GET" if body is None else "POST"
        for is_again in (False, True):
            line = self._line(is_new=is_again)
            try:
                # A server that refuses a large body answers before it has read all of it.
                with suppress(BrokenPipeError, ConnectionResetError):
                    line.request(method, self._before + path, body, self._headers)
                reply = line.getresponse()
                content = reply.read()
            except ConnectionRefusedError as error:
                line.close()
                raise MachineError(
                    f"no server answers at {self.url}: start one with `modernbert serve`"
                ) from error
            except (http.client.HTTPException, OSError) as error:
                line.close()
                # A connection that was kept may have been closed meanwhile.
                if is_again or isinstance(error, TimeoutError):
                    raise MachineError(
                        f"{self.url} broke off ({error or type(error).__name__}): ask again"
                    ) from error
            else:
                self._idle.append(line)
                return reply.status, dict(reply.headers.items()), content
        raise AssertionError("the second try returns or raises")

    def _line(self, *, is_new: bool) -> http.client.HTTPConnection:
        """Return a connection that nobody uses; appending and popping are safe among threads."""
        try:
            if not is_new:
                return self._idle.pop()
        except IndexError:
            pass
        return self._makes(*self._place, timeout=self._timeout_s)


def _close(idle: list[http.client.HTTPConnection]) -> None:
    while idle:
        idle.pop().close()


def _listed(texts: Sequence[Any]) -> list[Any]:
    """Take a list of texts, and not the letters of a single one."""
    check_list(texts)
    return list(texts)


def _present(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was not said, so that the server's own choice holds."""
    return {key: _plain(value) for key, value in asked.items() if value is not None}


def _plain(value: Any) -> Any:
    """Turn arrays of ids into lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _error_of(status: int, content: bytes) -> UserError:
    """Return the error that an engine would raise."""
    try:
        said = str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        said = content[:200].decode(errors="replace")
    return _ERRORS.get(status, MachineError)(said)


def _found(hit: Mapping[str, Any]) -> Found:
    told = hit["snippet"]
    marks = tuple((start, end) for start, end in told["highlights"])
    snippet = Snippet(told["text"], told["start"], told["end"], marks)
    return Found(hit["id"], hit["score"], hit["title"], hit["text"], hit["metadata"], snippet)
