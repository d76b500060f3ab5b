"""Requests that are refused, or that fail before anything was sent."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from heartfly.errors import ForbiddenAddressError, InvalidValueError
from heartfly.net.connect import _connect_words
from tests.net.sender import Names, failure, get, outgoing
from tests.net.toxic_server import ToxicServer, reply

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "GET /", ""])
async def test_an_odd_method_is_refused_for_good(method: str) -> None:
    async with outgoing() as http:
        failed = await failure(http, "http://127.0.0.1:1/", method=method)

    assert (False, True) == (failed.ambiguous, failed.permanent)


async def test_a_forged_header_is_refused_for_good() -> None:
    async with ToxicServer(reply()) as server, outgoing() as http:
        failed = await failure(http, server.url(), headers={"Host": "internal.example"})

    assert "headers: Host is set by Heartfly itself" == str(failed)
    assert (False, True) == (failed.ambiguous, failed.permanent)
    assert 0 == server.connections


async def test_a_bad_url_is_refused_for_good_without_repeating_it() -> None:
    async with outgoing() as http:
        failed = await failure(http, "ftp://hooks.example/s3cr3t")

    assert "url: must start with http:// or https://" == str(failed)
    assert isinstance(failed.__cause__, InvalidValueError)
    assert (False, True) == (failed.ambiguous, failed.permanent)


async def test_loopback_is_refused_for_good_unless_it_is_opened() -> None:
    async with ToxicServer(reply()) as server, outgoing(allow=(), allowed_ports={server.port}) as http:
        failed = await failure(http, server.url("/s3cr3t"))

    assert ("127.0.0.1: the address is loopback (127.0.0.0/8); the setting outgoing.allow_private can open it") == str(
        failed
    )
    assert isinstance(failed.__cause__, ForbiddenAddressError)
    assert (False, True, 0) == (failed.ambiguous, failed.permanent, server.connections)


async def test_a_name_that_leads_to_a_private_address_does_not_tell_the_address() -> None:
    names = Names(hooks_example=["10.11.12.13"])
    async with outgoing(resolver=names) as http:
        failed = await failure(http, "http://hooks.example/")

    assert "hooks.example: the address is private (10.0.0.0/8)" in str(failed)
    assert "10.11.12.13" not in str(failed)


async def test_the_kernels_idea_of_the_address_counts_too() -> None:
    """The operator opened 0.0.0.0, which is nobody; Linux takes it to mean this machine."""
    async with ToxicServer(reply()) as server, outgoing(allow=[ip_network("0.0.0.0/32")]) as http:
        failed = await failure(http, f"http://0.0.0.0:{server.port}/")

    assert "loopback" in str(failed)
    assert (True, []) == (failed.permanent, server.requests)


@pytest.mark.parametrize("host", ["heartfly.example", "HEARTFLY.example."])
async def test_our_own_name_is_refused(host: str) -> None:
    async with ToxicServer(reply()) as ourselves:
        names = Names(heartfly_example=["127.0.0.1"])
        async with outgoing(resolver=names, own_hosts={"heartfly.example"}) as http:
            failed = await failure(http, ourselves.url(host=host))

    assert "heartfly.example: that is Heartfly itself" == str(failed)
    assert (True, 0) == (failed.permanent, ourselves.connections)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "alias.example"])
async def test_our_own_socket_is_refused_by_every_name(host: str) -> None:
    async with ToxicServer(reply()) as ourselves:
        own, names = {f"127.0.0.1:{ourselves.port}"}, Names(alias_example=["127.0.0.1"])
        async with outgoing(resolver=names, own_hosts=own) as http:
            failed = await failure(http, ourselves.url(host=host))

    assert str(failed).endswith(": that is Heartfly itself")
    assert (True, 0) == (failed.permanent, ourselves.connections)


async def test_a_port_of_the_internet_is_refused_but_an_opened_network_has_all() -> None:
    names = Names(hooks_example=["8.8.8.8"], build_example=["127.0.0.1"])
    async with ToxicServer(reply()) as server, outgoing(resolver=names) as http:
        failed = await failure(http, f"http://hooks.example:{server.port}/")
        got = await get(http, server.url(host="build.example"))

    assert f"hooks.example: port {server.port} is not open for requests to the internet" == str(failed)
    assert 200 == got.status


# --- names and connections that fail: nothing was sent


async def test_an_unknown_name_may_be_tried_again() -> None:
    async with outgoing(resolver=Names()) as http:
        failed = await failure(http, "http://hooks.example/s3cr3t")

    assert "hooks.example: the name could not be resolved" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


async def test_a_name_without_an_address_may_be_tried_again() -> None:
    async with outgoing(resolver=Names(hooks_example=[])) as http:
        failed = await failure(http, "http://hooks.example/")

    assert "hooks.example: the name has no address" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


async def test_a_silent_name_server_is_given_up_in_time() -> None:
    async def silent(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with outgoing(resolver=silent, lookup_limit_s=0.05) as http:
        failed = await failure(http, "http://hooks.example/")

    assert "hooks.example: the name servers did not answer within 0.05 s" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


async def test_a_refused_connection_may_be_tried_again() -> None:
    async with ToxicServer(reply()) as server:
        pass
    async with outgoing() as http:
        failed = await failure(http, server.url())

    assert "127.0.0.1: the connection was refused" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


async def test_a_request_that_was_sent_says_nothing_about_the_next() -> None:
    async with ToxicServer(reply()) as server, outgoing(connections_per_host=1, total_deadline_s=1.0) as http:
        await get(http, server.url())
        async with http._pools.lease("127.0.0.1"):
            failed = await failure(http, server.url())

    assert "127.0.0.1: the request could not be sent within 1 s" == str(failed)
    assert not failed.ambiguous


async def test_an_address_without_a_route_may_be_tried_again() -> None:
    # 255.255.255.255 refuses TCP inside the kernel, so nothing leaves the machine.
    async with outgoing(allow=[ip_network("255.255.255.255/32")]) as http:
        failed = await failure(http, "http://255.255.255.255/")

    assert f"255.255.255.255: no connection ({os.strerror(errno.ENETUNREACH)})" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


def test_a_connection_that_fails_without_a_reason_says_so() -> None:
    assert "no connection (no reason given)" == _connect_words(OSError())


async def test_an_address_that_swallows_packets_is_given_up_in_time() -> None:
    async with listener_that_is_full() as port, outgoing(connect_limit_s=0.1) as http:
        failed = await failure(http, f"http://127.0.0.1:{port}/")

    assert "127.0.0.1: no connection within the time limit" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


async def test_the_deadline_holds_while_connecting() -> None:
    async with listener_that_is_full() as port, outgoing(total_deadline_s=0.1) as http:
        failed = await failure(http, f"http://127.0.0.1:{port}/")

    assert "127.0.0.1: the request could not be sent within 0.1 s" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


@asynccontextmanager
async def listener_that_is_full() -> AsyncIterator[int]:
    """Its queue of one is taken, so the kernel ignores every further attempt."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        taken = [socket.socket() for _ in range(3)]
        attempts = []
        for one in taken:
            one.settimeout(0)
            attempts.append(asyncio.ensure_future(loop.sock_connect(one, listener.getsockname())))
        await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield listener.getsockname()[1]
        finally:
            for attempt in attempts:
                attempt.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)
            for one in taken:
                one.close()
