"""A small S3 on this machine: a folder in, its files as the objects of a bucket out."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY = "test-key"
_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>{}</Message></Error>'


@dataclass
class Bucket:
    """What is served, and what was asked for."""

    name: str
    folder: Path
    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and range of each request."""
    failing: int = 0
    """How many more requests are answered by a fault of the server's."""
    cut: int = 0
    """How many more answers break off in the middle."""

    def environment(self, **more: str) -> dict[str, str]:
        """Return what leads a client here."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            **more,
        }


@contextmanager
def serving(bucket: Bucket) -> Iterator[Bucket]:
    """Serve until the block ends; a bucket that was served before has its old port again."""

    class Handler(_Handler):
        of = bucket

    server = ThreadingHTTPServer(("127.0.0.1", bucket.port), Handler)
    server.daemon_threads = True
    bucket.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    of: Bucket

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        asked = self.headers.get("Range", "")
        path = self.path.partition("?")[0]
        self.of.asked.append((self.command, path, asked))
        if self.of.failing:
            self.of.failing -= 1
            return self.refuse(503, "SlowDown")
        if f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
            return self.refuse(403, "AccessDenied")
        bucket, _, key = path.lstrip("/").partition("/")
        if bucket != self.of.name:
            return self.refuse(404, "NoSuchBucket")
        file = self.of.folder / key
        if not file.is_file():
            return self.refuse(404, "NoSuchKey")
        return self.give(file.read_bytes(), asked)

    def give(self, body, asked):
        size, first, last = len(body), 0, len(body) - 1
        if asked:
            start, _, stop = asked.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(stop or last), last)
        part = body[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", '"0"')
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if self.of.cut and len(part) > 1:
            self.of.cut -= 1
            part = part[: len(part) // 2]
        if self.command != "HEAD":
            self.wfile.write(part)

    def refuse(self, status, code):
        body = _ERROR.format(code, code).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass
