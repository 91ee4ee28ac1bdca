"""A server of small models of every kind, in a thread of the test's own process."""

import contextlib
import functools
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn

from modernbert.infer.pretrained import Pretrained
from modernbert.infer.shared import AsyncEngine
from modernbert.infer.tuning import Tuning
from modernbert.model.config import MASKED_LM, HeadConfig
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import SentenceConfig
from modernbert.retrieval.index import Index
from modernbert.serve import logs
from modernbert.serve.app import application
from modernbert.serve.metrics import Metrics
from modernbert.serve.served import Served, ServedIndex, Shelf
from modernbert.serve.settings import Settings
from tests.indexes import KINDS, entries, make_index
from tests.sentence_folders import made

TUNING = Tuning(threads=1, batch_tokens=256, seconds_a_token=1e-4)
HEADS = {
    "labels": HeadConfig(kind="sequence", labels=("bad", "fair", "good")),
    "pairs": HeadConfig(kind="sequence", labels=("fits",)),
    "tags": HeadConfig(kind="tokens", labels=("O", "B-X", "I-X", "B-Y", "I-Y")),
    "answers": HeadConfig(kind="spans"),
    "choices": HeadConfig(kind="choice"),
}


@functools.cache
def models() -> Mapping[str, Pretrained]:
    """One of each kind, by what it does."""
    found = {"words": made(MASKED_LM)}
    for kind, fields in KINDS.items():
        found[kind] = made(MASKED_LM if kind == "sparse" else None)
        found[kind].sentence = Sentence(
            SentenceConfig(max_length=512, prompts={"query": "search: "}, **fields)
        )
    return found | {name: made(head) for name, head in HEADS.items()}


@contextlib.contextmanager
def engine_of(model: Pretrained, **options) -> Iterator[AsyncEngine]:
    engine = AsyncEngine(model, tuning=TUNING, **options)
    try:
        yield engine
    finally:
        engine.close()


@contextlib.contextmanager
def served(
    settings: Settings | None = None,
    names: tuple[str, ...] = (),
    *,
    index: Path | None = None,
    digests: tuple[bytes, ...] = (),
    **changed: Pretrained,
) -> Iterator[SimpleNamespace]:
    """Serve the models of these names, or all, with `url`, `metrics` and `shelf` to look at."""
    settings = settings or Settings()
    logs.set_up("json", "error")
    metrics = Metrics()
    chosen = {name: model for name, model in models().items() if not names or name in names}
    with contextlib.ExitStack() as stack:
        options = {"most_waiting": settings.max_waiting_items, "watch": metrics.batch}
        shelved = [
            Served(name, f"some/{name}", stack.enter_context(engine_of(model, **options)), 0, None)
            for name, model in {**chosen, **changed}.items()
        ]
        indexes = []
        if index is not None:
            opened = Index.open(index)
            engine = stack.enter_context(engine_of(opened.model, **options))
            shelved.append(Served("of-index", "some/index", engine, 0, None))
            indexes.append(ServedIndex("found", opened, shelved[-1]))
        shelf = Shelf(shelved, indexes)
        app = application(settings, shelf, metrics, digests)
        url, server = stack.enter_context(listening(app))
        yield SimpleNamespace(url=url, metrics=metrics, shelf=shelf, server=server)


@contextlib.contextmanager
def listening(app: Any) -> Iterator[tuple[str, uvicorn.Server]]:
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.should_exit = True
        thread.join()


def ask(url: str, body: Any = None, **headers: str) -> SimpleNamespace:
    """Send a request, and return status, headers and what JSON says."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            status, told, text = reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            status, told, text = error.code, error.headers, error.read()
    is_json = told.get("content-type", "").startswith("application/json")
    return SimpleNamespace(
        status=status, headers=told, text=text, json=json.loads(text) if is_json else None
    )


@functools.cache
def _entries():
    return entries(20)


def index_of(folder: Path, kind: str) -> Path:
    """Write a small index, and return its folder."""
    return make_index(folder, kind, _entries()).folder
