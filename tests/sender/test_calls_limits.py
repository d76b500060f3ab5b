"""Limits, asked before a call: a reservation and how it ends, and what happens when nobody answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from heartfly_client import Calls, LimitReached, calls_of
from typing_extensions import override

from tests.sender.receiving import Receiver

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Server:
    """`check`: what it answers; None: nothing, until the test is over. `settled`: in order."""

    url: str = ""
    check: tuple[int, Any] | None = (200, {"allowed": True, "reservation": "r-1", "remaining": {"requests": "9"}})
    settles: list[int] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    settled: list[tuple[str, Any]] = field(default_factory=list)
    receiver: Receiver = field(default_factory=Receiver)
    over: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            assert "Bearer hf_key" == self.headers["authorization"]
            if self.path == "/v1/limits/check":
                state.asked.append(json.loads(body))
                if state.check is None:
                    state.over.wait(30)
                    return
                status, told = state.check
            elif self.path.startswith("/v1/limits/reservations/"):
                status = state.settles.pop(0) if state.settles else 200
                told = {}
                if status == 200:
                    state.settled.append((self.path.removeprefix("/v1/limits/reservations/"), json.loads(body)))
            else:
                status, _, answer = state.receiver.events(body)
                told = json.loads(answer)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    httpd.daemon_threads = True
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield state
    state.over.set()
    httpd.shutdown()
    httpd.server_close()
    thread.join(60)


def calls_to(server: Server, folder: Path, **more: Any) -> Calls:
    return Calls(server.url, "hf_key", folder=folder / "queue", every_s=0.01, tell=lambda _: None, **more)


@pytest.fixture
def calls(server: Server, tmp_path: Path) -> Iterator[Calls]:
    made = calls_to(server, tmp_path)
    yield made
    made.close()


def events(server: Server, calls: Calls) -> list[dict[str, Any]]:
    calls.close()
    return [json.loads(one) for one in server.receiver.known.values()]


def test_a_call_asks_first_and_says_afterwards_what_it_was(server: Server, calls: Calls) -> None:
    with (
        calls_of("acme", tags=["web"]),
        calls.track(provider="openai", model="gpt-x", key="prod-1", user="ann", reserve={"input_tokens": 800},
                    reserve_cost={"USD": "0.02"}) as call,
    ):  # fmt: skip
        call.units(input_tokens=86, output_tokens=172)
        call.cost("0.0123", "USD")

    (one,) = events(server, calls)

    (asked,) = server.asked
    assert 32 == len(asked.pop("idempotency_key"))
    assert {
        "scope": {"provider": "openai", "model": "gpt-x", "key": "prod-1", "customer": "acme", "user": "ann",
                  "tags": ["web"]},
        "units": {"requests": "1", "input_tokens": "800"}, "cost": {"USD": "0.02"}, "reserve": True,
    } == asked  # fmt: skip
    assert [
        ("r-1/commit",
         {"units": {"requests": "1", "input_tokens": "86", "output_tokens": "172"}, "cost": {"USD": "0.0123"}})
    ] == server.settled  # fmt: skip
    assert "r-1" == one["properties"]["reservation"]  # so that the event is not counted against it once more


def test_a_call_that_came_to_nothing_gives_back_what_was_reserved(server: Server, calls: Calls) -> None:
    with pytest.raises(OSError, match="away"), calls.track(provider="openai", reserve={}):
        raise OSError("away")

    (one,) = events(server, calls)
    assert [("r-1/release", {})] == server.settled
    assert "reservation" not in one["properties"]  # else the event would commit what is given back


@pytest.mark.parametrize("status", [200, 429])
def test_where_a_limit_is_reached_the_call_is_not_made(server: Server, calls: Calls, status: int) -> None:
    server.check = status, {"allowed": False, "retry_after": 12.5, "limit": {"id": "l-1", "name": "tokens an hour"}}

    with (
        pytest.raises(LimitReached, match=r"tokens an hour is reached; again in 12\.5 s") as refused,
        calls.track(provider="openai", reserve={"input_tokens": 800}),
    ):
        pytest.fail("it was made")

    assert (12.5, "tokens an hour") == (refused.value.retry_after, refused.value.limit)
    assert [] == events(server, calls)


async def test_an_event_loop_goes_on_while_limits_are_asked(server: Server, tmp_path: Path) -> None:
    server.check = None
    calls = calls_to(server, tmp_path, check_timeout_s=0.3)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.to_thread(threading.Event().wait, 0.01)
            turns += 1

    beside = asyncio.create_task(turn())
    async with calls.track(provider="openai", reserve={}):
        pass
    beside.cancel()

    assert 1 < turns
    assert 1 == calls.failed_open
    server.over.set()
    calls.close()


def test_a_server_that_says_nothing_in_time_holds_nobody_up_and_each_such_call_is_counted_and_told(
    server: Server, tmp_path: Path
) -> None:
    server.check = None
    calls = calls_to(server, tmp_path, check_timeout_s=0.1)

    with calls.track(provider="openai", model="gpt-x", customer="acme", reserve={}):
        pass

    found = events(server, calls)
    assert 1 == calls.failed_open
    (told,) = [one for one in found if one["event_type"] == "api.call_unchecked"]
    (call,) = [one for one in found if one["event_type"] == "api.call"]
    assert ("acme", {"provider": "openai", "model": "gpt-x", "n": "1", "why": "cannot be reached: TimeoutError"}) == (
        told["customer_id"], told["properties"],
    )  # fmt: skip
    assert "cannot be reached: TimeoutError" == call["properties"]["unchecked"]
    assert [] == server.settled


def test_a_server_that_could_not_look_itself_says_so_and_that_is_counted(server: Server, calls: Calls) -> None:
    server.check = 200, {"allowed": True, "reservation": None, "unseen": True}

    with calls.track(provider="openai", reserve={}):
        pass

    found = events(server, calls)
    assert (1, []) == (calls.failed_open, server.settled)
    assert {"could not look at them"} == {
        text for one in found for name, text in one["properties"].items() if name in {"why", "unchecked"}
    }


@pytest.mark.parametrize("answer", [(500, {}), (404, {}), (200, []), (200, {"allowed": "yes"}), (403, {})])
def test_where_it_is_said_so_no_call_is_made_that_nobody_allowed(
    server: Server, tmp_path: Path, answer: tuple[int, Any]
) -> None:
    server.check = answer
    calls = calls_to(server, tmp_path, unreachable="closed")

    with pytest.raises(LimitReached, match=f"answered {answer[0]}"), calls.track(provider="openai", reserve={}):
        pytest.fail("it was made")

    assert (0, []) == (calls.failed_open, events(server, calls))


def test_a_reservation_is_settled_once_and_again_until_the_server_has_it(server: Server, calls: Calls) -> None:
    server.settles = [503]
    with calls.check(provider="openai", units={"input_tokens": 100}) as reservation:
        assert {"requests": "9"} == reservation.remaining
        reservation.commit({"input_tokens": 90})
        reservation.release()
    with pytest.raises(OSError, match="away"), calls.check(provider="openai"):
        raise OSError("away")

    heard = threading.Event()
    for _ in range(500):
        if len(server.settled) == 2:
            break
        heard.wait(0.02)

    assert [
        ("r-1/commit", {"units": {"requests": "1", "input_tokens": "90"}}), ("r-1/release", {}),
    ] == server.settled  # fmt: skip
    assert 0 == calls.unsettled


def test_one_that_cannot_be_settled_is_counted(server: Server, calls: Calls) -> None:
    server.settles = [404]
    calls.check(provider="openai").commit()

    calls.close()

    assert (1, []) == (calls.unsettled, server.settled)


def test_what_is_no_amount_is_refused_before_anybody_is_asked(server: Server, calls: Calls) -> None:
    with pytest.raises(ValueError, match="input_tokens must be a decimal amount"):
        calls.check(provider="openai", units={"input_tokens": "many"})

    assert [] == server.asked
