"""TLS verifies the name of the URL, on the connection to the checked address."""

from __future__ import annotations

import asyncio

import pytest
import trustme

from tests.net.sender import Names, client_side, failure, get, outgoing, server_side
from tests.net.toxic_server import ToxicServer, reply

pytestmark = pytest.mark.anyio


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


async def test_tls_verifies_the_name_of_the_url_not_the_address(authority: trustme.CA) -> None:
    names = Names(hooks_example=["127.0.0.1"])
    tls = server_side(authority.issue_cert("hooks.example"))
    async with ToxicServer(reply(), tls=tls) as server, outgoing(resolver=names, tls=client_side(authority)) as http:
        got = [await get(http, server.url(host="hooks.example")) for _ in range(2)]
        assert 1 == server.connections

    assert [200, 200] == [one.status for one in got]


async def test_a_certificate_for_another_host_is_refused_before_anything_is_sent(authority: trustme.CA) -> None:
    names = Names(hooks_example=["127.0.0.1"])
    tls = server_side(authority.issue_cert("other.example"))
    async with ToxicServer(reply(), tls=tls) as server, outgoing(resolver=names, tls=client_side(authority)) as http:
        failed = await failure(http, server.url("/s3cr3t", host="hooks.example"))

    assert "hooks.example: TLS: the certificate was refused (Hostname mismatch" in str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)
    assert [] == server.requests


async def test_an_unknown_authority_is_refused(authority: trustme.CA) -> None:
    tls = server_side(authority.issue_cert("127.0.0.1"))
    async with ToxicServer(reply(), tls=tls) as server, outgoing(tls=None) as http:
        failed = await failure(http, server.url())

    assert "127.0.0.1: TLS: the certificate was refused (" in str(failed)
    assert [] == server.requests


async def test_a_receiver_that_speaks_no_tls_is_told_apart() -> None:
    async with ToxicServer(reply(), greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server, outgoing() as http:
        failed = await failure(http, server.url().replace("http:", "https:"))

    assert str(failed).startswith("127.0.0.1: TLS: ")
    assert (False, False) == (failed.ambiguous, failed.permanent)


async def test_a_receiver_that_hangs_up_in_the_handshake_is_told_in_words() -> None:
    async def leaves(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(leaves, "127.0.0.1", 0) as server, outgoing() as http:
        failed = await failure(http, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert str(failed) in {
        f"127.0.0.1: TLS: {words}" for words in ("the connection was closed", "Connection reset by peer")
    }
    assert (False, False) == (failed.ambiguous, failed.permanent)
