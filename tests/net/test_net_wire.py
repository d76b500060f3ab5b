"""One connection by itself: what is read after its end, how much is read at all, and what a cancellation leaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_network

import pytest
import trustme

from heartfly.net.connect import Connector
from heartfly.net.http import RequestFailed
from heartfly.net.reply import MAX_BODY_BYTES, MAX_HEAD_BYTES, Incoming, Reply
from heartfly.net.rules import Rules
from heartfly.net.wire import Wire
from tests.net.sender import Names, client_side, get, outgoing, server_side
from tests.net.toxic_server import Script, ToxicServer, flood, n_open_files, raw, reply

pytestmark = pytest.mark.anyio
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


async def connect(server: ToxicServer) -> Wire:
    connector = Connector(Rules(allow=[ip_network("127.0.0.0/8")]), Names())
    wire = await connector.connect("127.0.0.1", server.port)
    await wire.open(None)
    return wire


async def test_a_flood_is_read_no_further_than_its_bounds() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    async with asyncio.timeout(60), ToxicServer(flood(head, b"x" * 100_000)) as server:
        wire, incoming = await connect(server), Incoming()
        await wire.exchange(REQUEST, incoming)
        wire.close()
        await server.wait_until(lambda server: server.open == 0)

    assert (True, False) == (incoming.done, incoming.keep)
    assert (MAX_BODY_BYTES, True) == (len(incoming.reply.body), incoming.reply.cut) if incoming.reply else None


def test_what_comes_in_the_smallest_pieces_is_the_same_reply() -> None:
    said = (
        b"HTTP/1.1 103 Early\r\nA: 1\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    at_once, bit_by_bit = Incoming(), Incoming()
    at_once.feed(said)
    for byte in said:
        assert not bit_by_bit.done
        bit_by_bit.feed(bytes([byte]))

    assert Reply(status=200, headers={"transfer-encoding": "chunked"}, body=b"ok", cut=False) == at_once.reply
    assert (at_once.reply, True, True) == (bit_by_bit.reply, at_once.keep, bit_by_bit.keep)


def test_what_stands_in_a_trailer_is_no_header() -> None:
    incoming = Incoming()
    incoming.feed(b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRetry-After: 999\r\n\r\n")

    assert Reply(status=429, headers={"transfer-encoding": "chunked"}, body=b"", cut=False) == incoming.reply


def test_the_end_after_the_reply_changes_it_no_more() -> None:
    incoming = Incoming()
    incoming.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    incoming.end()

    assert Reply(status=200, headers={"content-length": "2"}, body=b"ok", cut=False) == incoming.reply
    assert not incoming.keep


def test_a_second_reply_behind_the_first_is_not_read_and_ends_the_connection() -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    incoming = Incoming()
    incoming.feed(one + one.replace(b"ok", b"no"))

    assert Reply(status=200, headers={"content-length": "2"}, body=b"ok", cut=False) == incoming.reply
    assert not incoming.keep


def test_no_more_is_read_than_the_headers_of_a_reply_may_have() -> None:
    said = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * MAX_HEAD_BYTES
    incoming = Incoming()
    incoming.feed(said[:MAX_HEAD_BYTES])
    assert not incoming.done
    incoming.feed(said[MAX_HEAD_BYTES:])

    cut = Reply(status=200, headers={}, body=b"", cut=True)
    assert (True, cut, False) == (incoming.done, incoming.reply, incoming.keep)


async def test_a_connection_that_was_never_used_is_closed() -> None:
    async with ToxicServer(reply()) as server:
        wire = await connect(server)
        await server.wait_until(lambda server: server.open == 1)
        wire.close()
        await server.wait_until(lambda server: server.open == 0)


async def test_who_speaks_before_he_is_asked_is_not_sent_anything() -> None:
    async with ToxicServer(reply(), greeting=b"220 mail.example\r\n") as server:
        wire, incoming = await connect(server), Incoming()
        await server.wait_until(lambda server: server.open == 0)
        await wire.exchange(REQUEST, incoming)

    assert (False, None, []) == (incoming.sent, incoming.reply, server.requests)


@pytest.mark.parametrize("script", [reply(), raw(b"", keep=True)], ids=["replies", "stalls"])
@pytest.mark.parametrize("tls", ["no TLS", "TLS", "TLS that never ends"])
async def test_a_request_cancelled_at_any_moment_leaves_nothing_behind(tls: str, script: Script) -> None:
    authority = trustme.CA()
    server_tls = server_side(authority.issue_cert("hooks.example")) if tls == "TLS" else None
    scheme = "http" if tls == "no TLS" else "https"

    async def cancel_after(turns: Sequence[int]) -> None:
        names = Names(hooks_example=["127.0.0.1"])
        async with (
            ToxicServer(script, tls=server_tls) as server,
            ToxicServer(reply(), host="127.0.0.2") as well,
            outgoing(resolver=names, tls=client_side(authority), connections_per_host=1) as http,
        ):
            url = f"{scheme}://hooks.example:{server.port}/"
            for number in turns:
                request = asyncio.create_task(get(http, url))
                for _ in range(number):
                    await one_turn()
                request.cancel()
                ended, _ = await asyncio.wait([request], timeout=2)
                assert {request} == ended
                assert request.cancelled() or isinstance(request.exception(), RequestFailed | None)
            assert 200 == (await get(http, well.url())).status

    await cancel_after([100])  # once before, for what the loop itself opens at first use
    before = n_open_files()
    await cancel_after(range(40))

    assert before == n_open_files()


async def one_turn() -> None:
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


async def test_the_end_is_known_before_the_event_loop_has_seen_it() -> None:
    near, far = socket.socketpair()
    near.settimeout(0)
    wire, incoming = Wire(near, host="pair"), Incoming()
    await wire.open(None)
    far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await wire.exchange(REQUEST, incoming)

    assert incoming.keep
    assert wire.is_usable()
    far.close()
    assert not wire.is_usable()
    wire.close()
