"""One request to a well-behaved receiver, and many at once."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack

import pytest

from heartfly.net.http import MAX_BODY_BYTES, Reply
from tests.net.sender import Names, failure, get, outgoing
from tests.net.toxic_server import Exchange, Script, ToxicServer, in_turn, raw, reply, when_released

pytestmark = pytest.mark.anyio


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


async def test_a_reply_whose_lines_end_by_a_line_feed_alone_is_read() -> None:
    async with ToxicServer(raw(b"HTTP/1.1 200 OK\nContent-Length: 2\nX-Empty:\n\nok")) as server, outgoing() as http:
        got = await get(http, server.url())

    assert (200, b"ok", {"content-length": "2", "x-empty": ""}) == (got.status, got.body, got.headers)


async def test_a_connection_that_the_receiver_will_close_is_not_used_again() -> None:
    script = in_turn(reply(headers=[("Connection", "close")]), reply())
    async with ToxicServer(script) as server, outgoing() as http:
        assert [b"ok", b"ok"] == [(await get(http, server.url())).body for _ in range(2)]

        assert 2 == server.connections


async def test_places_at_one_host_have_connections_of_their_own() -> None:
    async with ToxicServer(reply(200, b"one")) as one, ToxicServer(reply(200, b"two")) as two, outgoing() as http:
        got = [(await get(http, server.url())).body for server in (one, two, one, two)]

        assert ([b"one", b"two"] * 2, 1, 1) == (got, one.connections, two.connections)


async def test_of_connections_that_rest_a_pool_keeps_a_few() -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(outgoing())
        servers = [await stack.enter_async_context(ToxicServer(reply())) for _ in range(7)]
        for server in servers:
            await get(http, server.url())
        for server in servers[:2]:
            await server.wait_until(lambda server: server.open == 0)

        assert [0, 0, 1, 1, 1, 1, 1] == [server.open for server in servers]
        await get(http, servers[-1].url())
        assert 1 == servers[-1].connections


async def test_a_connection_that_rested_too_long_is_not_used_again() -> None:
    async with ToxicServer(reply()) as server, outgoing() as http:
        await get(http, server.url())
        async with http._pools.lease("127.0.0.1") as kept:
            kept._idle_s = -1.0
        await get(http, server.url())

        assert 2 == server.connections


async def test_a_post_without_a_body_says_so() -> None:
    async with ToxicServer(reply()) as server, outgoing() as http:
        await http.request("POST", server.url(), headers={})
        await get(http, server.url())

    assert ["0", None] == [request.headers.get("content-length") for request in server.requests]


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

    assert 1 == len(server.requests)
    assert "s3cr3t" not in caplog.text


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


def nothing_at(path: str) -> Script:
    """There it answers nothing, and anywhere else at once."""

    async def script(exchange: Exchange) -> bool:
        return await (when_released(reply()) if exchange.request.target == path else reply())(exchange)

    return script


async def test_receivers_that_answer_nothing_make_room_for_others_at_the_same_host() -> None:
    async with ToxicServer(nothing_at("/dead")) as server, outgoing(connections_per_host=3, patience_s=0.01) as http:
        dead = [asyncio.create_task(get(http, server.url("/dead"))) for _ in range(3)]
        assert 200 == (await get(http, server.url("/alive"))).status
        assert not any(one.done() for one in dead)
        server.released.set()

        assert [200] * 3 == [one.status for one in await asyncio.gather(*dead)]


async def test_there_are_so_many_that_wait_long_and_no_more() -> None:
    async with ToxicServer(nothing_at("/dead")) as server, outgoing(connections_per_host=2, patience_s=0.01) as http:
        dead = [asyncio.create_task(get(http, server.url("/dead"))) for _ in range(9)]
        await server.wait_until(lambda server: len(server.requests) == 4)
        server.released.set()
        await asyncio.gather(*dead)

    assert 4 == server.most_open


async def test_who_left_the_last_request_unanswered_keeps_none_of_the_others_waiting() -> None:
    settings = {"connections_per_host": 1, "total_deadline_s": 0.3}
    async with ToxicServer(nothing_at("/dead")) as server, outgoing(**settings) as http:
        assert (await failure(http, server.url("/dead"))).ambiguous
        http._deadline_s = 30.0  # an answer that comes may take its time
        again = asyncio.create_task(get(http, server.url("/dead")))
        await server.wait_until(lambda server: len(server.requests) == 2)

        assert 200 == (await get(http, server.url("/alive"))).status
        server.released.set()
        assert 200 == (await again).status
        assert {} == http._silent


async def test_of_very_many_silent_receivers_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.net.http._SILENT_KEPT", 2)
    async with ToxicServer(when_released(reply())) as server, outgoing(total_deadline_s=0.3) as http:
        for path in ("/a", "/b", "/c"):
            await failure(http, server.url(path))

        assert [b"/b", b"/c"] == [path for _, _, path in http._silent]


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
