"""Bytes of a connection in, HTTP/1.1 replies out; no more of HTTP than servers of models send."""

import asyncio
from dataclasses import dataclass
from typing import final

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_STATUS = slice(9, 12)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    body: bytes


class ReplyError(Exception):
    """What came is no reply whose end could be told."""


@final
class Reader:
    """Gathers bytes until a reply is whole."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._head = 0
        self._whole = 0

    def feed(self, data: bytes) -> Reply | None:
        """Take some bytes, and return the reply that they end.

        Raises:
            ReplyError: it says no status, or not how long it is.
        """
        self._held += data
        if not self._whole:
            self._head = self._held.find(_END)
            if self._head < 0:
                return None
            self._whole = self._head + len(_END) + length_of(bytes(self._held[: self._head]))
        if len(self._held) < self._whole:
            return None
        body = bytes(self._held[self._head + len(_END) : self._whole])
        status = bytes(self._held[_STATUS])
        del self._held[: self._whole]
        self._whole = 0
        if not status.isdigit():
            raise ReplyError(f"a reply begins with {status!r} in place of a status")
        return Reply(int(status), body)


def length_of(head: bytes) -> int:
    """Return the bytes that follow a head.

    Raises:
        ReplyError: it does not say.
    """
    for line in head.lower().split(b"\r\n")[1:]:
        if line.startswith(_LENGTH):
            return int(line[len(_LENGTH) :])
    raise ReplyError("a reply does not say how long it is")


@final
class Connection(asyncio.Protocol):
    """A connection that is kept; one question at a time."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None
        self._waits: asyncio.Future[Reply] | None = None

    @classmethod
    async def to(cls, port: int) -> "Connection":
        """Connect to a port of this machine."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(cls, "127.0.0.1", port)
        return made

    @property
    def is_open(self) -> bool:
        """Whether something can be asked."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> Reply:
        """Send a whole request and wait for its reply.

        Raises:
            ConnectionError: the server has gone.
            ReplyError: it answers what cannot be read.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the server closed the connection")
        self._waits = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waits

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take what bytes are written to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand a reply that is whole to whoever waits."""
        try:
            reply = self._reader.feed(data)
        except ReplyError as error:
            self._fail(error)
            self.close()
            return
        if reply is not None and self._waits is not None and not self._waits.done():
            self._waits.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._transport = None
        self._fail(ConnectionError(f"the server closed the connection: {exc}"))

    def _fail(self, error: Exception) -> None:
        if self._waits is not None and not self._waits.done():
            self._waits.set_exception(error)
