"""Ways to serve one folder in, servers that answer on a free port of this machine out."""

import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from modernbert.base.errors import MachineError
from modernbert.bench.runtimes import OURS
from modernbert.bench.serving_load import Dialect
from modernbert.bench.serving_naive import FOLDER
from modernbert.bench.worker import memory_limit

NAIVE, INFINITY = "sentence-transformers + FastAPI", "infinity"
_LOCAL = "127.0.0.1"
_APP = "modernbert.bench.serving_naive:app"
_OPENS_S = 180.0
_ENDS_S = 30.0
_LOOKS_S = 0.1
_SAID = 300
"""Characters of what a server said last."""
_VERSIONS = (
    "import json, platform; from importlib.metadata import version; names = ('infinity-emb', "
    "'sentence-transformers', 'transformers', 'torch', 'numpy'); "
    "print(json.dumps({'python': platform.python_version()} | {n: version(n) for n in names}))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One way to serve a folder."""

    name: str
    command: tuple[str, ...]
    """Where the port goes, it says {port}."""
    dialect: Dialect = "tei"
    environment: Mapping[str, str] = field(default_factory=dict)


def servers(folder: Path, infinity: Path | None, infinity_batch: int) -> list[Server]:
    """Return all servers, ours first."""
    python, place, host = sys.executable, str(folder), ("--host", _LOCAL, "--port", "{port}")
    found = [
        Server(name=OURS, command=(python, "-m", "modernbert", "serve", f"model={place}", *host)),
        Server(
            name=NAIVE,
            command=(python, "-m", "uvicorn", "--factory", _APP, *host),
            environment={FOLDER: place},
        ),
    ]
    if infinity is None:
        return found
    of_infinity = ("--model-id", place, "--served-model-name", "model", "--device", "cpu")
    # BetterTransformer knows no ModernBERT, and every server is warmed up by the same texts.
    plain = ("--dtype", "float32", "--no-bettertransformer", "--no-model-warmup")
    batch = ("--batch-size", str(infinity_batch))
    command = (str(infinity), "-m", "infinity_emb.cli", "v2", *of_infinity, *plain, *batch, *host)
    quiet = {"INFINITY_ANONYMOUS_USAGE_STATS": "0", "DO_NOT_TRACK": "1"}
    return [*found, Server(name=INFINITY, command=command, dialect="openai", environment=quiet)]


@contextmanager
def running(server: Server, log: Path) -> Iterator[int]:
    """Start a server, wait until it answers, and give its port; it ends with the block.

    Raises:
        MachineError: it ends by itself, or does not answer in time.
    """
    port = free_port()
    command = [each.replace("{port}", str(port)) for each in server.command]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"} | dict(server.environment)
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            preexec_fn=_limited(memory_limit()),
        )
    try:
        if not _is_up(process, port):
            raise MachineError(
                f"{server.name} does not answer within {_OPENS_S:.0f} s, or ended ({_last(log)}): "
                f"try {shlex.join(command)}"
            )
        yield port
    finally:
        _end(process)


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as door:
        door.bind((_LOCAL, 0))
        return int(door.getsockname()[1])


def asked(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """Ask once, on a connection of its own; status 0 where nobody is there."""
    connection = HTTPConnection(_LOCAL, port, timeout=_OPENS_S)
    content = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, content, {"content-type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def vector_of(port: int, dialect: Dialect, text: str) -> list[float] | None:
    """Return the vector of a text, None where it is not given."""
    if dialect == "tei":
        status, body = asked(port, "POST", "/embed", {"inputs": [text]})
        return json.loads(body)[0] if status == 200 else None
    asks = {"model": "model", "input": [text]}
    status, body = asked(port, "POST", "/embeddings", asks)
    return json.loads(body)["data"][0]["embedding"] if status == 200 else None


def versions_of(python: Path) -> dict[str, str] | None:
    """Return the versions in another environment, None where infinity is not in it."""
    told = subprocess.run([python, "-c", _VERSIONS], capture_output=True, text=True, check=False)
    return json.loads(told.stdout) if told.returncode == 0 else None


def _limited(limit: int) -> Callable[[], None]:
    """Refuse a process more memory than leaves the machine working."""
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _is_up(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + _OPENS_S
    while time.monotonic() < end and process.poll() is None:
        if asked(port, "GET", "/health")[0] == 200:
            return True
        time.sleep(_LOOKS_S)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Tell a server to end, as a system does, and end it if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_ENDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip()[:_SAID] if lines else "it said nothing"
