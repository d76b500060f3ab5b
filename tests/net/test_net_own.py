"""Our own address is asked as a job's ping would go there, and only an answer of ours says that it arrives."""

from __future__ import annotations

from typing import Any

import pytest
import trustme

from heartfly.net.own import OwnAddress
from tests.net.sender import NO_AUTHORITIES, Names, client_side, server_side
from tests.net.toxic_server import Script, ToxicServer, reply, reset, when_released

pytestmark = pytest.mark.anyio

OURS = reply(200, b'{"status":"ok"}')


def own(server: ToxicServer, **rest: Any) -> OwnAddress:
    path = rest.pop("path", "")
    usual: dict[str, Any] = {"user_agent": "Heartfly/1", "tls": NO_AUTHORITIES, "deadline_s": 60.0}
    return OwnAddress(server.url(path, host=rest.pop("host", None)), **usual | rest)


async def test_it_arrives_on_connections_of_its_own_past_every_cache() -> None:
    async with ToxicServer(OURS) as server:
        address = own(server, path="/beat")
        assert [None, None] == [await address.trouble() for _ in range(2)]

        assert 6 == server.connections
    assert {"/beat/healthz"} == {request.target.partition("?")[0] for request in server.requests}
    assert 6 == len({request.target for request in server.requests})


async def test_name_and_certificate_are_asked_for_anew_each_time() -> None:
    authority, names = trustme.CA(), Names(beat_example=["127.0.0.1"])
    tls = server_side(authority.issue_cert("beat.example"))
    async with ToxicServer(OURS, tls=tls) as server:
        address = own(server, host="beat.example", resolver=names, tls=client_side(authority))
        assert await address.trouble() is None
        authority.issue_cert("another.example").configure_cert(tls)
        expired = await address.trouble()
        names.names.clear()
        gone = await address.trouble()

    assert "beat.example: TLS: the certificate was refused (Hostname mismatch" in str(expired)
    assert "beat.example: the name could not be resolved" == gone


async def test_authorities_are_those_that_all_our_requests_trust() -> None:
    tls = server_side(trustme.CA().issue_cert("127.0.0.1"))
    async with ToxicServer(OURS, tls=tls) as server:
        assert "127.0.0.1: TLS: the certificate was refused (" in str(await own(server, tls=None).trouble())


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (reply(502, b"Bad Gateway"), "/healthz answered 502"),
        (reply(301, b"", [("Location", "https://beat.example/")]), "/healthz answered 301"),
        (reply(200, b"<h1>It works!</h1>"), "/healthz gave an answer that is not Heartfly's"),
        (reply(200, b""), "/healthz gave an answer that is not Heartfly's"),
        (reset, "127.0.0.1: the connection broke before a reply came"),
    ],
    ids=["a proxy without us", "a redirect", "another server", "nothing", "a connection that breaks"],
)
async def test_whoever_else_answers_is_not_we(script: Script, why: str) -> None:
    async with ToxicServer(script) as server:
        assert (await own(server).trouble() or "").endswith(why)


async def test_one_of_three_that_is_lost_is_trouble() -> None:
    async with ToxicServer(_every_third_is_lost()) as server:
        assert "answered 503" in (await own(server).trouble() or "")


def _every_third_is_lost() -> Script:
    async def script(exchange: Any) -> bool:
        lost = len(exchange.server.requests) == 3
        return await (reply(503, b"") if lost else OURS)(exchange)

    return script


async def test_who_does_not_answer_is_not_waited_for() -> None:
    async with ToxicServer(when_released(OURS)) as server:
        why = await own(server, deadline_s=0.2).trouble()

    assert "within 0.2 s" in str(why)


async def test_nobody_there_is_told() -> None:
    async with ToxicServer(OURS) as server:
        address = own(server)

    assert "127.0.0.1: the connection was refused" == await address.trouble()
