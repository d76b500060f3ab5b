"""TLS with the receiver inside TLS with the proxy, cut off at each moment: a reason at once, and nothing was sent.

What runs there are two handshakes, one within the other, of the event loop's own; each loop tells their end otherwise.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
import trustme

from heartfly.net.http import RequestFailed
from tests.net.forward_proxy import ForwardProxy, Rude
from tests.net.sender import Names, client_side, failure, outgoing, server_side
from tests.net.toxic_server import ToxicServer, reply

pytestmark = pytest.mark.anyio
_CONNECTED = b"HTTP/1.1 200 OK\r\n\r\n"
_ENDED = ("the connection was closed", "Connection reset by peer", "Broken pipe")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
async def _told_to_nobody() -> None:
    """asyncio before Python 3.13 tells its handler of errors, too, where a handshake within TLS fails."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


async def says_goodbye(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """In one piece with the answer."""
    writer.write(_CONNECTED)
    writer.close()


async def says_no_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_CONNECTED)
    with socket.fromfd(writer.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM) as same:
        same.shutdown(socket.SHUT_WR)
    await reader.read(65536)


async def breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_CONNECTED)
    _reset(writer)


async def breaks_off_in_the_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_CONNECTED)
    await reader.read(65536)
    _reset(writer)


async def breaks_off_before(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def by(proxy: ForwardProxy, authority: trustme.CA) -> Any:
    names = Names(proxy_example=["127.0.0.1"])
    return outgoing(proxy=proxy.known(host="proxy.example"), allow=(), resolver=names, tls=client_side(authority))


async def failed_by(rude: Rude, authority: trustme.CA, *, by_tls: bool) -> RequestFailed:
    own = server_side(authority.issue_cert("proxy.example")) if by_tls else None
    async with ForwardProxy(rude=rude, tls=own) as proxy, by(proxy, authority) as http:
        failed = await failure(http, "https://hooks.example/s3cr3t")
        await proxy.wait_until_alone()
    return failed


@pytest.mark.parametrize("by_tls", [False, True])
@pytest.mark.parametrize("rude", [says_goodbye, says_no_goodbye, breaks_off, breaks_off_in_the_handshake])
async def test_a_tunnel_that_ends_as_it_begins_is_told_at_once_and_nothing_was_sent(
    rude: Rude, authority: trustme.CA, *, by_tls: bool
) -> None:
    failed = await failed_by(rude, authority, by_tls=by_tls)

    assert str(failed) in {f"hooks.example: TLS: {words}" for words in _ENDED}
    assert (False, False) == (failed.ambiguous, failed.permanent)


@pytest.mark.parametrize("by_tls", [False, True])
async def test_a_proxy_that_breaks_off_before_it_answers_has_sent_nothing_on(
    authority: trustme.CA, *, by_tls: bool
) -> None:
    failed = await failed_by(breaks_off_before, authority, by_tls=by_tls)

    assert "hooks.example: the connection to the proxy broke before it answered" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


async def test_the_receiver_s_certificate_is_refused_within_tls_as_without(authority: trustme.CA) -> None:
    tls, own = server_side(trustme.CA().issue_cert("hooks.example")), server_side(authority.issue_cert("proxy.example"))
    async with (
        ToxicServer(reply(), tls=tls) as server,
        ForwardProxy({"hooks.example:443": ("127.0.0.1", server.port)}, tls=own) as proxy,
        by(proxy, authority) as http,
    ):
        failed = await failure(http, "https://hooks.example/s3cr3t")

    assert "hooks.example: TLS: the certificate was refused (" in str(failed)
    assert (False, False, []) == (failed.ambiguous, failed.permanent, server.requests)
