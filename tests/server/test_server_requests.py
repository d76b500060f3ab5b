"""What the application gets, and what a client hears, when both behave more or less."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import Any

import httpx  # noqa: TID251 - the client of these tests
import pytest
from structlog.testing import capture_logs

from tests.server.site import LIMIT_S, body_of, reply, running_site

pytestmark = pytest.mark.anyio

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_a_scope_says_what_the_client_asked_for() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(
            b"POST /p%C3%A4th/a?x=1&y=%20#z HTTP/1.1\r\nHost: a:80\r\nX-Thing: Yes\r\nContent-Length: 2\r\n\r\nhi"
        )

        assert (200, b"2") == (await client.answer())[::2]
        [scope] = site.seen.scopes
        assert {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "server": ("127.0.0.1", site.port),
            "client": client.writer.get_extra_info("sockname"),
            "scheme": "http",
            "root_path": "",
            "path": "/päth/a",
            "raw_path": b"/p%C3%A4th/a",
            "query_string": b"x=1&y=%20",
            "headers": [(b"host", b"a:80"), (b"x-thing", b"Yes"), (b"content-length", b"2")],
            "state": {},
            "extensions": {"heartfly.response.whole": {}},
        } == scope


async def test_an_answer_is_dated_and_names_no_server() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(GET % b"/")

        _, headers, _ = await client.answer()

        assert {"date", "content-length"} == set(headers)


async def test_an_ordinary_client_may_keep_its_connection() -> None:
    async with running_site() as site, httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}") as client:
        answers = [await client.post("/", content=b"x" * n) for n in (0, 1, 200_000)]

        assert [b"0", b"1", b"200000"] == [each.content for each in answers]
        assert 1 == len({scope["client"] for scope in site.seen.scopes})


async def test_a_chunked_body_arrives_whole_and_its_trailers_do_not_become_headers() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;note=x\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Admin: yes\r\n\r\n"
        )

        assert (200, b"13") == (await client.answer())[::2]
        assert [b"abc0123456789"] == site.seen.bodies
        assert b"x-admin" not in dict(site.seen.scopes[0]["headers"])


async def test_head_gets_the_length_but_no_body() -> None:
    async with running_site() as site:
        answer = await site.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"content-length: 1\r\n" in answer
        assert answer.endswith(b"\r\n\r\n")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with running_site() as site:
        client = await site.connect()
        posts = [b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (n, n, b"x" * n) for n in range(50)]
        await client.send(b"".join(posts))

        assert [str(n).encode() for n in range(50)] == [(await client.answer())[2] for _ in range(50)]
        assert [f"POST /{n}" for n in range(50)] == site.seen.requests


async def test_a_client_that_pipelines_without_measure_is_answered_so_far_and_closed() -> None:
    async with running_site(max_pipelined=3) as site:
        client = await site.connect()
        await client.send(GET % b"/hold" + (GET % b"/more") * 50)
        async with asyncio.timeout(LIMIT_S):
            await site.seen.entered.wait()
        site.seen.release.set()

        assert 4 == (await client.rest()).count(b"HTTP/1.1 200 OK")
        assert 4 == len(site.seen.requests)


async def test_a_client_that_waits_to_be_asked_is_asked_for_its_body() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await client.until(b"\r\n\r\n")
        await client.send(b"hello")

        status, headers, body = await client.answer()
        assert (200, b"5") == (status, body)
        assert "connection" not in headers
        await client.send(GET % b"/again")
        assert 200 == (await client.answer())[0]


async def test_a_client_whose_body_nobody_asked_for_is_told_and_closed() -> None:
    async with running_site() as site:
        answer = await site.ask(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close\r\n" in answer
        assert b"100 Continue" not in answer


async def test_a_client_of_http_1_0_is_not_asked_to_continue() -> None:
    async with running_site() as site:
        answer = await site.ask(b"POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi")

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("body", [b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
async def test_who_waits_to_be_asked_for_no_body_keeps_the_connection(body: bytes) -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + body + GET % b"/next")

        first, second = [await client.answer() for _ in range(2)]
        assert (200, b"0") == first[::2]
        assert "connection" not in first[1]
        assert (200, b"0") == second[::2]


async def test_an_answer_that_said_it_closes_does_so_though_the_body_came_after_all() -> None:
    begun, read = asyncio.Event(), asyncio.Event()

    async def early(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        begun.set()
        await read.wait()
        await body_of(receive)
        await send({"type": "http.response.body", "body": b"ok"})

    async with running_site(early, keep_alive_s=2 * LIMIT_S) as site:
        client = await site.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        async with asyncio.timeout(LIMIT_S):
            await begun.wait()
        await client.send(b"hi")
        read.set()

        answer = await client.rest()
        assert b"connection: close\r\n" in answer
        assert answer.endswith(b"ok")


async def test_who_waits_to_be_asked_and_is_refused_is_not_asked_any_more() -> None:
    with capture_logs() as told:
        async with running_site() as site:
            answer = await site.ask(
                b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\nwhat\r\n"
            )
            client = await site.connect()
            await client.send(GET % b"/next")
            await client.answer()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert 1 == answer.count(b"HTTP/1.1")
    assert [] == told


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_without_length_is_readable_by_its_client(version: bytes) -> None:
    async with running_site() as site:
        answer = await site.ask(b"GET /lengthless HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % version)

        head, _, body = answer.partition(b"\r\n\r\n")
        assert (version == b"1.1") == (b"transfer-encoding: chunked" in head)
        assert {b"1.0": b"one two", b"1.1": b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"}[version] == body


async def test_a_target_with_scheme_and_host_is_read_as_its_path() -> None:
    async with running_site() as site:
        await site.ask(b"GET http://elsewhere:80/a?b=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await site.ask(b"GET HTTPS://elsewhere?b=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

        assert [("/a", b"b=1"), ("/", b"b=1")] == [(s["path"], s["query_string"]) for s in site.seen.scopes]


@pytest.mark.parametrize("split", ["together", "split"])
async def test_an_offer_to_upgrade_is_declined_and_the_body_stays_a_body(split: str) -> None:
    # What Java's HttpClient sends by default.
    head = (
        b"POST /java HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 37\r\nHost: a\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n\r\n"
    )
    body = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"[:37]
    async with running_site() as site:
        client = await site.connect()
        if split == "split":
            await client.send(head)
            await client.send(body + GET % b"/next")
        else:
            await client.send(head + body + GET % b"/next")

        assert [(200, b"37"), (200, b"0")] == [(await client.answer())[::2] for _ in range(2)]
        assert ["POST /java", "GET /next"] == site.seen.requests


async def test_what_follows_a_request_that_closes_is_ignored() -> None:
    async with running_site() as site:
        answer = await site.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET % b"/late")

        assert 1 == answer.count(b"HTTP/1.1")
        assert ["GET /"] == site.seen.requests


async def test_a_client_that_shuts_its_sending_side_still_gets_the_answer() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(GET % b"/hold")
        client.writer.write_eof()
        async with asyncio.timeout(LIMIT_S):
            await site.seen.entered.wait()
        site.seen.release.set()

        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith((b"content-length: 0\r\n\r\n", b"connection: close\r\n\r\n"))


async def test_all_pipelined_requests_are_answered_after_the_sending_side_is_shut() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(GET % b"/hold" + GET % b"/2" + GET % b"/3")
        client.writer.write_eof()
        async with asyncio.timeout(LIMIT_S):
            await site.seen.entered.wait()
        site.seen.release.set()

        assert 3 == (await client.rest()).count(b"200 OK")


async def test_a_reader_of_a_stream_that_leaves_is_noticed_at_once() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(GET % b"/stream")
        await client.until(b": hello\n\n")
        client.writer.close()

        async with asyncio.timeout(LIMIT_S):
            await site.seen.disconnected.wait()


async def test_a_reader_that_leaves_is_noticed_even_with_another_request_waiting_behind() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(GET % b"/stream" + GET % b"/next")
        await client.until(b": hello\n\n")
        client.hang_up()

        async with asyncio.timeout(LIMIT_S):
            await site.seen.disconnected.wait()
        assert ["GET /stream"] == site.seen.requests


@pytest.mark.parametrize("manner", ["politely", "rudely"])
async def test_fifty_clients_that_leave_in_the_middle_of_a_body_do_no_harm(manner: str) -> None:
    async with running_site() as site:
        for _ in range(50):
            client = await site.connect()
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
            if manner == "politely":
                client.writer.close()
            else:
                client.hang_up()
        client = await site.connect()
        await client.send(GET % b"/fine")

        assert 200 == (await client.answer())[0]


async def test_an_early_answer_reaches_a_client_that_is_still_sending() -> None:
    async with running_site(linger_s=5.0) as site:
        client = await site.connect()
        await client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4000000\r\n\r\n")
        for _ in range(40):
            await client.send(b"x" * 100_000)

        assert (await client.rest()).endswith(b"too large")


async def test_a_connection_lives_on_when_the_body_arrives_after_an_early_answer() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        assert 413 == (await client.answer())[0]
        await client.send(b"abc" + GET % b"/next")

        assert 200 == (await client.answer())[0]


async def test_a_large_body_waits_until_the_application_reads_on() -> None:
    pulled = asyncio.Event()

    async def slow(_: Any, receive: Any, send: Any) -> None:
        await pulled.wait()
        await reply(send, 200, b"%d" % len(await body_of(receive)))

    async with running_site(slow, receive_deadline_s=1.0) as site:
        client = await site.connect()
        sending = asyncio.create_task(
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n" + b"x" * 30_000_000)
        )
        # The deadline passes twice while we do not read: that is not the client's fault.
        done, _ = await asyncio.wait({sending}, timeout=2.2)
        assert set() == done
        pulled.set()

        assert (200, b"30000000") == (await client.answer())[::2]
        await sending


async def test_a_failing_application_is_logged_and_answered_with_500(caplog: pytest.LogCaptureFixture) -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(GET % b"/crash")

        status, headers, body = await client.answer()

    assert (500, "close", b"Internal Server Error") == (status, headers["connection"], body)


async def test_an_application_that_fails_half_way_cuts_its_answer_short() -> None:
    async with running_site() as site:
        answer = await site.ask(GET % b"/crash-late")

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert not answer.endswith(b"0\r\n\r\n")


async def test_an_application_that_says_nothing_is_answered_for() -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(GET % b"/silent")

        assert 500 == (await client.answer())[0]


async def test_a_request_does_not_inherit_the_context_of_the_one_before() -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="none")

    async def app(_: Any, receive: Any, send: Any) -> None:
        before = mark.get()
        mark.set("left over")
        await body_of(receive)
        await reply(send, 200, before.encode())

    async with running_site(app) as site:
        client = await site.connect()
        for _ in range(3):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
            assert b"none" == (await client.answer())[2]


async def test_no_request_line_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running_site() as site:
        await site.ask(b"GET /canary HTTP/1.0\r\n\r\n")
        await site.ask(b"GET /canary HTTP/1.1\r\n\r\n")

    assert "canary" not in caplog.text
