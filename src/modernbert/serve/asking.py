"""A route and what is asked of it in, what the server says out: connections, waits and errors."""

import http.client
import json
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, final
from urllib.parse import urlsplit

import numpy as np

from modernbert.base.errors import (
    ConfigError,
    DataError,
    MachineError,
    NumbersError,
    UserError,
)

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
class Asker:
    """Asks one server; it keeps connections, and threads may share it."""

    def __init__(self, url: str, key: str | None, timeout_s: float, tries: int) -> None:
        """Remember where the server is; nothing is sent yet.

        Raises:
            ConfigError: the address is none, or the key cannot be sent.
        """
        try:
            parts = urlsplit(str(url))
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
            port = parts.port
        except ValueError:
            is_address, port = False, None
        if not is_address:
            raise ConfigError(
                f"{url!r} is no address of a server: give one such as http://HOST:8000"
            )
        self._url, self._timeout_s, self._tries = url, timeout_s, max(1, tries)
        self._makes = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._place, self._before = (str(parts.hostname), port), parts.path.rstrip("/")
        self._headers: dict[str, str | bytes] = {"content-type": "application/json"}
        if key is not None:
            if not key.isprintable():
                raise ConfigError("the key has a character that no header can hold: check it")
            self._headers["authorization"] = f"Bearer {key}".encode()
        self._idle: list[http.client.HTTPConnection] = []
        """Connections that are kept for the next requests."""
        weakref.finalize(self, _close, self._idle)

    def ask(self, path: str, asked: Mapping[str, Any] | None) -> Any:
        """Send a request, again where the server is busy, and return what it says.

        Raises:
            UserError: what the server refuses, or that there is none; see `Client`.
        """
        body = None if asked is None else json.dumps(_present(asked))
        for left in reversed(range(self._tries)):
            status, headers, content = self._once(path, body)
            if status == 200:
                return self._read(content)
            told = headers.get("retry-after", "")
            # What took too long would do so again, and is not told to come back.
            if status not in _BUSY or not told or not left:
                break
            time.sleep(min(float(told) if told.isdecimal() else 1.0, _LONGEST_WAIT_S))
        raise _error_of(status, content)

    def _read(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError as error:
            raise MachineError(
                f"{self._url} answers, and not as `modernbert serve` does: check the address"
            ) from error

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
                    f"no server answers at {self._url}: start one with `modernbert serve`"
                ) from error
            except (http.client.HTTPException, OSError) as error:
                line.close()
                # A connection that was kept may have been closed meanwhile.
                if is_again or isinstance(error, TimeoutError):
                    raise MachineError(
                        f"{self._url} broke off ({error or type(error).__name__}): ask again"
                    ) from error
            else:
                self._idle.append(line)
                return (
                    reply.status,
                    {name.lower(): told for name, told in reply.headers.items()},
                    content,
                )
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


def _present(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was not said, so that the server's own choice holds."""
    return {key: _plain(value) for key, value in asked.items() if value is not None}


def _plain(value: Any) -> Any:
    """Turn numbers of numpy, alone or in arrays, into Python's."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _error_of(status: int, content: bytes) -> UserError:
    """Return the error that an engine would raise."""
    try:
        told = json.loads(content)
        # OpenAI's shape puts it one deeper, and Cohere's has no more than it.
        said = told.get("error", told)
        said = str(said["message"] if isinstance(said, dict) else said)
    except (ValueError, KeyError, AttributeError):
        said = content[:200].decode(errors="replace")
    return _ERRORS.get(status, MachineError)(said)
