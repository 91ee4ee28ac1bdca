"""A plan of clients in, when each of their requests was sent and answered out: its own process.

It reads the plan from standard input and writes the records to standard output, both as JSON. All
requests are made before the first is sent, so that it takes as little of the machine as it can.
"""

import asyncio
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

from modernbert.bench.serving_http import Connection, Reply, ReplyError

Dialect = Literal["tei", "openai"]
_PAUSE_S = 0.05
"""After a failure, so that a server that refuses all is not asked thousands of times."""


@dataclass(frozen=True, slots=True)
class Group:
    """Clients that send requests of some kinds."""

    kinds: tuple[str, ...]
    clients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent, where, and for how long."""

    port: int
    dialect: Dialect
    requests: str
    """Path of the file that `serving_texts.write_requests` made."""
    dim: int
    """Numbers of a vector."""
    groups: tuple[Group, ...]
    asks_s: float
    """For how long clients begin requests."""
    drain_s: float
    """For how long answers are waited for after that."""


@dataclass(frozen=True, slots=True)
class Record:
    """A request; times are in seconds since the first could be sent."""

    kind: str
    tokens: int
    start: float
    stop: float
    is_good: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """What happened."""

    records: tuple[Record, ...]
    cpu_share: float
    """Of one core, that the clients needed themselves."""


@dataclass(frozen=True, slots=True)
class _Made:
    kind: str
    tokens: int
    content: bytes


def made(dialect: Dialect, text: str) -> bytes:
    """Return a whole request for the vector of a text."""
    asked = {"inputs": [text]} if dialect == "tei" else {"model": "model", "input": [text]}
    path = "/embed" if dialect == "tei" else "/embeddings"
    body = json.dumps(asked, ensure_ascii=False).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def is_good(reply: Reply, dim: int) -> bool:
    """Return whether a reply holds one vector: a list in a list, with as many numbers."""
    body = reply.body
    return reply.status == 200 and body.count(b"[") == 2 and body.count(b",") >= dim - 1


def dealt(requests: Sequence[_Made], group: Group) -> list[Iterator[_Made]]:
    """Give each client its own requests: together they send them in the order of the file."""
    some = [each for each in requests if each.kind in group.kinds]
    return [cycle(some[at % len(some) :: group.clients]) for at in range(group.clients)]


async def load(plan: Plan) -> Loaded:
    """Let all clients ask, and gather what they met."""
    requests = _read(Path(plan.requests), plan.dialect)
    hands = [hand for group in plan.groups for hand in dealt(requests, group)]
    connections = [await Connection.to(plan.port) for _ in hands]
    records: list[Record] = []
    start, used = time.perf_counter(), time.process_time()
    tasks = [
        asyncio.ensure_future(_Client(plan, start, records, connection).ask_all(hand))
        for connection, hand in zip(connections, hands, strict=True)
    ]
    _, late = await asyncio.wait(tasks, timeout=plan.asks_s + plan.drain_s)
    share = (time.process_time() - used) / (time.perf_counter() - start)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return Loaded(tuple(records), share)


class _Client:
    def __init__(
        self, plan: Plan, start: float, records: list[Record], connection: Connection
    ) -> None:
        self._plan, self._start, self._records = plan, start, records
        self._connection = connection

    async def ask_all(self, hand: Iterator[_Made]) -> None:
        """Ask one after the other until the time is over; what is given up then is a failure."""
        for request in hand:
            begun = time.perf_counter() - self._start
            if begun >= self._plan.asks_s:
                break
            found = False
            try:
                found = await self._asked(request.content)
            finally:
                now = time.perf_counter() - self._start
                self._records.append(Record(request.kind, request.tokens, begun, now, found))
            if not found:
                await asyncio.sleep(_PAUSE_S)
        self._connection.close()

    async def _asked(self, content: bytes) -> bool:
        with suppress(OSError, ReplyError):
            if not self._connection.is_open:
                self._connection = await Connection.to(self._plan.port)
            return is_good(await self._connection.ask(content), self._plan.dim)
        return False


def _read(path: Path, dialect: Dialect) -> list[_Made]:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [_Made(kind, tokens, made(dialect, text)) for kind, tokens, text in rows]


def plan_of(told: dict[str, Any]) -> Plan:
    """Return the plan that `dataclasses.asdict` took apart."""
    groups = tuple(Group(tuple(each["kinds"]), each["clients"]) for each in told["groups"])
    return Plan(**(told | {"groups": groups}))


def main() -> None:
    """Do what standard input says."""
    with suppress(OSError, AttributeError):  # not everybody may
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    found = asyncio.run(load(plan_of(json.load(sys.stdin))))
    rows = [dataclasses.astuple(each) for each in found.records]
    json.dump({"records": rows, "cpu_share": found.cpu_share}, sys.stdout)


if __name__ == "__main__":
    main()
