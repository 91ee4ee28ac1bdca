import asyncio
import dataclasses
import json
from itertools import islice

import pytest

from modernbert.bench.serving_case import KINDS, ServingCase
from modernbert.bench.serving_http import Reply
from modernbert.bench.serving_load import Group, Plan, dealt, is_good, load, made, plan_of
from modernbert.bench.serving_texts import Request, lengths_of, requests_of, write_requests
from tests.corpora import texts, tokenizer

VECTOR = b"[[0.5,0.25]]"


def requests_in(path):
    kinds = ["query", "query", "passage", "query", "document"]
    some = [Request(kind, 10 + at, f"text {at}") for at, kind in enumerate(kinds)]
    write_requests(path, some)
    return some


def plan_for(port, path, *groups, asks_s=0.3, drain_s=5.0):
    return Plan(
        port=port,
        dialect="tei",
        requests=str(path),
        dim=2,
        groups=groups,
        asks_s=asks_s,
        drain_s=drain_s,
    )


def loaded_by(answer, path, *groups, **times):
    """Let clients ask a server that answers each request by a call, and return what they met."""

    async def serve(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length:")[1].split()[0])
            body = await reader.readexactly(length)
            status, content = await answer(json.loads(body)["inputs"][0])
            said = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n\r\n"
            writer.write(said.encode() + content)

    async def quietly(reader, writer):
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def run():
        async with await asyncio.start_server(quietly, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await load(plan_for(port, path, *groups, **times))

    return asyncio.run(run())


def test_a_hundred_requests_have_as_many_of_each_kind():
    case = ServingCase(passages=30, documents=5)
    found = requests_of(texts(300), tokenizer(), case, 64)
    assert found == requests_of(texts(300), tokenizer(), case, 64)
    for start in range(0, len(found), 100):
        kinds = [each.kind for each in found[start : start + 100]]
        assert [kinds.count(kind) for kind in KINDS] == [65, 30, 5]
    assert {each.tokens for each in found if each.kind == "document"} == {64}
    queries = [each.tokens for each in found if each.kind == "query"]
    assert 8 < sum(queries) / len(queries) < 24


def test_lengths_are_those_of_their_kind():
    assert sorted(lengths_of("document", 4, 0)) == [1024, 2048, 4096, 8192]
    passages = lengths_of("passage", 500, 0)
    assert 190 < sum(passages) / 500 < 210
    assert lengths_of("query", 9, 0) != lengths_of("query", 9, 1)


def test_clients_together_send_the_requests_in_their_order(tmp_path):
    some = requests_in(tmp_path / "some")
    hands = dealt(some, Group(("query",), 2))
    assert [next(hands[at]).text for at in (0, 1, 0, 1)] == ["text 0", "text 1", "text 3", "text 1"]
    # More clients than requests begin at the same ones.
    many = dealt(some, Group(("document",), 3))
    assert [next(each).text for each in many] == ["text 4"] * 3
    assert [each.tokens for each in islice(many[0], 2)] == [14, 14]


@pytest.mark.parametrize(("dialect", "key"), [("tei", "inputs"), ("openai", "input")])
def test_a_request_is_whole(dialect, key):
    head, _, body = made(dialect, "größer").partition(b"\r\n\r\n")
    assert json.loads(body)[key] == ["größer"]
    assert f"content-length: {len(body)}".encode() in head


def test_one_vector_is_told_from_none_and_two():
    assert is_good(Reply(200, VECTOR), 2)
    assert is_good(Reply(200, b'{"data":[{"embedding":[0.5,0.25]}]}'), 2)
    for reply in (Reply(503, VECTOR), Reply(200, b"[[1],[2]]"), Reply(200, b"[[]]")):
        assert not is_good(reply, 2)


def test_clients_ask_until_the_time_is_over(tmp_path):
    async def answer(text):
        await asyncio.sleep(0.01)
        return (500, b"no") if text == "text 4" else (200, VECTOR)

    requests_in(tmp_path / "some")
    groups = Group(("query", "passage"), 2), Group(("document",), 1)
    found = loaded_by(answer, tmp_path / "some", *groups)
    good = [each for each in found.records if each.kind != "document"]
    bad = [each for each in found.records if each.kind == "document"]
    assert len(good) > 20
    assert all(each.is_good and each.stop - each.start >= 0.01 for each in good)
    # After a failure a client waits.
    assert 1 <= len(bad) < 10
    assert not any(each.is_good for each in bad)
    assert max(each.start for each in found.records) < 0.3
    assert 0 < found.cpu_share < 2


def test_what_is_not_answered_in_time_is_a_failure(tmp_path):
    async def answer(_):
        await asyncio.sleep(60)

    requests_in(tmp_path / "some")
    found = loaded_by(answer, tmp_path / "some", Group(("query",), 2), asks_s=0.1, drain_s=0.1)
    assert [each.is_good for each in found.records] == [False, False]


def test_a_plan_survives_json():
    plan = plan_for(1, "some", Group(("query", "passage"), 4))
    assert plan_of(json.loads(json.dumps(dataclasses.asdict(plan)))) == plan
