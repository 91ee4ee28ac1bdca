import asyncio

import pytest

from modernbert.bench.serving_http import Connection, Reader, ReplyError

BODY = b"[[0.5,0.25]]"
REPLY = b"HTTP/1.1 200 OK\r\ndate: today\r\nContent-Length: 12\r\n\r\n" + BODY


def test_a_reply_is_read_in_pieces_of_any_size():
    for size in (1, 7, len(REPLY)):
        reader = Reader()
        pieces = [REPLY[at : at + size] for at in range(0, len(REPLY), size)]
        found = [reader.feed(piece) for piece in pieces]
        assert found[:-1] == [None] * (len(pieces) - 1)
        assert (found[-1].status, found[-1].body) == (200, BODY)


def test_one_reply_after_the_other_is_read():
    reader = Reader()
    empty = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    assert reader.feed(REPLY).status == 200
    assert reader.feed(empty).status == 503
    assert reader.feed(REPLY).body == BODY


@pytest.mark.parametrize(
    ("said", "pattern"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "does not say how long it is"),
        (b"nothing of this kind\r\ncontent-length: 0\r\n\r\n", "in place of a status"),
    ],
)
def test_what_is_no_reply_is_refused(said, pattern):
    with pytest.raises(ReplyError, match=pattern):
        Reader().feed(said)


def test_a_connection_is_kept_and_tells_when_it_is_lost():
    async def serve(reader, writer):
        for _ in range(2):
            await reader.readuntil(b"?")
            writer.write(REPLY)
        await reader.readuntil(b"?")
        writer.close()

    async def ask():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            connection = await Connection.to(server.sockets[0].getsockname()[1])
            found = [(await connection.ask(b"?")).status for _ in range(2)]
            with pytest.raises(ConnectionError, match="the server closed the connection"):
                await connection.ask(b"?")
            assert not connection.is_open
            with pytest.raises(ConnectionError, match="the server closed the connection"):
                await connection.ask(b"?")
            connection.close()
        return found

    assert asyncio.run(ask()) == [200, 200]
