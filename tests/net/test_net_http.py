"""One request to a well-behaved receiver, and what is refused before anything is sent."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
import trustme

from heartfly.errors import ForbiddenAddressError, InvalidValueError
from heartfly.net.http import MAX_BODY_BYTES, OutgoingHttp, Reply, RequestFailed
from tests.net.toxic_server import ToxicServer, in_turn, raw, reply, when_released

pytestmark = pytest.mark.anyio
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # to load the real ones takes long
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))


@asynccontextmanager
async def outgoing(**settings: Any) -> AsyncIterator[OutgoingHttp]:
    usual: dict[str, Any] = {"allow": LOOPBACK, "own_hosts": (), "user_agent": "Heartfly/1", "tls": NO_AUTHORITIES}
    http = OutgoingHttp(**usual | settings)
    try:
        yield http
    finally:
        await http.aclose()


class Names:
    """A resolver that knows these names only, and counts how often it is asked."""

    def __init__(self, **names: Sequence[str]) -> None:
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        if host not in self.names:
            raise OSError(-2, "Name or service not known")
        return self.names[host]


async def get(http: OutgoingHttp, url: str) -> Reply:
    return await http.request("GET", url, headers={})


async def failure(http: OutgoingHttp, url: str, **more: Any) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        await http.request(**{"method": "POST", "url": url, "headers": {}, "body": b"{}", **more})
    return caught.value


async def test_the_receiver_sees_the_request_and_we_see_its_reply() -> None:
    async with ToxicServer(reply(202, b"taken", [("X-Id", "a"), ("x-id", "b")])) as server, outgoing() as http:
        got = await http.request("POST", server.url("/a%20b/ü?x=1"), headers={"X-Name": "Bä"}, body=b"{}")

    (seen,) = server.requests
    assert ("POST", "/a%20b/%C3%BC?x=1", b"{}") == (seen.method, seen.target, seen.body)
    assert {
        "host": f"127.0.0.1:{server.port}",
        "content-length": "2",
        "user-agent": "Heartfly/1",
        "accept": "*/*",
        "x-name": "Bä".encode().decode("latin-1"),
        "accept-encoding": "identity",
        "x-heartfly-hop": "1",
    } == seen.headers
    assert Reply(status=202, headers={"content-length": "5", "x-id": "a, b"}, body=b"taken", cut=False) == got


@pytest.mark.parametrize("status", [200, 201, 204, 301, 302, 304, 307, 400, 404, 410, 429, 500, 503])
async def test_every_status_is_a_reply(status: int) -> None:
    async with ToxicServer(reply(status, headers=[("Location", "/again")])) as server, outgoing() as http:
        got = await get(http, server.url())

    assert status == got.status
    assert 1 == len(server.requests)


async def test_a_redirect_is_returned_and_not_followed() -> None:
    async with (
        outgoing() as http,
        ToxicServer(reply()) as elsewhere,
        ToxicServer(reply(302, headers=[("Location", elsewhere.url())])) as server,
    ):
        got = await get(http, server.url())

    assert (302, elsewhere.url()) == (got.status, got.headers["location"])
    assert 0 == elsewhere.connections


async def test_a_reply_to_head_has_no_body() -> None:
    async with ToxicServer(reply(200, b"body")) as server, outgoing() as http:
        got = await http.request("HEAD", server.url(), headers={})

    assert (b"", False) == (got.body, got.cut)


async def test_a_body_of_the_largest_size_is_whole() -> None:
    async with ToxicServer(reply(200, b"x" * MAX_BODY_BYTES)) as server, outgoing() as http:
        got = await get(http, server.url())

    assert (MAX_BODY_BYTES, False) == (len(got.body), got.cut)


@pytest.mark.parametrize("excess", [1, 30_000, 200_000])
async def test_a_larger_body_is_cut(excess: int) -> None:
    async with ToxicServer(reply(200, b"x" * (MAX_BODY_BYTES + excess))) as server, outgoing() as http:
        got = await get(http, server.url())

    assert (b"x" * MAX_BODY_BYTES, True) == (got.body, got.cut)


async def test_an_interim_reply_is_skipped() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    async with ToxicServer(raw(interim)) as server, outgoing() as http:
        got = await get(http, server.url())

    assert (200, b"ok") == (got.status, got.body)


async def test_an_old_reply_without_a_length_ends_with_the_connection() -> None:
    async with ToxicServer(raw(b"HTTP/1.0 200 OK\r\n\r\nold")) as server, outgoing() as http:
        got = await get(http, server.url())

    assert (200, b"old", False) == (got.status, got.body, got.cut)


async def test_a_connection_is_used_again() -> None:
    async with ToxicServer(reply()) as server, outgoing() as http:
        for _ in range(3):
            await get(http, server.url())

        assert (3, 1) == (len(server.requests), server.connections)


async def test_a_large_body_arrives_whole() -> None:
    body = os.urandom(3_000_000)
    async with ToxicServer(reply()) as server, outgoing() as http:
        await http.request("PUT", server.url(), headers={}, body=body)

    assert body == server.requests[0].body


async def test_ipv6_works() -> None:
    async with ToxicServer(reply(), host="::1") as server, outgoing() as http:
        assert 200 == (await get(http, server.url())).status


async def test_the_name_is_resolved_once_for_each_connection() -> None:
    names = Names(hooks_example=["127.0.0.1"])
    async with ToxicServer(reply()) as server, outgoing(resolver=names) as http:
        await get(http, server.url("/a", host="hooks.example"))
        await get(http, server.url("/b", host="HOOKS.example."))

    assert [("hooks.example", server.port)] == names.asked
    assert {f"hooks.example:{server.port}"} == {request.headers["host"] for request in server.requests}


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    names = Names(hooks_example=["127.0.0.9", "127.0.0.8", "127.0.0.1"])
    async with ToxicServer(reply()) as server, outgoing(resolver=names) as http:
        assert 200 == (await get(http, server.url(host="hooks.example"))).status


async def test_the_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ToxicServer(reply(500)) as proxy, ToxicServer(reply()) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        async with outgoing() as http:
            assert 200 == (await get(http, server.url())).status

    assert 0 == proxy.connections


async def test_no_log_line_holds_the_path_or_a_header(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with ToxicServer(reply()) as server, outgoing() as http:
        await http.request("POST", server.url("/s3cr3t?q=s3cr3t"), headers={"Authorization": "s3cr3t"}, body=b"s3cr3t")

    assert "httpcore" in {record.name.split(".")[0] for record in caplog.records}
    assert "s3cr3t" not in caplog.text


# --- TLS


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


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


# --- refused before anything is sent


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
    async with ToxicServer(reply()) as server, outgoing(connections_per_host=1, total_deadline_s=0.2) as http:
        await get(http, server.url())
        async with http._pools.lease("127.0.0.1"):
            failed = await failure(http, server.url())

    assert "127.0.0.1: the request could not be sent within 0.2 s" == str(failed)
    assert not failed.ambiguous


async def test_an_address_without_a_route_may_be_tried_again() -> None:
    # 255.255.255.255 refuses TCP inside the kernel, so nothing leaves the machine.
    async with outgoing(allow=[ip_network("255.255.255.255/32")]) as http:
        failed = await failure(http, "http://255.255.255.255/")

    assert str(failed).startswith("255.255.255.255: no connection (")
    assert (False, False) == (failed.ambiguous, failed.permanent)


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


# --- many at once


async def test_one_host_never_gets_more_connections_than_set() -> None:
    async with ToxicServer(when_released(reply())) as server, outgoing(connections_per_host=7) as http:
        requests = [asyncio.create_task(get(http, server.url())) for _ in range(40)]
        await server.wait_until(lambda server: len(server.requests) == 7)
        server.released.set()
        got = await asyncio.gather(*requests)
        assert 7 == server.most_open

    assert [200] * 40 == [one.status for one in got]


async def test_a_stuck_host_does_not_delay_another() -> None:
    async with (
        ToxicServer(when_released(reply())) as stuck,
        ToxicServer(reply(), host="127.0.0.2") as other,
        outgoing(connections_per_host=5) as http,
    ):
        waiting = [asyncio.create_task(get(http, stuck.url())) for _ in range(20)]
        await stuck.wait_until(lambda server: len(server.requests) == 5)
        assert 200 == (await get(http, other.url())).status
        assert 5 == len(stuck.requests)
        stuck.released.set()
        await asyncio.gather(*waiting)


async def test_waiting_for_a_connection_counts_towards_the_deadline() -> None:
    async with (
        ToxicServer(reply()) as server,
        outgoing(connections_per_host=1, total_deadline_s=0.1) as http,
        http._pools.lease("127.0.0.1"),
    ):
        failed = await failure(http, server.url())

    assert "127.0.0.1: the request could not be sent within 0.1 s" == str(failed)
    assert (False, False, 0) == (failed.ambiguous, failed.permanent, server.connections)


async def test_a_cancelled_request_gives_its_connection_back() -> None:
    script = in_turn(when_released(reply()), reply())
    async with ToxicServer(script) as server, outgoing(connections_per_host=1) as http:
        request = asyncio.create_task(get(http, server.url()))
        await server.wait_until(lambda server: len(server.requests) == 1)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

        assert 200 == (await get(http, server.url())).status


async def test_closing_closes_the_kept_connections() -> None:
    async with ToxicServer(reply()) as server:
        async with outgoing() as http:
            await get(http, server.url())
            assert 1 == server.open

        await server.wait_until(lambda server: server.open == 0)
