"""Slow, greedy and too many clients: each is bounded, and the honest ones do not notice."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import Counter
from contextlib import suppress
from ipaddress import ip_network
from math import inf
from time import perf_counter
from typing import Any, ClassVar, cast

import pytest
from typing_extensions import override

from heartfly.clock import SystemClock
from heartfly.server import ServerLimits
from heartfly.server.lifetime import Lifetime, Shared
from heartfly.server.run import _SWEEP_TURN_S, _Sweeper
from tests.server.site import LIMIT_S, Client, Seen, Site, make_app, running_site

pytestmark = pytest.mark.anyio

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
QUICK: dict[str, Any] = {"receive_deadline_s": 0.2}


async def drip(client: Client, piece: bytes) -> bytes:
    """Send a piece now and then until the server has had enough; return what it said."""
    said = asyncio.create_task(client.rest())
    while not said.done():
        client.writer.write(piece)
        await asyncio.wait({said}, timeout=0.02)
    try:
        return said.result()
    except ConnectionResetError:
        return b""  # closed while a piece was on its way


@pytest.mark.parametrize(
    "start",
    [b"", b"\r\n", b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", POST + b"Content-Length: 9\r\n\r\nhalf", POST[:-2]],
    ids=["nothing", "empty line", "method", "half a field", "half a body", "half a head"],
)
async def test_a_request_that_does_not_arrive_in_time_is_told_so(start: bytes) -> None:
    async with running_site(**QUICK) as site:
        assert (await site.ask(start)).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert [] == [body for body in site.seen.bodies if body != b"half"]


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"y"),
        (POST + b"Content-Length: 100000\r\n\r\n", b"x"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    ],
    ids=["empty lines", "fields", "a field", "a body", "chunks", "trailers"],
)
async def test_dripping_gains_no_time(start: bytes, piece: bytes) -> None:
    async with running_site(**QUICK) as site:
        client = await site.connect()
        await client.send(start)

        assert (await drip(client, piece)).startswith(b"HTTP/1.1 408 ")


async def test_the_second_request_of_a_connection_has_a_deadline_of_its_own() -> None:
    async with running_site(receive_deadline_s=1.0) as site:
        client = await site.connect()
        for _ in range(4):  # together longer than one deadline
            await client.send(GET % b"/")
            await client.answer()
            await site.still_serves_after(0.35)
        await client.send(b"GET / HT")

        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with running_site(keep_alive_s=0.1) as site:
        client = await site.connect()
        await client.send(GET % b"/")
        await client.answer()

        assert b"" == await client.rest()


async def test_empty_lines_do_not_keep_an_idle_connection() -> None:
    async with running_site(keep_alive_s=0.1) as site:
        client = await site.connect()
        await client.send(GET % b"/")
        await client.answer()

        assert b"" == await drip(client, b"\r\n")


async def test_an_application_may_take_longer_than_the_client() -> None:
    async with running_site(receive_deadline_s=0.1, keep_alive_s=0.1) as site:
        client = await site.connect()
        await client.send(GET % b"/hold")
        waiting = asyncio.create_task(client.answer())
        done, _ = await asyncio.wait({waiting}, timeout=0.4)
        assert set() == done
        site.seen.release.set()

        assert 200 == (await waiting)[0]


async def test_a_late_body_ends_the_request_of_an_application_that_waits_for_it() -> None:
    async with running_site(**QUICK) as site:
        answer = await site.ask(POST + b"Content-Length: 9\r\n\r\nhalf")

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert [b"half"] == site.seen.bodies  # it was told by a disconnect; what it answered went nowhere


async def test_a_late_body_cuts_an_answer_that_has_begun() -> None:
    async with running_site(**QUICK) as site:
        answer = await site.ask(b"POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"408" not in answer
        async with asyncio.timeout(LIMIT_S):
            await site.seen.disconnected.wait()


async def test_a_late_body_of_an_answered_request_just_ends_the_connection() -> None:
    async with running_site(**QUICK) as site:
        answer = await site.ask(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")

        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b"too large")


async def test_a_late_request_does_not_spoil_the_answers_before_it() -> None:
    async with running_site(receive_deadline_s=0.1) as site:
        client = await site.connect()
        await client.send(GET % b"/hold" + POST + b"Content-Length: 9\r\n\r\nhalf")
        waiting = asyncio.create_task(client.rest())
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert set() == done
        site.seen.release.set()

        answers = await waiting
        assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
        assert 1 == answers.count(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "broken", [b"what\r\n\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"], ids=["head", "body"]
)
async def test_a_broken_request_does_not_spoil_the_answers_before_it(broken: bytes) -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(GET % b"/hold" + GET % b"/2" + broken + GET % b"/3")
        async with asyncio.timeout(LIMIT_S):
            await site.seen.entered.wait()
        await client.send(GET % b"/4")
        site.seen.release.set()

        answers = await client.rest()
        assert 2 == answers.count(b"HTTP/1.1 200 OK\r\n") == answers.count(b"HTTP/1.1")
        assert ["GET /hold", "GET /2"] == site.seen.requests


async def test_a_client_of_http_0_9_is_told_at_once() -> None:
    async with running_site() as site:
        assert (await site.ask(b"GET /\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path", [b"/stream", b"/early"])
async def test_a_broken_body_behind_an_answer_that_has_begun_ends_the_connection(path: bytes) -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % path)
        await client.until(b"\r\n\r\n")
        await client.send(b"zz\r\n")

        assert b"HTTP/1.1 400" not in await client.rest()


# --- sizes ---


def head_of(size: int) -> bytes:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: "
    return start + b"y" * (size - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_header_may_be_as_long_as_the_limit_and_no_longer(pieces: int) -> None:
    async def status_of(site: Site, head: bytes) -> bytes:
        client = await site.connect()
        step = -(-len(head) // pieces)
        for start in range(0, len(head), step):
            await client.send(head[start : start + step])
        return (await client.rest())[9:12]

    async with running_site(max_header_bytes=2000) as site:
        assert b"200" == await status_of(site, head_of(1980))
        assert b"431" == await status_of(site, head_of(2100))
        assert b"431" == await status_of(site, b"GET /" + b"y" * 2100 + b" HTTP/1.1\r\nHost: a\r\n\r\n")


async def test_a_header_without_end_is_cut_off_long_before_the_deadline() -> None:
    async with running_site() as site:
        for start in (b"GET / HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000):
            answer = await site.ask(start + b"y" * 20_000)

            assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_header_behind_a_large_body_is_counted_from_its_own_begin() -> None:
    async with running_site(max_header_bytes=2000) as site:
        client = await site.connect()
        body = POST + b"Content-Length: 30000\r\n\r\n" + b"x" * 30_000
        half, rest = head_of(1980)[:900], head_of(1980)[900:]
        await client.send(body + half)
        assert 200 == (await client.answer())[0]
        await client.send(rest)
        assert 200 == (await client.answer())[0]

        client = await site.connect()
        await client.send(body + head_of(2100)[:1900])
        assert 200 == (await client.answer())[0]
        await client.send(b"y" * 2000)
        assert 431 == (await client.answer())[0]


async def test_a_header_may_have_as_many_fields_as_the_limit_and_no_more() -> None:
    async with running_site(max_headers=100) as site:
        fields = b"".join(b"X-%d: y\r\n" % n for n in range(98))

        head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        assert b"200" == (await site.ask(head + fields + b"\r\n"))[9:12]
        assert b"431" == (await site.ask(head + fields + b"X: y\r\n\r\n"))[9:12]


@pytest.mark.parametrize(
    "flood",
    [b"3;" + b"e" * 600_000, b"0\r\nX: " + b"y" * 600_000, b"0\r\n" + b"X: y\r\n" * 200],
    ids=["extension", "trailer", "trailers"],
)
async def test_what_stands_between_chunks_is_bounded(flood: bytes) -> None:
    async with running_site() as site:
        client = await site.connect()
        await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await client.send(flood)

        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")


# --- readers ---


async def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    async with running_site(send_stall_s=0.2) as site:
        client = await site.connect()
        pausable = cast("asyncio.ReadTransport", client.writer.transport)
        pausable.pause_reading()
        await client.send(GET % b"/big")
        await site.still_serves_after(0.5)
        pausable.resume_reading()

        got = 0
        with suppress(ConnectionResetError):
            got = len(await client.rest())
        assert got < 20_000_000


async def test_a_client_that_leaves_an_answer_on_the_way_is_forgotten() -> None:
    async with running_site(send_stall_s=0.2) as site:
        client = await site.connect()
        await client.send(GET % b"/big")
        await client.until(b"\r\n\r\n")
        client.hang_up()

        other = await site.connect()
        await other.send(GET % b"/")
        assert 200 == (await other.answer())[0]


async def test_a_client_that_reads_slowly_but_does_read_gets_all() -> None:
    async with running_site(send_stall_s=1.0) as site:
        client = await site.connect()
        await client.send(GET % b"/big")

        assert b"x" * 20_000_000 == (await client.answer())[2]


# --- numbers ---


async def test_above_the_cap_a_client_is_told_to_come_again() -> None:
    async with running_site(max_connections=2) as site:
        first, second = [await site.connect() for _ in range(2)]
        for each in (first, second):
            await each.send(GET % b"/")
            await each.answer()

        third = await site.connect()
        await third.send(GET % b"/")
        status, headers, _ = await third.answer()
        assert (503, "5", "close") == (status, headers["retry-after"], headers["connection"])
        assert b"" == await third.rest()

        first.writer.close()
        await first.rest()
        fourth = await site.connect()
        await fourth.send(GET % b"/")
        assert 200 == (await fourth.answer())[0]
        assert 3 == len(site.seen.requests)


async def test_a_client_with_too_many_connections_is_told_to_come_again_and_others_are_served() -> None:
    async with running_site(max_per_place=2) as site:
        mine = [await site.connect() for _ in range(3)]
        for each in mine:
            await each.send(GET % b"/")
        answers = sorted([(await each.answer())[0] for each in mine])
        theirs = await site.connect(from_host="127.0.0.2")
        await theirs.send(GET % b"/")

        assert [200, 200, 503] == answers
        assert 200 == (await theirs.answer())[0]
        for each in mine:
            each.writer.close()
            await each.rest()
        again = await site.connect()
        await again.send(GET % b"/")
        assert 200 == (await again.answer())[0]


async def test_a_proxys_connections_are_not_counted() -> None:
    async with running_site(max_per_place=1, uncounted=[ip_network("127.0.0.0/8")]) as site:
        for client in [await site.connect() for _ in range(3)]:
            await client.send(GET % b"/")
            assert 200 == (await client.answer())[0]


async def test_above_the_cap_who_says_nothing_is_closed_soon() -> None:
    async with running_site(max_connections=0, linger_s=0.1) as site:
        assert b"" == await site.ask(b"")


async def test_above_the_cap_not_even_the_refusals_grow_without_end() -> None:
    async with running_site(max_connections=0, linger_s=5.0) as site:
        clients = [await site.connect() for _ in range(30)]

        async def outcome(client: Client) -> str:
            try:
                await client.send(GET % b"/")
                return "told" if await client.rest() else "dropped"
            except ConnectionError:
                return "dropped"

        await site.still_serves_after(0.1)  # all are accepted
        outcomes = await asyncio.gather(*(outcome(client) for client in clients))
        assert {"told": 16, "dropped": 14} == Counter(outcomes)
        assert [] == site.seen.requests


async def test_the_cap_leaves_a_fifth_of_the_open_files_to_others() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert soft * 8 // 10 == ServerLimits().connection_cap()


async def test_the_cap_is_finite_even_if_the_number_of_open_files_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert 50_000 == ServerLimits().connection_cap()


async def test_five_hundred_idle_connections_do_not_delay_an_honest_client() -> None:
    async with running_site() as site:

        async def quick_s() -> float:
            took = []
            for _ in range(50):
                start = perf_counter()
                client = await site.connect()
                await client.send(b"GET / HTTP/1.0\r\n\r\n")
                assert (await client.rest()).startswith(b"HTTP/1.1 200 OK")
                took.append(perf_counter() - start)
            return sorted(took)[5]

        before_s = await quick_s()
        idle = [await site.connect() for _ in range(500)]
        for number, client in enumerate(idle):
            await client.send([b"", b"GET / HTTP/1.1\r\nHo", POST + b"Content-Length: 9\r\n\r\nx"][number % 3])

        assert await quick_s() < 20 * before_s  # to wait for any of them would take a thousand times as long


async def test_a_thousand_may_knock_while_the_server_is_busy() -> None:
    async with running_site() as site:
        # Blocking on purpose: the server cannot accept before all of them are in the kernel's queue.
        knocking = [socket.create_connection(("127.0.0.1", site.port), timeout=0.8) for _ in range(1000)]
        for each in knocking:
            each.close()


async def test_a_fault_of_ours_is_not_taken_for_a_fault_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    from heartfly.server import protocol  # noqa: PLC0415 - broken on purpose, here only

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(protocol, "is_plain_host", broken)
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    async with running_site() as site:
        assert b"" == await site.ask(GET % b"/")

    assert isinstance(reported[0].__context__, ZeroDivisionError)


class Late(Lifetime):
    """A connection that has come due, and says in which turn of the loop that was seen."""

    due_at = 0.0
    turns: ClassVar[list[int]] = []
    turn: ClassVar[int] = 0

    @override
    def sweep(self, now: float) -> None:
        assert now >= self.due_at
        self.due_at = inf
        self.turns.append(Late.turn)


class Hurried(SystemClock):
    """Each look at it takes a third of a turn's time."""

    seconds = 0.0

    @override
    def monotonic(self) -> float:
        self.seconds += _SWEEP_TURN_S / 3
        return self.seconds


@pytest.mark.parametrize("looks_closer", [True, False])
async def test_of_many_that_come_due_together_some_are_told_at_a_time(*, looks_closer: bool) -> None:
    Late.turns, Late.turn = [], 0
    shared = Shared(make_app(Seen()), ServerLimits())
    sweeper = _Sweeper(shared, Hurried())  # nobody is there
    shared.connections, shared.turned_away = {Late(shared) for _ in range(20)}, {Late(shared) for _ in range(5)}
    if looks_closer:
        sweeper._looks_closer_at = 0.0

    sweeper.sweep()
    sweeper.sweep()  # what was begun is ended first, once
    async with asyncio.timeout(LIMIT_S):
        while len(Late.turns) < 25:
            Late.turn += 1
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop; no time passes
    sweeper.stop()

    assert 25 == len(Late.turns)
    assert max(Counter(Late.turns).values()) <= 6  # two may fall into one of ours
    assert Late.turn >= 4
