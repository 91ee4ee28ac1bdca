"""A server under faults, for as long as MODERNBERT_SOAK_S says: nothing is lost, nothing crossed.

Ten minutes: MODERNBERT_SOAK_S=600 python -m pytest -s tests/system/test_soak.py
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from modernbert.infer.engine import Engine
from tests.corpora import texts
from tests.indexes import write_model

SECONDS = float(os.environ.get("MODERNBERT_SOAK_S", "10"))
KEY = "a long and random key"
CLIENTS = 6
HARMS = ("vanished", "dawdled", "flooded", "garbled", "sneaked")
BODY_BYTES, BODY_TIMEOUT_S = 200_000, 0.5


class Server:
    """The real command, in a process of its own."""

    def __init__(self, model: str, log: Path) -> None:
        settings = {
            "MODERNBERT_API_KEY": KEY,
            "MODERNBERT_MAX_BODY_BYTES": str(BODY_BYTES),
            "MODERNBERT_BODY_TIMEOUT_S": str(BODY_TIMEOUT_S),
            "MODERNBERT_PORT": "0",
        }
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modernbert", "serve", model],
                stderr=file,
                env=os.environ | settings,
            )
        self.port = self._port()

    def _port(self) -> int:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for line in self.log.read_text().splitlines():
                if line.startswith("listening at "):
                    return int(line.rpartition(":")[2])
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    @property
    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Client(threading.Thread):
    """Asks and does harm by turns, and checks each answer."""

    def __init__(self, server: Server, pool: list[str], right: np.ndarray, seed: int) -> None:
        super().__init__()
        self.server, self.pool, self.right = server, pool, right
        self.random, self.seen = random.Random(seed), Counter[str]()
        self.faults: list[str] = []
        self.is_over = threading.Event()

    def run(self) -> None:
        harms = [self.vanish, self.dawdle, self.flood, self.garble, self.sneak]
        line = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        while not self.is_over.is_set():
            try:
                if self.random.random() < 0.2:
                    self.random.choice(harms)()
                self.ask(line)
            except Exception as error:
                # Once the server was told to end, a connection may be closed between requests.
                if not self.is_over.is_set():
                    self.faults.append(repr(error))
                break
        line.close()

    def ask(self, line: http.client.HTTPConnection) -> None:
        chosen = self.random.sample(range(len(self.pool)), self.random.choice((1, 1, 1, 4, 16)))
        body = json.dumps({"inputs": [self.pool[each] for each in chosen], "normalize": False})
        line.request("POST", "/embed", body, {"authorization": f"Bearer {KEY}"})
        reply = line.getresponse()
        content = reply.read()
        self.count("asked", reply.status == 200, content[:200])
        found = np.array(json.loads(content))
        self.count("right", np.allclose(found, self.right[chosen], atol=2e-3), f"crossed: {chosen}")

    def count(self, name: str, is_well: bool, otherwise: object) -> None:
        self.seen[name] += 1
        if not is_well:
            self.faults.append(f"{name}: {otherwise!r}")

    def raw(self, *parts: bytes, wait: float = 0.0, key: str = KEY) -> bytes:
        head = f"POST /embed HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as line:
            line.sendall(head + parts[0])
            time.sleep(wait)
            try:
                for part in parts[1:]:
                    line.sendall(part)
                return line.recv(4096)
            except (ConnectionResetError, BrokenPipeError):
                return b""

    def vanish(self) -> None:
        body = json.dumps({"inputs": self.pool}).encode()
        with socket.create_connection(("127.0.0.1", self.server.port)) as line:
            head = f"POST /embed HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
            whole = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
            line.sendall(whole[: self.random.randrange(len(whole))])
        self.seen["vanished"] += 1

    def dawdle(self) -> None:
        said = self.raw(b"content-length: 50\r\n\r\n{")
        self.count("dawdled", b" 408 " in said, said)

    def flood(self) -> None:
        size = BODY_BYTES * 10
        said = self.raw(f"content-length: {size}\r\n\r\n".encode(), b"x" * BODY_BYTES)
        self.count("flooded", b" 413 " in said or not said, said)

    def garble(self) -> None:
        body = self.random.choice([b"{", b"\xff\xfe", b'{"inputs": 5}', b"[" * 5000, b"null"])
        said = self.raw(f"content-length: {len(body)}\r\n\r\n".encode() + body)
        self.count("garbled", b" 400 " in said or b" 422 " in said, said)

    def sneak(self) -> None:
        body = b'{"inputs": "x"}'
        said = self.raw(f"content-length: {len(body)}\r\n\r\n".encode() + body, key="wrong")
        self.count("sneaked", b" 401 " in said, said)


@pytest.mark.slow
def test_nothing_is_lost_or_crossed(tmp_path):
    folder = write_model(tmp_path / "model")
    pool = texts(64, 9, 60)
    right = Engine.load(folder).embed(pool)
    server = Server(folder, tmp_path / "log")
    clients = [Client(server, pool, right, seed) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    begun, memory = time.monotonic(), []
    is_removed = False
    while (spent := time.monotonic() - begun) < SECONDS:
        time.sleep(SECONDS / 50)
        memory.append(server.memory_mb)
        if spent > SECONDS / 2 and not is_removed:
            # What is open needs no file any more.
            (tmp_path / "model" / "model.safetensors").unlink()
            is_removed = True
    with ThreadPoolExecutor() as threads:
        last = [threads.submit(large, server, pool * 8) for _ in range(4)]
        until_they_wait(server)
        for client in clients:
            client.is_over.set()
        server.process.send_signal(signal.SIGTERM)
        for each in last:
            np.testing.assert_allclose(each.result(), np.tile(right, (8, 1)), atol=2e-3)
    status = server.process.wait(timeout=60)
    for client in clients:
        client.join()
    seen = sum((client.seen for client in clients), Counter())
    middle = memory[len(memory) // 2]
    grown = f"{middle:.0f} MB halfway, {memory[-1]:.0f} in the end"
    print(f"\n{SECONDS:g} s: {dict(seen)}; memory {grown}")
    assert [fault for client in clients for fault in client.faults] == []
    assert status == 0, server.log.read_text()[-2000:]
    assert "Traceback" not in server.log.read_text()
    assert min(seen[name] for name in HARMS) > 0
    assert memory[-1] < middle + 20


def large(server, asked):
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = json.dumps({"inputs": asked, "normalize": False})
    line.request("POST", "/embed", body, {"authorization": f"Bearer {KEY}"})
    reply = line.getresponse()
    content = reply.read()
    line.close()
    assert reply.status == 200, content[:200]
    return json.loads(content)


def until_they_wait(server):
    """Wait until the server has all large requests, and has not computed them yet."""
    waiting = 0.0
    while waiting < 512:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        line.request("GET", "/metrics")
        page = line.getresponse().read().decode()
        line.close()
        waiting = float(page.split("\nte_queue_size ")[1].split("\n")[0])
