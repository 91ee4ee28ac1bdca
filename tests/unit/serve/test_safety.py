import asyncio
import hashlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from modernbert.serve.app import ROUTES
from modernbert.serve.keys import digest_of_key, is_let_in
from modernbert.serve.settings import Settings
from tests.sentence_folders import made
from tests.served import ask, models, served

KEY = "a long and random key"


@pytest.fixture(scope="module")
def guarded():
    digests = digest_of_key(b"another"), digest_of_key(KEY.encode())
    with served(None, ("dense",), digests=digests) as running:
        yield running


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_but_health_metrics_and_the_page_asks_for_a_key(guarded, route):
    path = route.path.replace("{name:path}", "dense")
    body = {} if route.method == "POST" else None
    status = ask(guarded.url + path, body).status
    is_open = path in ("/health", "/ping", "/ready", "/metrics") or (
        route.method == "GET" and path == "/"
    )
    assert is_open == route.is_open
    assert (status == 401) != is_open


def test_descriptions_ask_for_a_key_too(guarded):
    assert ask(guarded.url + "/openapi.json").status == 401
    found = ask(guarded.url + "/openapi.json", authorization=f"Bearer {KEY}")
    assert found.json["paths"]["/embed"]["post"]["security"] == [{"key": []}]


def test_each_key_lets_in_and_no_other(guarded):
    asked = {"inputs": "x"}
    for key in (KEY, "another"):
        assert ask(guarded.url + "/embed", asked, authorization=f"Bearer {key}").status == 200
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    for wrong in (f"Bearer {KEY}x", f"Basic {KEY}", KEY, "Bearer", f"Bearer {digest}"):
        reply = ask(guarded.url + "/embed", asked, authorization=wrong)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    refused = ask(guarded.url + "/v1/embeddings", {"input": "x", "model": "dense"})
    assert refused.json["error"]["type"] == "authentication_error"


def test_keys_are_compared_as_digests():
    digests = [digest_of_key(KEY.encode())]
    assert is_let_in(f"bearer  {KEY} ", digests)
    assert not is_let_in(f"Bearer {KEY}\xff", digests)
    assert not is_let_in("", digests)
    assert KEY.encode() not in digests[0]


def raw(url, content, wait=5.0):
    """Send bytes as they are, and return what comes back until the server closes."""
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as line:
        line.sendall(content)
        found = b""
        while part := line.recv(65536):
            found += part
        return found


def test_large_bodies_are_refused_before_they_are_read():
    with served(Settings(max_body_bytes=1000), ("dense",)) as running:
        reply = ask(running.url + "/embed", {"inputs": "x" * 2000})
        assert (reply.status, reply.json["error"]) == (
            413,
            "the body has more than 1,000 bytes: send less at a time",
        )
        head = b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n"
        assert raw(running.url, head).startswith(b"HTTP/1.1 413 ")
        chunked = b"POST /embed HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        many = b"200\r\n" + b"x" * 0x200 + b"\r\n"
        assert raw(running.url, chunked + many * 3).startswith(b"HTTP/1.1 413 ")
        assert ask(running.url + "/embed", {"inputs": "x"}).status == 200


def test_slow_bodies_are_given_up():
    with served(Settings(body_timeout_s=0.2), ("dense",)) as running:
        head = b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n{"
        assert raw(running.url, head).startswith(b"HTTP/1.1 408 ")


def test_too_many_texts_or_tokens_are_refused():
    with served(Settings(max_items=3, max_request_tokens=50), ("dense",)) as running:
        reply = ask(running.url + "/embed", {"inputs": ["x"] * 4})
        assert (reply.status, reply.json["error"]) == (
            413,
            "the request has 4 texts, and 3 are let in: send fewer at a time",
        )
        reply = ask(running.url + "/embed", {"inputs": ["every token keeps its place " * 9] * 3})
        assert reply.status == 413
        assert "tokens, and 50 are let in: send fewer texts at a time" in reply.json["error"]
        assert ask(running.url + "/embed", {"inputs": ["x"] * 3}).status == 200
        assert running.shelf.models[0].engine.room.taken == 0
        page = ask(running.url + "/metrics").text.decode()
        assert 'te_request_failure{err="batch_size"} 2.0' in page


def hold(running):
    """Keep the engine from computing until the event that is returned is set."""
    engine, begun, go_on = running.shelf.models[0].engine, threading.Event(), threading.Event()
    lanes = engine._lanes

    def watch(size, tokens):
        begun.set()
        go_on.wait(20)

    lanes._watch = watch
    return begun, go_on


def test_a_whole_batch_gets_permits_at_once_or_is_asked_to_come_again():
    with (
        served(Settings(max_waiting_items=5), ("dense",)) as running,
        ThreadPoolExecutor() as threads,
    ):
        begun, go_on = hold(running)
        first = threads.submit(ask, running.url + "/embed", {"inputs": ["a", "b", "c"]})
        assert begun.wait(10)
        reply = ask(running.url + "/embed", {"inputs": ["x", "y", "z"]})
        assert reply.status == 429
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.json["error_type"] == "Overloaded"
        assert (
            "dense has 3 texts on their way, and 5 are let in: ask again in"
            in (reply.json["error"])
        )
        # Nothing of it was taken: two more fit in.
        second = threads.submit(ask, running.url + "/embed", {"inputs": ["x", "y"]})
        go_on.set()
        assert (first.result().status, second.result().status) == (200, 200)
        page = ask(running.url + "/metrics").text.decode()
        assert 'te_request_failure{err="overloaded"} 1.0' in page
        assert running.shelf.models[0].engine.room.taken == 0


def test_what_could_never_be_let_in_is_not_asked_to_come_again():
    with served(Settings(max_waiting_items=5), ("dense", "choices")) as running:
        assert ask(running.url + "/embed", {"inputs": ["x"] * 6}).status == 413
        many = {"question": "which", "options": ["x"] * 6}
        assert ask(running.url + "/choose", {"inputs": many}).status == 413


def test_tokens_of_the_vocabularys_routes_are_bounded_too():
    with served(Settings(max_request_tokens=50), ("dense",)) as running:
        for path, asked in (
            ("/tokenize", {"inputs": "every token keeps its place " * 20}),
            ("/decode", {"ids": [[5] * 30, [5] * 30]}),
        ):
            reply = ask(running.url + path, asked)
            assert (reply.status, "tokens, and 50 are let in" in reply.json["error"]) == (413, True)


def test_what_the_end_of_the_server_cuts_off_is_said_in_the_dialects_shape():
    with served(None, ("dense",)) as running, ThreadPoolExecutor() as threads:
        begun, go_on = hold(running)
        running.server.config.timeout_graceful_shutdown = 1
        asked = {"input": "x", "model": "dense"}
        first = threads.submit(ask, running.url + "/v1/embeddings", asked)
        assert begun.wait(10)
        running.server.should_exit = True
        reply = first.result()
        go_on.set()
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.json["error"]["message"] == "the server ends: ask again, or another one"


def test_answers_that_take_too_long_are_given_up():
    with served(Settings(timeout_s=0.3), ("dense",)) as running:
        _, go_on = hold(running)
        reply = ask(running.url + "/embed", {"inputs": "x"})
        assert (reply.status, "retry-after" in reply.headers) == (503, False)
        assert "was not there after 0.3 s" in reply.json["error"]
        go_on.set()
        until(lambda: running.shelf.models[0].engine.room.taken == 0)


def test_work_ends_when_the_client_leaves():
    with served(None, ("dense",)) as running:
        begun, go_on = hold(running)
        engine = running.shelf.models[0].engine
        with ThreadPoolExecutor() as threads:
            first = threads.submit(ask, running.url + "/embed", {"inputs": "a"})
            assert begun.wait(10)
            body = json.dumps({"inputs": ["every token keeps its place"] * 50}).encode()
            head = f"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            port = int(running.url.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as line:
                line.sendall(head.encode() + body)
                until(lambda: engine.waiting[0] == 50)
            until(lambda: engine.waiting[0] == 0)
            go_on.set()
            assert first.result().status == 200
        assert engine.room.taken == 0
        assert 'err="dropped"} 1.0' in ask(running.url + "/metrics").text.decode()


def until(holds, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("value", "says"), [(torch.nan, "NaN or Inf"), (0.0, "vector of zeros")])
def test_numbers_that_are_none_never_leave(value, says):
    broken = made(None)
    with torch.no_grad():
        broken.encoder.final_norm.weight.fill_(value)
    with served(None, ("tags",), broken=broken) as running:
        for path, asked in (
            ("/embed", {"inputs": "x", "model": "broken"}),
            ("/v1/embeddings", {"input": "x", "model": "broken"}),
        ):
            reply = ask(running.url + path, asked)
            assert reply.status == 500
            assert says in reply.text.decode()
        assert 'err="missing_values"} 2.0' in ask(running.url + "/metrics").text.decode()
        assert ask(running.url + "/tag", {"inputs": "x"}).status == 200


def test_faults_of_ours_say_no_more_than_that(monkeypatch, capfd):
    def fails(*_, **__):
        raise RuntimeError("a secret of the house")

    with served(None, ("dense",)) as running:
        monkeypatch.setattr("modernbert.serve.protocols.tei.embedding", fails)
        reply = ask(running.url + "/embed", {"inputs": "x"})
    assert (reply.status, reply.json["error"]) == (500, "the server failed: see its log")
    assert "a secret of the house" in capfd.readouterr().err


def test_texts_are_never_logged(capfd):
    from modernbert.serve import logs

    with served(None, ("dense",)) as running:
        logs.set_up("json", "debug")
        ask(running.url + "/embed", {"inputs": "a very private text"})
        ask(running.url + "/embed", {"inputs": {"x": "a very private text"}})
        ask(running.url + "/health")
        ask(running.url + "/nowhere")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    asked = [line for line in lines if line.get("path") == "/embed"]
    assert [(line["status"], line["method"]) for line in asked] == [(200, "POST"), (422, "POST")]
    assert [line["status"] for line in lines if line.get("path") == "/nowhere"] == [404]
    assert {"request_id", "ms", "tokens", "items", "model", "time"} <= {*asked[0]}
    assert not any("private" in json.dumps(line) for line in lines)


def test_refusals_of_addresses_have_their_dialects_shape(all_models):
    assert "error" in ask(all_models.url + "/v1/nothing").json["error"]["type"]
    for path in ("/v1/rerank", "/v2/rerank", "/v1/embed", "/v2/nothing"):
        assert {*ask(all_models.url + path).json} == {"message"}
    assert ask(all_models.url + "/v1/nothing").json["error"]["code"] is None
    named = ask(all_models.url + "/nothing", **{"x-request-id": "mine-2"})
    assert (named.status, named.headers["x-request-id"]) == (404, "mine-2")


def test_other_pages_may_ask_only_where_they_are_let(all_models):
    origin = {"origin": "https://example.org"}
    assert "access-control-allow-origin" not in ask(all_models.url + "/health", **origin).headers
    with served(Settings(cors_origins=("https://example.org",)), ("dense",)) as running:
        reply = ask(running.url + "/embed", {"inputs": "x"}, **origin)
        assert reply.headers["access-control-allow-origin"] == "https://example.org"


def test_what_is_nowhere_is_said(all_models):
    reply = ask(all_models.url + "/nowhere")
    assert (reply.status, reply.json["error"]) == (
        404,
        "no such address: GET /openapi.json lists them",
    )
    other = ask(all_models.url + "/embed")
    assert (other.status, other.headers["allow"]) == (405, "POST")


def test_readiness_ends_when_the_server_is_told_to():
    from modernbert.serve.call import Call, House
    from modernbert.serve.protocols.status import ready

    for is_draining, status in ((False, 200), (True, 503)):
        house = House(Settings(), None, None, lambda told=is_draining: told)
        assert asyncio.run(ready(Call(house, "x"), None)).status_code == status


def test_no_model_is_opened_by_a_request(all_models):
    reply = ask(all_models.url + "/embed", {"inputs": "x", "model": "/etc"})
    assert (reply.status, models()["dense"].origin is not None) == (404, True)
