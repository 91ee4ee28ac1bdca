"""A small Hugging Face hub on this machine: folders in, the addresses that the client asks for."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

LOADS = """
import json, sys
from modernbert import load
from modernbert.base.errors import CheckpointError
for given in map(json.loads, sys.argv[1:]):
    place = given.pop("save", None)
    try:
        model = load(given.pop("id"), **given)
        if place:
            model.save(place)
        print(model.config.max_length)
    except CheckpointError as error:
        print(error)
"""


def commit_of(number: int) -> str:
    return f"{number:040x}"


@dataclass
class Repository:
    """Commits and the names they go by; how the hub answers who asks for them."""

    commits: dict[str, Path]
    names: dict[str, str]
    token: str = ""
    is_gated: bool = False
    status: int = 0
    """What the hub answers whatever is asked; 0 gives what there is."""
    cut: dict[str, int] = field(default_factory=dict)
    """Of each path, how many more times it breaks off in the middle."""


@dataclass
class Hub:
    """What is there, and what was asked for."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and authorization of each request."""
    url: str = ""

    def fetched(self) -> set[str]:
        """Return the files that were downloaded."""
        return {
            path.split("/resolve/")[1].partition("/")[2]
            for method, path, _ in self.asked
            if method == "GET" and "/resolve/" in path
        }


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends."""

    class Handler(_Handler):
        def setup(self):
            self.hub = hub
            super().setup()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    """Return the surroundings of a client of this hub, with a cache of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return kept | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        **more,
    }


def loads(url: str, home: Path, *given: dict, **more: str) -> list[str]:
    """Load in a process of its own; return the context length of each model, or its message."""
    done = subprocess.run(
        [sys.executable, "-c", LOADS, *map(json.dumps, given)],
        capture_output=True,
        text=True,
        env=environment(url, home, **more),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == len(given), said
    return said


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        authorization = self.headers.get("Authorization", "")
        self.hub.asked.append((self.command, self.path, authorization))
        path = self.path.partition("?")[0].removeprefix("/api/models")
        parts = path.removeprefix("/api").removeprefix("/datasets").strip("/").split("/")
        repository = self.hub.repositories.get("/".join(parts[:2]))
        refused = self.refusal(repository, authorization)
        if refused or repository is None:
            return self.refuse(*refused)
        commit = self.commit(repository, parts[3] if len(parts) > 3 else "main")
        if commit is None:
            return self.refuse(404, "RevisionNotFound")
        if self.path.startswith("/api/"):
            folder = repository.commits[commit]
            if parts[2:3] != ["tree"]:
                return self.answer(_info(folder, commit))
            return self.answer(_tree(folder, folder.joinpath(*parts[4:]), self.path))
        return self.send_file(repository, commit, "/".join(parts[4:]))

    def do_HEAD(self):
        self.do_GET()

    def refusal(self, repository, authorization):
        if repository is None:
            return 401 if not authorization else 404, "RepoNotFound"
        if repository.status:
            return repository.status, ""
        if repository.token and authorization != f"Bearer {repository.token}":
            wrong = (401, "", "Invalid credentials in Authorization header")
            return wrong if authorization else (401, "RepoNotFound")
        return (403, "GatedRepo") if repository.is_gated else ()

    def commit(self, repository, revision):
        commit = repository.names.get(revision, revision)
        return commit if commit in repository.commits else None

    def refuse(self, status, code="", message=""):
        self.send_response(status)
        for name, value in (("X-Error-Code", code), ("X-Error-Message", message)):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, repository, commit, name):
        path = repository.commits[commit] / name
        if not path.is_file():
            return self.refuse(404, "EntryNotFound")
        body = path.read_bytes()
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{_digest(path)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        left = repository.cut.get(name, 0)
        if left:
            repository.cut[name] = left - 1
            self.wfile.write(body[start : (start + len(body)) // 2])
            self.wfile.flush()
            self.close_connection = True
            return None
        self.wfile.write(body[start:])
        return None

    def log_message(self, *_):
        pass


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _tree(root: Path, folder: Path, asked: str) -> list[dict]:
    """Return what is in a folder, and what is below it unless that is not wanted."""
    found = sorted(folder.glob("*" if "recursive=false" in asked.lower() else "**/*"))
    return [
        {
            "type": "directory" if path.is_dir() else "file",
            "oid": "" if path.is_dir() else _digest(path),
            "size": path.stat().st_size,
            "path": path.relative_to(root).as_posix(),
        }
        for path in found
    ]


def _info(folder: Path, commit: str) -> dict:
    names = [path.relative_to(folder).as_posix() for path in _files(folder)]
    return {"id": "a/b", "sha": commit, "siblings": [{"rfilename": name} for name in names]}
