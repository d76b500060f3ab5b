"""Stopping without hurting anybody, and being started on a socket that somebody else opened."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from heartfly.server import ServerLimits, open_sockets, serve
from heartfly.server.sockets import let_no_more_begin
from tests.server.site import LIMIT_S, Client, Seen, body_of, make_app, reply, running_site

pytestmark = pytest.mark.anyio

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
ROUNDS = 8
CLOSING = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def test_while_draining_every_answer_asks_to_close_and_new_clients_are_served() -> None:
    async with running_site(drain_s=0.5) as site:
        old, held = await site.connect(), await site.connect()
        await old.send(GET % b"/")
        assert "connection" not in (await old.answer())[1]
        await held.send(GET % b"/hold")
        async with asyncio.timeout(LIMIT_S):
            await site.seen.entered.wait()

        site.stop.set()
        await site.still_serves_after(0.05)
        new = await site.connect()
        await new.send(GET % b"/")
        await old.send(GET % b"/")
        site.seen.release.set()

        for client in (new, old, held):
            status, headers, _ = await client.answer()
            assert (200, "close") == (status, headers["connection"])
            assert b"" == await client.rest()
        await site.stopped()


async def test_a_server_that_nobody_talks_to_does_not_drain_for_long() -> None:
    loop = asyncio.get_running_loop()
    async with running_site(drain_s=30.0, quiet_s=0.2) as site:
        client = await site.connect()
        await client.send(CLOSING % 1)
        await client.rest()
        start = loop.time()
        site.stop.set()

        await site.stopped()
        assert loop.time() - start < 25  # not for all of `drain_s`


async def test_who_is_connected_makes_it_drain_on() -> None:
    async with running_site(drain_s=1.2, quiet_s=0.2) as site:
        client = await site.connect()
        await client.send(GET % b"/")
        await client.answer()
        site.stop.set()
        await site.still_serves_after(0.7)  # somebody idles on a connection

        await client.send(GET % b"/")
        assert 200 == (await client.answer())[0]
        await site.stopped()


async def test_who_has_just_come_makes_it_drain_on() -> None:
    async with running_site(drain_s=30.0, quiet_s=1.0) as site:
        site.stop.set()
        await site.still_serves_after(0.2)
        client = await site.connect()
        await client.send(CLOSING % 1)
        await client.rest()

        await site.still_serves_after(1.0)  # the first second was not a quiet one
        await site.stopped()


async def test_a_body_under_way_when_the_drain_begins_is_taken_and_then_closed() -> None:
    async with running_site(drain_s=0.3) as site:
        client = await site.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        await client.until(b"Continue\r\n\r\n")
        site.stop.set()
        await site.still_serves_after(0.05)
        await client.send(b"body")

        status, headers, body = await client.answer()
        assert (200, "close", b"4") == (status, headers["connection"], body)


async def test_under_load_no_new_connection_fails_within_the_drain_window() -> None:
    # Two servers on one inherited listening socket, as in a restart: the old one drains while the new one begins.
    [listener] = open_sockets("127.0.0.1", 0, fd=None)
    port = listener.getsockname()[1]
    outcomes: Counter[str] = Counter()
    loading = True

    async def app(_: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        await reply(send, 200, b"ok")

    async def load(number: int) -> None:
        while loading:
            client = Client(*await asyncio.open_connection("127.0.0.1", port))
            try:
                await client.send(CLOSING % number)
                outcomes["answered" if (await client.rest()).endswith(b"ok") else "cut"] += 1
            except OSError as error:
                outcomes[type(error).__name__] += 1
            finally:
                client.hang_up()

    def start(stop: asyncio.Event, listening: asyncio.Event) -> asyncio.Task[None]:
        mine = socket.socket(fileno=os.dup(listener.fileno()))
        limits = ServerLimits(drain_s=0.2, finish_s=5.0)
        return asyncio.create_task(serve(app, sockets=[mine], limits=limits, stop=stop, on_listening=listening.set))

    stop, listening = asyncio.Event(), asyncio.Event()
    server = start(stop, listening)
    async with asyncio.timeout(60):
        await listening.wait()
        clients = [asyncio.create_task(load(number)) for number in range(16)]
        for _ in range(5):
            next_stop, next_listening = asyncio.Event(), asyncio.Event()
            successor = start(next_stop, next_listening)
            await next_listening.wait()
            stop.set()
            await server
            server, stop = successor, next_stop
        loading = False
        await asyncio.gather(*clients)
        stop.set()
        await server
    listener.close()

    assert ["answered"] == list(outcomes)
    assert outcomes["answered"] > 100


HAMMER = """
import socket, sys
from collections import Counter

n = Counter()
request = b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n"
print("on", flush=True)
while True:
    client, answer = socket.socket(), b""
    client.settimeout(0.2)
    try:
        client.connect(("127.0.0.1", int(sys.argv[1])))
    except OSError:  # refused, or still asking: a client does so again
        n["outside"] += 1
        client.close()
        continue
    client.settimeout(20)
    try:
        client.sendall(request)
        while part := client.recv(4096):
            answer += part
    except OSError:
        pass
    client.close()
    n["answered" if answer.endswith(b"over") or answer.endswith(b"ok") else "cut"] += 1
    if answer.endswith(b"over"):
        print(n["outside"], n["answered"], n["cut"])
        break
"""


async def test_who_connects_as_fast_as_he_can_is_never_let_in_and_cut_off() -> None:
    [first] = open_sockets("127.0.0.1", 0, fd=None)
    port = first.getsockname()[1]
    first.close()
    n, over = 0, False

    async def app(_: Any, receive: Any, send: Any) -> None:
        nonlocal n
        n += 1
        await reply(send, 200, b"over" if over else b"ok")

    async def serve_so_many(more: int) -> None:
        stop, wanted = asyncio.Event(), n + more
        limits = ServerLimits(drain_s=0.0, finish_s=10.0, handshake_s=0.02)
        server = asyncio.create_task(
            serve(app, sockets=open_sockets("127.0.0.1", port, fd=None), limits=limits, stop=stop)
        )
        async with asyncio.timeout(60):
            while n < wanted:  # noqa: ASYNC110 - what comes is counted by the application
                await asyncio.sleep(0.005)  # noqa: TID251 - bounded above
        stop.set()
        await server

    clients = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", HAMMER, str(port), stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for client in clients:
        assert client.stdout is not None
        assert b"on\n" == await client.stdout.readline()
    for _ in range(ROUNDS):
        await serve_so_many(40)
    over = True
    await serve_so_many(len(clients))
    told = [(await client.communicate())[0].split() for client in clients]

    outside, answered, cut = (sum(int(one[place]) for one in told) for place in range(3))
    assert (0, True, True) == (cut, answered >= 40 * ROUNDS, outside > 0)


async def test_who_would_begin_to_connect_as_the_listener_closes_is_refused() -> None:
    async with running_site(handshake_s=0.4) as site:
        before = await site.connect()
        await before.send(GET % b"/hold")
        async with asyncio.timeout(LIMIT_S):
            await site.seen.entered.wait()
        site.stop.set()
        await site.still_serves_after(0.1)
        with pytest.raises(ConnectionRefusedError):
            await site.connect()
        site.seen.release.set()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_of_a_socket_that_others_hold_as_well_connections_begin_as_ever(family: int) -> None:
    listener = socket.socket(family)

    assert not let_no_more_begin(listener)
    listener.close()


async def test_who_was_accepted_at_the_last_moment_may_still_ask() -> None:
    async with running_site(drain_s=0.0, finish_s=5.0) as site:
        client = await site.connect()
        await client.send(GET % b"/")
        await client.answer()
        late = await site.connect()
        await site.still_serves_after(0.05)  # it is accepted
        site.stop.set()
        assert b"" == await client.rest()  # idle: closed with the listeners
        await late.send(GET % b"/")

        status, headers, _ = await late.answer()
        assert (200, "close") == (status, headers["connection"])


async def test_who_was_in_the_queue_when_the_listeners_closed_is_answered() -> None:
    async with running_site(drain_s=0.0, finish_s=9.0, last_request_s=9.0) as site:
        # Blocking on purpose: all are in the kernel's queue, and the server has not yet been told.
        waiting = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(20)]
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn  # now they are accepted, but not yet known
        site.stop.set()
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003 - the standard library's signature
            reader, writer = await asyncio.open_connection(sock=each)
            client = Client(reader, writer)
            await client.send(CLOSING % 1)

            assert (200, b"0") == (await client.answer())[::2]
            client.hang_up()


async def test_who_never_asks_is_let_go_without_a_word() -> None:
    loop = asyncio.get_running_loop()
    async with running_site(drain_s=0.0, finish_s=60.0) as site:
        client = await site.connect()
        await site.still_serves_after(0.05)
        site.stop.set()
        start = loop.time()

        assert b"" == await client.rest()
        await site.stopped()
        assert loop.time() - start < 30  # neither its own deadline nor the server's last one


async def test_what_is_under_way_may_finish() -> None:
    async with running_site(drain_s=0.0, finish_s=5.0) as site:
        client = await site.connect()
        await client.send(GET % b"/hold")
        async with asyncio.timeout(LIMIT_S):
            await site.seen.entered.wait()
        site.stop.set()
        done, _ = await asyncio.wait({site.task}, timeout=0.1)
        assert set() == done
        site.seen.release.set()

        assert 200 == (await client.answer())[0]
        await site.stopped()


async def test_what_takes_too_long_is_told_to_come_again_and_cancelled() -> None:
    async with running_site(drain_s=0.0, finish_s=0.1) as site:
        client = await site.connect()
        await client.send(GET % b"/hold" + GET % b"/next")
        half = await site.connect()
        await half.send(b"GET / HT")
        async with asyncio.timeout(LIMIT_S):
            await site.seen.entered.wait()
        site.stop.set()

        for each in (client, half):
            status, headers, _ = await each.answer()
            assert (503, "5") == (status, headers["retry-after"])
        await site.stopped()
        assert site.seen.cancelled.is_set()
        assert ["GET /hold"] == site.seen.requests


async def test_a_stream_that_nobody_ends_is_ended_by_its_disconnect() -> None:
    async with running_site(drain_s=0.0, finish_s=0.1) as site:
        client = await site.connect()
        await client.send(GET % b"/stream")
        await client.until(b": hello\n\n")
        site.stop.set()

        await site.stopped()
        assert site.seen.disconnected.is_set()
        assert not site.seen.cancelled.is_set()


async def test_a_client_that_does_not_read_does_not_keep_the_server() -> None:
    async with running_site(drain_s=0.0, finish_s=0.1) as site:
        client = await site.connect()
        pausable = cast("asyncio.ReadTransport", client.writer.transport)
        pausable.pause_reading()
        await client.send(GET % b"/big")
        await site.still_serves_after(0.1)
        site.stop.set()
        await site.stopped()

        pausable.resume_reading()
        got = 0
        with suppress(ConnectionResetError):
            got = len(await client.rest())
        assert got < 20_000_000  # nothing goes on behind the back of a server that has stopped


async def test_a_caller_need_not_be_told_that_it_listens() -> None:
    [listener] = open_sockets("127.0.0.1", 0, fd=None)
    stop = asyncio.Event()
    stop.set()

    await serve(make_app(Seen()), sockets=[listener], limits=ServerLimits(drain_s=0.0), stop=stop)

    assert -1 == listener.fileno()


async def test_an_application_that_ignores_its_cancellation_does_not_keep_the_server() -> None:
    release, entered = asyncio.Event(), asyncio.Event()

    async def stubborn(*_: Any) -> None:
        entered.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with running_site(stubborn, drain_s=0.0, finish_s=0.0) as site:
        client = await site.connect()
        await client.send(GET % b"/")
        async with asyncio.timeout(LIMIT_S):
            await entered.wait()
        site.stop.set()
        await site.stopped()
        release.set()


async def test_cancelling_the_server_leaves_nothing_behind() -> None:
    async with running_site(finish_s=60.0) as site:
        client = await site.connect()
        await client.send(GET % b"/hold")
        async with asyncio.timeout(LIMIT_S):
            await site.seen.entered.wait()
        site.task.cancel()
        await asyncio.wait({site.task}, timeout=LIMIT_S)

        assert site.task.cancelled()
        assert site.seen.cancelled.is_set()
        with pytest.raises(OSError, match=r"refused|Connect"):
            await site.connect()


async def test_a_unix_socket_is_served_and_has_no_address(tmp_path: Path) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, _: Any, send: Any) -> None:
        scopes.append(scope)
        await reply(send, 200, b"ok")

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    stop, listening = asyncio.Event(), asyncio.Event()
    limits = ServerLimits(drain_s=0.0)
    server = asyncio.create_task(serve(app, sockets=[listener], limits=limits, stop=stop, on_listening=listening.set))
    await listening.wait()
    client = Client(*await asyncio.open_unix_connection(str(tmp_path / "s")))
    await client.send(CLOSING % 1)

    assert (await client.rest()).endswith(b"ok")
    assert (None, None) == (scopes[0]["client"], scopes[0]["server"])
    client.hang_up()
    stop.set()
    await server


async def test_a_listener_that_cannot_be_used_is_an_error_and_closes_the_others() -> None:
    [good] = open_sockets("127.0.0.1", 0, fd=None)
    bad = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    with pytest.raises(ValueError, match="tream"):
        await serve(lambda *_: None, sockets=[good, bad], limits=ServerLimits(), stop=asyncio.Event())  # type: ignore[arg-type]

    assert -1 == good.fileno() == bad.fileno()


PROGRAM = """
import asyncio, os, sys
from heartfly.server import ServerLimits, open_sockets, serve

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"mine"})

async def main():
    if "LISTEN_FDS" in os.environ:
        os.environ["LISTEN_PID"] = str(os.getpid())  # what systemd does between fork and exec
    fd = int(sys.argv[1]) if len(sys.argv) > 1 else None
    sockets = open_sockets("203.0.113.1", 1, fd=fd)
    assert "LISTEN_FDS" not in os.environ
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, stop.set)  # the parent closes our input
    ready = lambda: print("on", flush=True)
    await serve(app, sockets=sockets, limits=ServerLimits(drain_s=0.0), stop=stop, on_listening=ready)

asyncio.run(main())
"""


@pytest.mark.parametrize("means", ["systemd", "--fd"])
async def test_an_inherited_socket_is_served_by_a_new_process(means: str) -> None:
    by_systemd = means == "systemd"
    [listener] = open_sockets("127.0.0.1", 0, fd=None)
    port = listener.getsockname()[1]
    number = 3 if by_systemd else listener.fileno()

    def hand_over() -> None:
        os.dup2(listener.fileno(), number)
        os.set_inheritable(number, True)  # noqa: FBT003 - the standard library's signature

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM, *([] if by_systemd else [str(number)])),
        env={**os.environ, **({"LISTEN_FDS": "1"} if by_systemd else {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=() if by_systemd else (number,),
        close_fds=not by_systemd,
        preexec_fn=hand_over if by_systemd else None,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert b"on\n" == await process.stdout.readline()
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        await client.send(CLOSING % 1)
        assert (await client.rest()).endswith(b"mine")
        client.hang_up()
        process.stdin.close()
        assert 0 == await process.wait()
    listener.close()
