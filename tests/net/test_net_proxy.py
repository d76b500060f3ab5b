"""By way of a forward proxy: tunnels for https, whole URLs for http, and each way in which a proxy can fail."""

from __future__ import annotations

from typing import Any

import pytest
import trustme
from typing_extensions import override

from heartfly.net.http import MAX_BODY_BYTES
from heartfly.net.proxy import Proxy
from tests.net.forward_proxy import ForwardProxy, says
from tests.net.sender import Names, client_side, failure, get, outgoing, server_side
from tests.net.toxic_server import ToxicServer, flood, hang_up, n_open_files, reply

pytestmark = pytest.mark.anyio
NOTHING: tuple[Any, ...] = ()
LOGIN = "heartfly:s3cr3t/pässword"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def by(proxy: ForwardProxy | Proxy, **more: Any) -> Any:
    """Nobody resolves names here, nothing private is open, and only the usual ports."""
    known = proxy if isinstance(proxy, Proxy) else proxy.known()
    return outgoing(**{"proxy": known, "allow": NOTHING, "resolver": Names(), **more})


async def test_https_goes_through_a_tunnel_and_tls_is_with_the_receiver(authority: trustme.CA) -> None:
    tls = server_side(authority.issue_cert("hooks.example"))
    async with ToxicServer(reply(200, b"seen"), tls=tls) as server:
        proxied = ForwardProxy({"hooks.example:443": ("127.0.0.1", server.port)})
        async with proxied as proxy, by(proxy, tls=client_side(authority)) as http:
            got = [await http.request("POST", "https://hooks.example/a?b", headers={}, body=b"{}") for _ in range(2)]
            asked = proxy.asked

    assert [(200, b"seen")] * 2 == [(one.status, one.body) for one in got]
    assert [("CONNECT", "hooks.example:443", "hooks.example:443")] == [
        (one.method, one.target, one.headers["host"]) for one in asked
    ]
    # One tunnel carried both, and what the receiver read is what it reads without a proxy.
    assert (1, ["/a?b", "/a?b"]) == (server.connections, [one.target for one in server.requests])
    assert "proxy-authorization" not in server.requests[0].headers


async def test_http_goes_to_the_proxy_with_its_whole_url() -> None:
    async with ToxicServer(reply(200, b"seen")) as server:
        proxied = ForwardProxy({"hooks.example:80": ("127.0.0.1", server.port)})
        async with proxied as proxy, by(proxy) as http:
            got = await http.request("POST", "http://Hooks.Example./a?b", headers={"X-One": "1"}, body=b"{}")

    assert (200, b"seen") == (got.status, got.body)
    assert ("POST", "http://hooks.example/a?b", b"{}") == (
        proxy.asked[0].method,
        proxy.asked[0].target,
        proxy.asked[0].body,
    )
    assert ("hooks.example", "1") == (proxy.asked[0].headers["host"], server.requests[0].headers["x-one"])


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://8.8.8.8/x", "http://8.8.8.8:80/x"),
        ("http://[::FFFF:8.8.8.8]/x", "http://8.8.8.8:80/x"),
        ("http://[2600:0::A]/x", "http://[2600::a]:80/x"),
        ("http://bücher.example:8080/x", "http://xn--bcher-kva.example:8080/x"),
        ("https://[2600:0::A]/x", "[2600::a]:443"),
        ("https://bücher.example./x", "xn--bcher-kva.example:443"),
        ("https://8.8.8.8:8443/x", "8.8.8.8:8443"),
    ],
)
async def test_what_the_proxy_is_asked_for_is_spelled_as_it_was_judged(url: str, asked: str) -> None:
    async with ForwardProxy() as proxy, by(proxy, allowed_ports={80, 443, 8080, 8443}) as http:
        if url.startswith("https"):
            await failure(http, url)
        else:
            await get(http, url)

    assert [asked] == [one.target for one in proxy.asked]


@pytest.mark.parametrize("url", ["https://hooks.example/", "http://hooks.example/"])
async def test_the_proxy_is_signed_in_to_and_the_receiver_sees_nothing_of_it(authority: trustme.CA, url: str) -> None:
    tls = server_side(authority.issue_cert("hooks.example")) if url.startswith("https") else None
    async with ToxicServer(reply(), tls=tls) as server:
        port = 443 if tls else 80
        async with ForwardProxy({f"hooks.example:{port}": ("127.0.0.1", server.port)}, login=LOGIN) as proxy:
            async with by(proxy.known(login=LOGIN), tls=client_side(authority)) as http:
                got = await get(http, url)
            async with by(proxy.known(login="heartfly:other-s3cr3t"), tls=client_side(authority)) as http:
                failed = await failure(http, url)

    assert (200, 1) == (got.status, len(server.requests))
    assert "proxy-authorization" not in server.requests[0].headers
    assert "hooks.example: the proxy wants another login than that of outgoing.proxy (407)" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


async def test_a_receiver_behind_a_tunnel_may_answer_407_itself(authority: trustme.CA) -> None:
    tls = server_side(authority.issue_cert("hooks.example"))
    async with (
        ToxicServer(reply(407), tls=tls) as server,
        ForwardProxy({"hooks.example:443": ("127.0.0.1", server.port)}) as proxy,
        by(proxy, tls=client_side(authority)) as http,
    ):
        got = await get(http, "https://hooks.example/")

    assert 407 == got.status


async def test_a_proxy_that_reads_along_is_found_out_by_its_certificate(authority: trustme.CA) -> None:
    """It ends the tunnel itself, with a certificate of another authority."""
    tls = server_side(trustme.CA().issue_cert("hooks.example"))
    async with (
        ToxicServer(reply(), tls=tls) as server,
        ForwardProxy({"hooks.example:443": ("127.0.0.1", server.port)}) as proxy,
        by(proxy, tls=client_side(authority)) as http,
    ):
        failed = await failure(http, "https://hooks.example/s3cr3t")

    assert "hooks.example: TLS: the certificate was refused (" in str(failed)
    assert (False, False, []) == (failed.ambiguous, failed.permanent, server.requests)


@pytest.mark.parametrize("url", ["https://hooks.example/", "http://hooks.example/"])
async def test_a_proxy_may_be_spoken_to_by_tls(authority: trustme.CA, url: str) -> None:
    tls = server_side(authority.issue_cert("hooks.example")) if url.startswith("https") else None
    own, names = server_side(authority.issue_cert("proxy.example")), Names(proxy_example=["127.0.0.1"])
    async with ToxicServer(reply(), tls=tls) as server:
        port = 443 if tls else 80
        async with ForwardProxy({f"hooks.example:{port}": ("127.0.0.1", server.port)}, tls=own) as proxy:
            known = proxy.known(host="proxy.example")
            async with by(known, resolver=names, tls=client_side(authority)) as http:
                got = [await get(http, url) for _ in range(2)]
            async with by(proxy.known(host="127.0.0.1"), tls=client_side(authority)) as http:
                failed = await failure(http, url)

    assert [200, 200] == [one.status for one in got]
    assert "hooks.example: the proxy: TLS: the certificate was refused (" in str(failed)
    assert (False, 2) == (failed.ambiguous, len(server.requests))


# --- proxies that fail: nothing has reached the receiver


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "the proxy does not connect, it answered 403"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "the proxy does not connect, it answered 502"),
        (b"HTTP/1.0 503 Busy\n\n", "the proxy does not connect, it answered 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", "it answered 302"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "not valid HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the proxy's answer is not valid HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n", "the proxy's answer is not valid HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the proxy's answer is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000, "or its headers are over 32 KiB"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000,
            "the proxy's answer is not valid HTTP, or its headers are over 32 KiB",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "the proxy said more than that it is connected"),
        # The tunnel stands, and ends in the handshake of TLS.
        (b"HTTP/1.1 200 OK\r\n\r\n", "TLS: "),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "TLS: "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "TLS: "),
        (b"HTTP/1.1 200 OK\r\n", "the proxy closed the connection before it answered"),
        (b"", "the proxy closed the connection before it answered"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else "",
)
async def test_a_proxy_that_makes_no_tunnel_says_why_and_nothing_was_sent(said: bytes, words: str) -> None:
    async with ForwardProxy(rude=says(said)) as proxy, by(proxy) as http:
        failed = await failure(http, "https://hooks.example/s3cr3t")
        await proxy.wait_until_alone()

    assert words in str(failed)
    assert str(failed).startswith("hooks.example: ")
    assert "s3cr3t" not in str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)
    assert ["CONNECT"] == [one.method for one in proxy.asked]


@pytest.mark.parametrize("by_tls", [False, True])
async def test_a_proxy_that_is_silent_is_given_up_in_time(by_tls: bool) -> None:  # noqa: FBT001 - a table of cases
    async with ForwardProxy(rude=says(b"", then_waits=True)) as proxy:
        known = Proxy(host="127.0.0.1", port=proxy.port, by_tls=by_tls)
        async with by(known, lookup_limit_s=0.1, connect_limit_s=0.4) as http:
            failed = await failure(http, "https://hooks.example/")
            await proxy.wait_until_alone()

    assert "hooks.example: the proxy did not answer within 0.5 s" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


async def test_the_deadline_holds_while_the_proxy_is_silent() -> None:
    async with ForwardProxy(rude=says(b"", then_waits=True)) as proxy, by(proxy, total_deadline_s=0.1) as http:
        failed = await failure(http, "https://hooks.example/")
        await proxy.wait_until_alone()

    assert "hooks.example: the request could not be sent within 0.1 s" == str(failed)
    assert not failed.ambiguous


async def test_a_proxy_that_is_not_there_is_told_without_its_name() -> None:
    async with ForwardProxy() as proxy:
        gone = proxy.known()
    async with by(gone) as http:
        refused = await failure(http, "https://hooks.example/")
    async with by(Proxy(host="proxy.corp.example", port=3128)) as http:
        unknown = await failure(http, "http://hooks.example/")

    of = "hooks.example: the proxy (outgoing.proxy) is not reached: "
    assert f"{of}the connection was refused" == str(refused)
    assert f"{of}the name could not be resolved" == str(unknown)
    assert {(False, False)} == {(one.ambiguous, one.permanent) for one in (refused, unknown)}


@pytest.mark.parametrize("host", ["proxy.corp.example", "127.0.0.1"])
async def test_a_proxy_with_a_certificate_of_another_name_is_told_without_its_own(
    authority: trustme.CA, host: str
) -> None:
    own = server_side(authority.issue_cert("other.example"))
    async with ForwardProxy(tls=own) as proxy:
        known, names = proxy.known(host=host), Names(proxy_corp_example=["127.0.0.1"])
        async with by(known, resolver=names, tls=client_side(authority)) as http:
            failed = await failure(http, "https://hooks.example/")

    assert str(failed).startswith("hooks.example: the proxy: TLS: the certificate was refused (")
    assert "certificate is not valid for its name" in str(failed)
    assert host not in str(failed)


async def test_no_connection_is_left_behind_by_tunnels_that_fail() -> None:
    async with (
        ForwardProxy(rude=says(b"HTTP/1.1 200 OK\r\n\r\n", then_waits=True)) as proxy,
        by(proxy, total_deadline_s=0.05) as http,
    ):
        await failure(http, "https://hooks.example/")
        await proxy.wait_until_alone()
        before = n_open_files()
        for _ in range(10):
            await failure(http, "https://hooks.example/")
        await proxy.wait_until_alone()

        assert before == n_open_files()


# --- the receiver may have it


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "the proxy closed the connection without a reply"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the reply is not valid HTTP"),
    ],
)
async def test_no_reply_to_a_request_that_the_proxy_has_is_ambiguous(said: bytes, words: str) -> None:
    async with ForwardProxy(rude=says(said)) as proxy, by(proxy) as http:
        failed = await failure(http, "http://hooks.example/s3cr3t")

    assert words in str(failed)
    assert "s3cr3t" not in str(failed)
    assert (True, False) == (failed.ambiguous, failed.permanent)


async def test_a_proxy_that_is_silent_about_a_request_it_has_is_ambiguous() -> None:
    async with ForwardProxy(rude=says(b"", then_waits=True)) as proxy, by(proxy, total_deadline_s=0.3) as http:
        failed = await failure(http, "http://hooks.example/")

    assert ("hooks.example: no reply within 0.3 s", True) == (str(failed), failed.ambiguous)


async def test_a_receiver_that_hangs_up_behind_a_tunnel_may_have_got_it(authority: trustme.CA) -> None:
    tls = server_side(authority.issue_cert("hooks.example"))
    async with (
        ToxicServer(hang_up, tls=tls) as server,
        ForwardProxy({"hooks.example:443": ("127.0.0.1", server.port)}) as proxy,
        by(proxy, tls=client_side(authority)) as http,
    ):
        failed = await failure(http, "https://hooks.example/")

    assert (True, False, 1) == (failed.ambiguous, failed.permanent, len(server.requests))


@pytest.mark.parametrize("url", ["https://hooks.example/", "http://hooks.example/"])
async def test_an_endless_body_is_cut_behind_a_proxy_too(authority: trustme.CA, url: str) -> None:
    tls = server_side(authority.issue_cert("hooks.example")) if url.startswith("https") else None
    async with ToxicServer(flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_000), tls=tls) as server:
        port = 443 if tls else 80
        async with (
            ForwardProxy({f"hooks.example:{port}": ("127.0.0.1", server.port)}) as proxy,
            by(proxy, tls=client_side(authority)) as http,
        ):
            got = await get(http, url)
            await proxy.wait_until_alone()

    assert (200, MAX_BODY_BYTES, True) == (got.status, len(got.body), got.cut)


async def test_a_502_by_the_proxy_to_plain_http_reads_as_an_answer() -> None:
    async with ForwardProxy() as proxy, by(proxy) as http:
        got = await get(http, "http://nobody.example/")

    assert (502, b"no such n") == (got.status, got.body)


async def test_one_host_gets_no_more_connections_by_a_proxy_than_without() -> None:
    async with (
        ForwardProxy() as proxy,
        by(proxy, connections_per_host=1, total_deadline_s=0.5) as http,
        http._pools.lease("hooks.example"),
    ):
        failed = await failure(http, "http://hooks.example/")

    assert ("hooks.example: the request could not be sent within 0.5 s", 0) == (str(failed), proxy.connections)


# --- where a request may go


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("127.0.0.1", "loopback"),
        ("[::ffff:169.254.169.254]", "link-local"),
        ("private.example", "private (10.0.0.0/8)"),
        ("mixed.example", "private (10.0.0.0/8)"),
        ("localhost", "the name means the proxy's own machine"),
        ("a.localhost", "the name means the proxy's own machine"),
        ("unknown.example:25", "port 25 is not open"),
        ("public.example:25", "port 25 is not open"),
        ("heartfly.example", "that is Heartfly itself"),
        ("alias.example", "that is Heartfly itself"),
    ],
)
async def test_what_can_be_judged_before_is_refused_for_good_and_the_proxy_hears_nothing(
    scheme: str, place: str, words: str
) -> None:
    names = Names(
        private_example=["10.0.0.1"], mixed_example=["8.8.8.8", "10.0.0.1"], public_example=["8.8.8.8"],
        alias_example=["8.8.4.4"],
    )  # fmt: skip
    async with ForwardProxy() as proxy, by(proxy, resolver=names, own_hosts={"heartfly.example", "8.8.4.4"}) as http:
        failed = await failure(http, f"{scheme}://{place}/")

    assert words in str(failed)
    assert (False, True) == (failed.ambiguous, failed.permanent)
    assert ([], 0) == (proxy.asked, proxy.connections)


async def test_a_name_server_that_is_silent_costs_a_second_and_no_delivery() -> None:
    class Silent(Names):
        @override
        async def __call__(self, host: str, port: int) -> Any:
            self.asked.append((host, port))
            raise TimeoutError

    names = Silent()
    async with (
        ToxicServer(reply()) as server,
        ForwardProxy({"hooks.example:80": ("127.0.0.1", server.port)}) as proxy,
        by(proxy, resolver=names) as http,
    ):
        got = await get(http, "http://hooks.example/")

    assert (200, [("hooks.example", 80)]) == (got.status, names.asked)
