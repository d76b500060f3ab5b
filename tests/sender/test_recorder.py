"""The recorder in a real Litestar application and under WSGI: what it tells of requests, and that none pays for it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from heartfly_client import ASGIRecorder, Ips, Recorder, Target, WSGIRecorder
from heartfly_client.recorder.record import Record, Shape, event_of
from litestar import Litestar, Request, get, post
from litestar.params import FromPath
from litestar.response import Stream
from typing_extensions import override

from heartfly.core.access.as_event import Shape as ShapeOfLines
from heartfly.core.access.as_event import event_text
from heartfly.core.access.request import Request as RequestOfLine
from heartfly.core.paths import rules_of
from tests.sender.receiving import Receiver
from tests.server_process import free_port


def record(n: int = 1, **changed: Any) -> Record:
    made = Record(
        at_ns=1_431_849_903_250_000_000 + n, latency_ns=12_345_678, method="get", path="/users/17", template=None,
        status=200, request_bytes=0, response_bytes=n, ip="203.0.113.9", host="example.com", user_agent="curl",
        key="Bearer hf_live_0123456789", customer=None, request_id="8f14",
    )  # fmt: skip
    return made._replace(**changed)


@pytest.fixture
def recorder(receiver: Receiver, tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "queue", Target(receiver.url, "hf_key"), every_s=0.01, source="api")
    yield made
    made.close()


def sent(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(one) for one in receiver.known.values()]


def told(receiver: Receiver, recorder: Recorder) -> list[dict[str, Any]]:
    """All events, once the recorder is closed."""
    recorder.close()
    return sent(receiver)


# --- a real application


@get("/users/{user:int}")
async def user(user: FromPath[int]) -> dict[str, int]:
    return {"user": user}


@post("/files/{name:str}")
async def file(name: FromPath[str], request: Request[Any, Any, Any]) -> Stream:
    await request.body()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 1000

    return Stream(pieces())


@get("/broken")
async def broken() -> None:
    raise RuntimeError("of the application's own")


@pytest.fixture
def served(recorder: Recorder) -> Iterator[str]:
    """On a socket, as in production."""
    app = ASGIRecorder(Litestar([user, file, broken]), recorder, customer_header="x-customer")
    port = free_port()
    server = Served(uvicorn.Config(app, port=port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert server.is_up.wait(60)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)


class Served(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    @override
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


CHUNKED = "Transfer-Encoding: chunked"


def curl(*words: str) -> bytes:
    return subprocess.run(["curl", "-sS", *words], check=True, capture_output=True).stdout


def test_a_litestar_application_is_told_of_request_by_request(
    served: str, receiver: Receiver, recorder: Recorder
) -> None:
    curl(f"{served}/users/17?token=x", "-H", "X-Customer: acme", "-H", "Authorization: Bearer hf_live_0123456789",
         "-H", "X-Request-Id: 8f14", "-A", "curl/8")  # fmt: skip
    assert 3_000 == len(
        curl(f"{served}/files/a.txt", "--data-binary", "y" * 70_000, "-H", "Transfer-Encoding: chunked")
    )
    curl(f"{served}/broken")
    curl(f"{served}/nothing/550e8400-e29b-41d4-a716-446655440000")

    found = told(receiver, recorder)
    (first, streamed, failed, missing) = (one["properties"] for one in found)
    assert ["acme", "anonymous", "anonymous", "anonymous"] == [one["customer_id"] for one in found]
    assert {"http.request"} == {one["event_type"] for one in found}
    assert 0 < first.pop("latency_ms")
    assert {
        "method": "GET", "route": "/users/{user}", "path": "/users/17", "host": served.removeprefix("http://"),
        "ip": "127.0.0.0", "user_agent": "curl/8", "key": "hf_live_…", "request_id": "8f14", "source": "api",
        "status": 200, "status_class": "2xx", "request_bytes": 0, "response_bytes": len('{"user":17}'),
    } == first  # fmt: skip
    assert ("/files/{name}", 70_000, 3_000) == tuple(
        streamed[name] for name in ("route", "request_bytes", "response_bytes")
    )
    assert (500, "5xx") == (failed["status"], failed["status_class"])
    assert (404, "/nothing/{id}") == (missing["status"], missing["route"])


# --- ASGI


async def through(app: Any, recorder: Recorder, **options: Any) -> list[Any]:
    """One request by hand; what the server around it is sent."""
    messages: list[Any] = []
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/a/17", "headers": [(b"host", b"a")], "client": None,
    }  # fmt: skip
    scope |= options.pop("scope", {})

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    await ASGIRecorder(app, recorder, **options)(scope, receive, send)
    return messages


@pytest.mark.anyio
async def test_an_error_of_the_application_is_its_own_and_is_recorded(recorder: Recorder, receiver: Receiver) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise LookupError

    with pytest.raises(LookupError):
        await through(app, recorder)
    (event,) = told(receiver, recorder)
    assert (500, "/a/{id}") == (event["properties"]["status"], event["properties"]["route"])


@pytest.mark.anyio
async def test_who_is_gone_before_an_answer_has_no_status(recorder: Recorder, receiver: Receiver) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    await through(app, recorder, scope={"route": type("Route", (), {"path": "/a/{n}"})(), "client": ("::1", 1)})
    (event,) = told(receiver, recorder)
    assert ("/a/{n}", "::") == (event["properties"]["route"], event["properties"]["ip"])
    assert "status" not in event["properties"]


@pytest.mark.anyio
async def test_a_customer_that_cannot_be_told_costs_a_record_and_no_request(receiver: Receiver, tmp_path: Path) -> None:
    said: list[str] = []
    recorder = Recorder(tmp_path / "queue", Target(receiver.url, "hf_key"), tell=said.append)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    def customer(scope: Any) -> str:
        return str(scope["nobody"])

    assert 204 == (await through(app, recorder, customer=customer))[0]["status"]
    await through(app, recorder, customer=lambda _: "acme")
    await through(app, recorder, scope={"type": "lifespan"})

    recorded, lost = told(receiver, recorder)
    assert "acme" == recorded["customer_id"]
    assert ("http.requests_dropped", {"n": 1}) == (lost["event_type"], lost["properties"])
    assert (1, 1, ["a record is lost: KeyError('nobody')"]) == (recorder.dropped, recorder.recorded, said)


# --- WSGI


class Source:
    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.name = "source"

    def read(self, _: int = -1) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    readline = read

    def readlines(self, _: int = -1) -> list[bytes]:
        return [self.read()]

    def __iter__(self) -> Iterator[bytes]:
        yield self.read()


def wsgi(app: Callable[..., Iterable[bytes]], recorder: Recorder, source: Any, **options: Any) -> list[bytes]:
    environ = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "/app", "PATH_INFO": "/caf\xc3\xa9/17", "REMOTE_ADDR": "203.0.113.9",
        "HTTP_HOST": "example.com", "HTTP_X_CUSTOMER": "acme",
    } | ({"wsgi.input": source} if source else {})  # fmt: skip
    answer = WSGIRecorder(app, recorder, customer_header="x-customer", **options)(environ, lambda *_: None)
    try:
        return list(answer)
    finally:
        answer.close()  # type: ignore[attr-defined]


def test_under_wsgi_it_is_the_same(recorder: Recorder, receiver: Receiver) -> None:
    closed: list[str] = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append("yes")

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        read = [source.read(10), source.readline(), *source.readlines(), *source]
        assert "source" == source.name
        start_response("201 Created", [])
        return Body([b"ab", b"c" * len(b"".join(read))])

    def failing(environ: Any, start_response: Any) -> Iterable[bytes]:
        try:
            return [environ["nothing"]]
        except LookupError:
            start_response("503 Unavailable", [], sys.exc_info())
            raise

    assert [b"ab", b"c" * 10] == wsgi(app, recorder, Source(b"1234", b"567", b"89", b"0"))
    with pytest.raises(LookupError):
        wsgi(failing, recorder, None, customer=lambda _: "other", template=lambda _: "/t/{n}")

    first, second = told(receiver, recorder)
    assert (201, "POST", "/app/café/{id}", 10, 12) == tuple(
        first["properties"][name] for name in ("status", "method", "route", "request_bytes", "response_bytes")
    )
    assert (503, "/t/{n}") == (second["properties"]["status"], second["properties"]["route"])
    assert (["acme", "other"], ["yes"]) == ([first["customer_id"], second["customer_id"]], closed)


def test_a_wsgi_record_that_cannot_be_made_costs_no_request(recorder: Recorder, receiver: Receiver) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        return [b"x"]

    assert [b"x"] == wsgi(app, recorder, None, template=lambda environ: environ["nothing"])
    assert 1 == recorder.dropped


# --- nothing is slowed, little is lost, all of it is told


def test_a_dead_server_holds_nobody_up_and_what_waits_is_sent_later(receiver: Receiver, tmp_path: Path) -> None:
    dead = Target("http://127.0.0.1:9", "hf_key")
    recorder = Recorder(tmp_path / "queue", dead, every_s=0.01, tell=lambda _: None)
    for n in range(50):
        recorder.record(record(n))
    recorder.close(patience_s=0.0)
    assert (50, 0) == (recorder.recorded, recorder.dropped)
    for thread in threading.enumerate():
        if thread.name == "heartfly-sender":
            thread.join(60)  # nobody waited for it, and on a crowded machine it may have the queue still

    later = Recorder(tmp_path / "queue", Target(receiver.url, "hf_key"))
    later.record(record(99))
    later.close()

    assert [*range(50), 99] == sorted(one["properties"]["response_bytes"] for one in sent(receiver))


def test_a_full_list_drops_counts_and_tells(receiver: Receiver, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "queue", Target(receiver.url, "hf_key"), every_s=3600, most_waiting=3)

    for n in range(10):
        recorder.record(record(n))

    *kept, lost = told(receiver, recorder)
    assert [0, 1, 2] == [one["properties"]["response_bytes"] for one in kept]
    assert ({"n": 7}, 7) == (lost["properties"], recorder.dropped)
    recorder.record(record())
    assert 8 == recorder.dropped  # it is closed


def test_a_disk_that_is_full_costs_records_and_says_so(receiver: Receiver, tmp_path: Path) -> None:
    said: list[str] = []
    recorder = Recorder(tmp_path / "queue", Target(receiver.url, "hf_key"), every_s=3600, tell=said.append)
    recorder.queue.max_bytes = 10
    recorder.record(record())
    recorder.close(patience_s=0.0)

    assert (1, 0) == (recorder.dropped, recorder.recorded)
    assert "1 records are lost: the queue in" in said[0]


def test_a_recorder_that_recorded_nothing_closes(receiver: Receiver, tmp_path: Path) -> None:
    Recorder(tmp_path / "queue", Target(receiver.url, "hf_key")).close()

    assert [] == receiver.bodies


def test_workers_share_a_queue_and_one_of_them_sends(receiver: Receiver, tmp_path: Path) -> None:
    workers = [Recorder(tmp_path / "queue", Target(receiver.url, "hf_key"), every_s=0.01, tell=lambda _: None)
               for _ in range(3)]  # fmt: skip
    for n in range(30):
        workers[n % 3].record(record(n))
    for worker in workers:
        worker.close()

    assert list(range(30)) == sorted(one["properties"]["response_bytes"] for one in sent(receiver))


def test_a_key_that_is_not_known_keeps_all_in_the_queue(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answers = [(401, {}, b"")] * 9
    said: list[str] = []
    recorder = Recorder(tmp_path / "queue", Target(receiver.url, "hf_key"), every_s=0.01, tell=said.append)
    recorder.record(record())
    with receiver.heard:
        assert receiver.heard.wait_for(lambda: receiver.bodies, timeout=60)
    recorder.close()

    assert not recorder.queue.is_empty()
    assert "answered 401" in said[0]


# --- the event


def test_it_has_the_names_that_a_line_of_a_log_has() -> None:
    """The same request, told by both."""
    line = RequestOfLine(
        at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=record().at_ns // 1000), method="GET",
        path="/users/17", status=200, ip="203.0.113.9", host="example.com", user_agent="curl", latency_ms="12.346",
        request_bytes=0, response_bytes=1, request_id="8f14",
    )  # fmt: skip
    ours = json.loads(event_of(record(key=None), "t", Shape(source="api")))

    assert json.loads(event_text(line, "t", ShapeOfLines(source="api"))[0]) == ours


def test_rules_hashes_and_what_is_hostile() -> None:
    rules = rules_of(["/users/{name}"])
    shape = Shape(rules=rules, ips=Ips.HASH, secret="s")  # type: ignore[arg-type]

    found = json.loads(event_of(record(
        path="/users/a\x00b?x", user_agent="u" * 9_999, customer=" \x07 " * 200, ip="::ffff:203.0.113.9", latency_ns=0,
    ), "t", shape))  # fmt: skip

    assert ("/users/{name}", rules.version) == (found["properties"]["route"], found["properties"]["rules"])
    assert (512, 16, 0.001) == (
        len(found["properties"]["user_agent"]), len(found["properties"]["ip"]), found["properties"]["latency_ms"]
    )  # fmt: skip
    assert "\x00" not in json.dumps(found, ensure_ascii=False)
    kept = [json.loads(event_of(record(ip=ip), "t", Shape(ips=ips)))["properties"].get("ip")
            for ip, ips in (("unix:", Ips.KEEP), ("unix:", Ips.TRUNCATE), ("::1", Ips.DROP))]  # fmt: skip
    assert ["unix:", None, None] == kept
    with pytest.raises(ValueError, match="needs a secret"):
        Shape(ips=Ips.HASH)


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from heartfly_client import ASGIRecorder, Recorder, Target, WSGIRecorder\n"
        "Recorder(sys.argv[2], Target('http://localhost', 'k')).close()\n"
        "print([one for one in ('heartfly', 'litestar', 'msgspec') if one in sys.modules])\n"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(root / "clients" / "python"), str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert "[]\n" == done.stdout, done.stderr
