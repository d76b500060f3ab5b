"""No URL, name, redirect or changing answer makes Heartfly connect to its own machine or network.

Canaries listen on loopback and on a unix socket, and must see nothing. 127.0.0.2, opened by the
allow-list, stands for the public internet, so that no test reaches out for the real one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

from heartfly.errors import ForbiddenAddressError, InvalidValueError
from heartfly.net.addresses import parse_allow_private
from heartfly.net.connect import Connector
from heartfly.net.http import OutgoingHttp, RequestFailed
from heartfly.net.rules import Rules
from tests.net.forward_proxy import ForwardProxy
from tests.net.sender import NO_AUTHORITIES
from tests.net.ssrf_corpus import NAMES, Case, cases
from tests.net.toxic_server import Exchange, ToxicServer, hang_up, raw, reply_and_close

pytestmark = pytest.mark.anyio
PUBLIC = "127.0.0.2"
OUTER_NAMES = {"unix", *(name.lower().rstrip(".") for name in NAMES)} - {
    *("localhost", "foo.localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
}


@pytest.fixture
def anyio_backend() -> Any:
    """One loop is enough here: nothing may get as far as a connection."""
    return "asyncio", {"use_uvloop": False}


@dataclass(frozen=True, kw_only=True)
class Trap:
    port: int
    canaries: list[ToxicServer]
    unix_path: Path
    unix_connections: list[object] = field(default_factory=list)

    @property
    def n_connections(self) -> int:
        return sum(canary.connections for canary in self.canaries) + len(self.unix_connections)

    def cases(self) -> list[Case]:
        return cases(self.port, str(self.unix_path))

    def addresses(self) -> list[str]:
        return list(dict.fromkeys(case.address for case in self.cases() if case.address))


@pytest.fixture
async def trap(tmp_path: Path) -> AsyncIterator[Trap]:
    unix_connections: list[object] = []

    async def seen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unix_connections.append(writer)
        writer.close()

    async with (
        ToxicServer(reply_and_close) as v4,
        ToxicServer(reply_and_close, host="::1", port=v4.port) as v6,
        await asyncio.start_unix_server(seen, tmp_path / "canary"),
    ):
        yield Trap(port=v4.port, canaries=[v4, v6], unix_path=tmp_path / "canary", unix_connections=unix_connections)


class Answers:
    """A resolver that gives each name its answers, and from the second time on the later ones."""

    def __init__(self, first: Sequence[str], later: Sequence[str] | None = None) -> None:
        self.first, self.later = first, first if later is None else later
        self.asked: dict[str, int] = {}

    async def __call__(self, host: str, _: int) -> Sequence[str]:
        self.asked[host] = self.asked.get(host, 0) + 1
        return self.first if self.asked[host] == 1 else self.later


@asynccontextmanager
async def outgoing(
    trap: Trap, resolver: Answers, *, allow: Sequence[str] = (), proxy: ForwardProxy | None = None
) -> AsyncIterator[OutgoingHttp]:
    networks = [ip_network(network) for network in allow]
    ports = {80, 443, trap.port}
    known = None if proxy is None else proxy.known()
    http = OutgoingHttp(
        allow=networks,
        own_hosts=(),
        allowed_ports=ports,
        proxy=known,
        user_agent="x",
        resolver=resolver,
        tls=NO_AUTHORITIES,
    )
    try:
        yield http
    finally:
        await http.aclose()


async def refusal(http: OutgoingHttp, url: str) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        await http.request("GET", url, headers={})
    return caught.value


async def test_the_corpus_is_large(trap: Trap) -> None:
    assert len(trap.cases()) >= 1100
    assert len(trap.addresses()) >= 600


async def test_no_url_leads_in_directly(trap: Trap) -> None:
    wrong = {}
    for case in trap.cases():
        async with outgoing(trap, Answers([case.address or "127.0.0.1"])) as http:
            failed = await refusal(http, case.url)
        refused = isinstance(failed.__cause__, ForbiddenAddressError | InvalidValueError)
        if not (refused and failed.permanent and not failed.ambiguous):
            wrong[case.url] = repr(failed)

    assert ({}, 0) == (wrong, trap.n_connections)


async def test_no_url_leads_in_by_a_proxy(trap: Trap) -> None:
    """The proxy, which may reach everything, is not even asked."""
    wrong = {}
    async with ForwardProxy() as proxy:
        for case in trap.cases():
            async with outgoing(trap, Answers([case.address or "127.0.0.1"]), proxy=proxy) as http:
                failed = await refusal(http, case.url)
            refused = isinstance(failed.__cause__, ForbiddenAddressError | InvalidValueError)
            if not (refused and failed.permanent and not failed.ambiguous):
                wrong[case.url] = repr(failed)

    assert ({}, [], 0) == (wrong, proxy.asked, proxy.connections + trap.n_connections)


async def test_no_literal_address_leads_in_by_a_proxy_where_nobody_resolves_names(trap: Trap) -> None:
    """Names of the corpus lead to the proxy then, and it is the proxy that must know better; addresses do not."""
    n_asked = 0
    async with ForwardProxy() as proxy:
        for case in trap.cases():
            async with outgoing(trap, Answers([]), proxy=proxy) as http:
                if case.url.partition("://")[2].partition(":")[0].lower() in OUTER_NAMES:
                    await http.request("GET", case.url, headers={})
                    n_asked += 1
                    continue
                failed = await refusal(http, case.url)
            assert failed.permanent, (case.url, failed)

    assert OUTER_NAMES == {urlsplit(one.target).hostname for one in proxy.asked}
    assert (32, 32, 0) == (n_asked, len(proxy.asked), trap.n_connections)


async def test_no_spelling_leads_in_even_if_the_syntax_let_it_through(trap: Trap) -> None:
    """The system's resolver reads many of them as addresses; it gets no chance to ask a name server here."""

    async def numeric(host: str, port: int) -> Sequence[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except ValueError as error:
            raise OSError(str(error)) from error
        return [str(sockaddr[0]) for *_, sockaddr in found]

    connector = Connector(Rules(ports={trap.port}), numeric)
    understood = 0
    for case in trap.cases():
        host = case.url.removeprefix("http://").rpartition(":")[0]
        for spelling in {host, host.strip("[]"), unquote(host)}:
            with pytest.raises((ForbiddenAddressError, RequestFailed)) as caught:
                await connector.connect(spelling, trap.port)
            understood += isinstance(caught.value, ForbiddenAddressError)

    assert understood > 850  # what is left over no resolver takes for an address
    assert 0 == trap.n_connections


async def test_no_name_leads_in_by_dns(trap: Trap) -> None:
    wrong = {}
    for address in trap.addresses():
        async with outgoing(trap, Answers([address])) as http:
            failed = await refusal(http, f"http://hooks.example:{trap.port}/")
        if not isinstance(failed.__cause__, ForbiddenAddressError):
            wrong[address] = repr(failed)

    assert ({}, 0) == (wrong, trap.n_connections)


async def test_no_name_leads_in_by_a_proxy_as_long_as_we_can_resolve_it(trap: Trap) -> None:
    wrong = {}
    async with ForwardProxy() as proxy:
        for address in trap.addresses():
            for answers in ([address], [PUBLIC, address]):
                async with outgoing(trap, Answers(answers), allow=[PUBLIC], proxy=proxy) as http:
                    failed = await refusal(http, f"http://hooks.example:{trap.port}/")
                if not isinstance(failed.__cause__, ForbiddenAddressError):
                    wrong[address] = repr(failed)

    assert ({}, 0) == (wrong, proxy.connections + trap.n_connections)


async def test_no_name_leads_in_when_its_answer_changes(trap: Trap) -> None:
    wrong = {}
    async with ToxicServer(reply_and_close, host=PUBLIC, port=trap.port) as public:
        for address in trap.addresses():
            names = Answers([PUBLIC], later=[address])
            async with outgoing(trap, names, allow=[PUBLIC]) as http:
                url = f"http://hooks.example:{trap.port}/"
                got = await http.request("GET", url, headers={})
                # One look-up served the check and the connection alike: there was nothing to flip in between.
                assert (200, {"hooks.example": 1}) == (got.status, names.asked)
                await public.wait_until(lambda server: server.open == 0)
                failed = await refusal(http, url)
            if not isinstance(failed.__cause__, ForbiddenAddressError):
                wrong[address] = repr(failed)

        assert len(trap.addresses()) == public.connections
    assert ({}, 0) == (wrong, trap.n_connections)


async def test_no_redirect_leads_in(trap: Trap) -> None:
    targets = [case.url for case in trap.cases()]

    async def redirect(exchange: Exchange) -> bool:
        location = quote(targets[int(exchange.request.target[1:])], safe=":/?#[]@!$&'()*+,;=%\\")
        return (
            await raw(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode(), keep=False)(
                exchange
            )
            or True
        )

    async with ToxicServer(redirect, host=PUBLIC, port=trap.port) as public:
        async with outgoing(trap, Answers([PUBLIC]), allow=[PUBLIC]) as http:
            statuses = {
                (await http.request("GET", f"http://hooks.example:{trap.port}/{number}", headers={})).status
                for number in range(len(targets))
            }
        assert len(targets) == len(public.requests)

    assert ({302}, 0) == (statuses, trap.n_connections)


async def test_no_redirect_leads_in_by_a_proxy(trap: Trap) -> None:
    async def redirect(exchange: Exchange) -> bool:
        return await raw(f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{trap.port}/\r\n\r\n".encode())(exchange)

    async with (
        ToxicServer(redirect, host=PUBLIC, port=trap.port) as public,
        ForwardProxy({f"hooks.example:{trap.port}": (PUBLIC, trap.port)}) as proxy,
        outgoing(trap, Answers([]), proxy=proxy) as http,
    ):
        got = await http.request("GET", f"http://hooks.example:{trap.port}/", headers={})

    assert (302, 1, 1, 0) == (got.status, len(public.requests), len(proxy.asked), trap.n_connections)


async def test_of_mixed_answers_only_the_public_ones_are_used(trap: Trap) -> None:
    forbidden = trap.addresses()
    async with ToxicServer(reply_and_close, host=PUBLIC, port=trap.port) as public:
        for address in forbidden:
            for answers in ([address, PUBLIC, "127.0.0.1"], [PUBLIC, address, "::1"]):
                async with outgoing(trap, Answers(answers), allow=[PUBLIC]) as http:
                    got = await http.request("GET", f"http://hooks.example:{trap.port}/", headers={})
                    assert 200 == got.status

        assert 2 * len(forbidden) == public.connections
    assert 0 == trap.n_connections


async def test_a_public_address_that_fails_is_not_replaced_by_a_forbidden_one(trap: Trap) -> None:
    url = f"http://hooks.example:{trap.port}/"
    async with outgoing(trap, Answers([PUBLIC, "127.0.0.1", "::1"]), allow=[PUBLIC]) as http:
        async with ToxicServer(hang_up, host=PUBLIC, port=trap.port):
            assert (await refusal(http, url)).ambiguous
        assert "refused" in str(await refusal(http, url))

    assert 0 == trap.n_connections


async def test_the_canaries_sing_when_private_addresses_are_opened(trap: Trap) -> None:
    hosts = [
        "127.0.0.1",
        "127.0.0.1.",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "hooks.example",
    ]
    everything = [str(network) for network in parse_allow_private(value=True)]
    async with outgoing(trap, Answers(["127.0.0.1"]), allow=everything) as http:
        for host in hosts:
            assert 200 == (await http.request("GET", f"http://{host}:{trap.port}/", headers={})).status

    assert len(hosts) == trap.n_connections
