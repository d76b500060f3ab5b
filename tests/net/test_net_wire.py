"""One connection by itself: what is read after its end, how much is read at all, and what a cancellation leaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_network

import httpcore
import pytest
import trustme

from heartfly.net.connect import GuardedBackend
from heartfly.net.http import RequestFailed
from heartfly.net.rules import Rules
from heartfly.net.wire import MAX_HEAD_BYTES, Wire
from tests.net.sender import Names, client_side, get, outgoing, server_side
from tests.net.toxic_server import Script, ToxicServer, flood, n_open_files, raw, reply

pytestmark = pytest.mark.anyio
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


async def connect(server: ToxicServer) -> Wire:
    backend = GuardedBackend(Rules(allow=[ip_network("127.0.0.0/8")]), Names())
    return await backend.connect_tcp("127.0.0.1", server.port)


async def test_what_came_before_the_end_is_read_before_the_end() -> None:
    async with ToxicServer(raw(b"0123456789")) as server:
        wire = await connect(server)
        await wire.write(REQUEST)
        first = await wire.read(4)
        async with asyncio.timeout(5):
            while not wire._ended:
                await one_turn()

        assert wire.get_extra_info("is_readable")
        assert [b"0123", b"4567", b"89", b"", b""] == [first, *[await wire.read(4) for _ in range(4)]]
        await wire.aclose()


async def test_no_more_is_read_than_the_headers_of_a_reply_may_have() -> None:
    async with ToxicServer(flood(b"", b"x" * 1000)) as server:
        wire = await connect(server)
        await wire.write(REQUEST)
        n_read = 0
        while n_read < MAX_HEAD_BYTES:
            n_read += len(await wire.read(65536))

        assert MAX_HEAD_BYTES == n_read
        with pytest.raises(httpcore.RemoteProtocolError):
            await wire.read(65536)
        await wire.aclose()


async def test_a_flood_that_nobody_reads_is_stopped_at_the_socket_until_somebody_reads() -> None:
    async with asyncio.timeout(10), ToxicServer(flood(b"", b"x" * 100_000)) as server:
        wire = await connect(server)
        await wire.write(REQUEST)
        await wire.read(1)
        while wire._transport is not None and wire._transport.is_reading():
            await one_turn()
        held = len(wire._inbox)
        await server.pause(0.02)
        assert held == len(wire._inbox) < 512 * 1024

        n_read = 0
        while n_read < 2 * held:
            wire.expect_body()
            n_read += len(await wire.read(65536))
        await wire.aclose()


async def test_a_connection_that_was_never_used_is_closed() -> None:
    async with ToxicServer(reply()) as server:
        wire = await connect(server)
        await server.wait_until(lambda server: server.open == 1)
        await wire.aclose()
        await server.wait_until(lambda server: server.open == 0)


async def test_what_httpcore_does_not_need_is_not_told() -> None:
    async with ToxicServer(reply()) as server:
        wire = await connect(server)
        assert None is wire.get_extra_info("peername")
        await wire.aclose()


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
    wire = Wire(near, host="pair")
    await wire.write(REQUEST)
    far.sendall(b"reply")

    assert b"reply" == await wire.read(10)
    assert not wire.get_extra_info("is_readable")
    far.close()
    assert wire.get_extra_info("is_readable")
    await wire.aclose()
