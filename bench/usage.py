"""Usage: events in over HTTP, five meters over all of them, the daily aggregation, and a month of figures.

Events are sent by a process of its own over connections that stay open, in batches of 100 with random ids and four
properties, by as many keys as the pace of one asks for. They happened yesterday, in no order unless `in_order` is
asked for: the job `daily-usage` closes that day.
While something takes long, pings go on, and what they waited is told with it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import random
import re
import socket
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import cycle
from typing import Any, TypeVar

from bench import load
from bench.load import CLOCK, Answers, Latencies
from bench.procstat import Meter, family, megabytes
from bench.report import Figure
from bench.seed import Seeded, seed
from bench.served import Served, Store, Stores, heartfly
from heartfly import config
from heartfly.accounts.keys import Scope, make_key
from heartfly.db.changes import Tx
from heartfly.db.parts import USAGE
from heartfly.ground import open_ground

Result = TypeVar("Result")

BATCH = 100
CUSTOMERS, ENDPOINTS = 200, 20
SENDERS = 8
PINGS_PER_S = 20
_PER_KEY = 500
"""Requests: a key has 600 at once, and ten more each second."""
_MANY, _PARTS = 1_000_000, 10
_DAYS = 30
_LOOKS = 20
_LIMIT_S = 1_800.0
_DAY = timedelta(days=1)

METERS: Sequence[dict[str, Any]] = (
    {"slug": "requests", "aggregation": "count", "group_keys": ["endpoint"]},
    {"slug": "traffic", "aggregation": "sum", "value": "bytes"},
    {"slug": "slowest", "aggregation": "max", "value": "ms"},
    {"slug": "latency", "aggregation": "percentile", "value": "ms", "percentile": 95},
    {"slug": "endpoints", "aggregation": "unique", "value": "endpoint"},
)


async def measure(made: Stores, *, n_events: int, in_order: bool = False, senders: int = SENDERS) -> list[Figure]:
    """`in_order`: they come as they happen, as from senders that do not lag; else each at any time of the day."""
    store = made.fresh()
    seeded = seed(store, 100)
    history = max(BATCH, n_events // 1_000 * 10) // BATCH * BATCH
    n_keys = (n_events + (_DAYS - 1) * history) // BATCH // _PER_KEY + 3
    keys = make_keys(store, seeded, n_keys)
    today = CLOCK.now().replace(hour=0, minute=0, second=0, microsecond=0)
    found: list[Figure] = []
    async with heartfly(store, seeded.paths[0]) as served:
        api, sender = _Api(served.port, seeded.api_key), _Sender(served, keys, senders)
        it = _Running(store, served, seeded.paths, api, sender, today)
        try:
            # The first request waits until the framework is imported, and each connection is new.
            await sender.send(BATCH * senders, today - (_DAYS + 1) * _DAY)
            found += await _ingest(it, n_events, in_order=in_order)
            found += await _fold(it, n_events)
            found += await _close(it, n_events)
            for days in range(2, _DAYS + 1):
                await sender.send(history, today - days * _DAY)
            await _folded(api, today - _DAYS * _DAY, today)
            await _run_job(api)
            found += await _ask(it)
        finally:
            sender.close()
    return found


@dataclass(frozen=True, slots=True)
class _Running:
    store: Store
    served: Served
    paths: Sequence[str]
    api: _Api
    sender: _Sender
    today: datetime

    def meter(self) -> Meter:
        return Meter(self.served.pid, self.served.extra)


async def _ingest(it: _Running, n: int, *, in_order: bool) -> list[Figure]:
    meter, size = it.meter(), 0 if it.store.url else _size(it.store)
    took, pinged, _ = await _while(it, _in_parts(it, n, in_order=in_order))
    seconds = sum(took)
    used = meter.read()
    times = "as they happen" if in_order else "of any time of the day"
    note = f"{n:,} events in batches of {BATCH}, {it.sender.senders} connections, {times}"
    figures = [
        Figure(name="events", value=n / seconds, unit="/s", at_least=20_000, others=used.others, note=note),
        Figure(name="CPU of an event", value=1e6 * (used.cpu_s + used.extra_cpu_s) / n, unit="us", others=used.others),
        _pinged("pings while events come: p99", pinged, used.others),
    ]
    if len(took) == _PARTS:
        first, last = (n / _PARTS / one for one in (took[0], took[-1]))
        name, note = "events of the last tenth", f"of the first: {first:,.0f}/s"
        figures.append(Figure(name=name, value=last, unit="/s", at_least=10_000, others=used.others, note=note))
    if not it.store.url:
        bytes_each = (_size(it.store) - size) / n
        figures.append(Figure(name="disk of an event", value=bytes_each, unit="bytes", at_most=250, note="no meters"))
    return figures


async def _in_parts(it: _Running, n: int, *, in_order: bool) -> list[float]:
    """Seconds that each part took. Many go in tenths, for bodies are made before they are sent."""
    parts, day = 1 if n < _MANY else _PARTS, it.today - _DAY
    spans = [(day + part * _DAY / parts, _DAY / parts) if in_order else (day, _DAY) for part in range(parts)]
    return [await it.sender.send(n // parts, at, over=over, in_order=in_order) for at, over in spans]


async def _fold(it: _Running, n: int) -> list[Figure]:
    meter = it.meter()

    async def work() -> float:
        begun = time.perf_counter()
        for one in METERS:
            await it.api.ask("POST", "/v1/meters", {"event_types": ["api.request"]} | one)
        await _folded(it.api, it.today - _DAY, it.today)
        return time.perf_counter() - begun

    seconds, pinged, peak = await _while(it, work())
    others = meter.read().others
    note = f"{len(METERS)} meters over {n:,} events, rests between two folds of an hour included"
    return [
        Figure(name="new meters, until all is folded", value=seconds, unit="s", others=others, note=note),
        Figure(name="memory of the process beside, at most", value=peak, unit="MB", at_most=300),
        _pinged("pings meanwhile: p99", pinged, others),
    ]


async def _close(it: _Running, n: int) -> list[Figure]:
    meter = it.meter()
    seconds, pinged, peak = await _while(it, _run_job(it.api))
    others = meter.read().others
    note = f"{n:,} events, {CUSTOMERS} customers, {ENDPOINTS} endpoints"
    return [
        Figure(name="the daily aggregation", value=seconds, unit="s", at_most=15, others=others, note=note),
        Figure(name="memory of the process beside, at most", value=peak, unit="MB", at_most=300),
        _pinged("pings meanwhile: p99", pinged, others),
    ]


async def _ask(it: _Running) -> list[Figure]:
    meter, took = it.meter(), []
    asked = f"window=day&group_by=customer&from={_rfc(it.today - _DAYS * _DAY)}&to={_rfc(it.today)}&limit=10000"
    for _ in range(_LOOKS):
        begun = time.perf_counter()
        items = (await it.api.ask("GET", f"/v1/meters/traffic/query?{asked}"))["items"]
        took.append(time.perf_counter() - begun)
    took.sort()
    note = f"{len(items):,} figures; p95 {took[int(0.95 * _LOOKS)] * 1000:.1f} ms, of {_LOOKS}"
    name = f"{_DAYS} days by day and customer: p50"
    value = took[_LOOKS // 2] * 1000
    return [Figure(name=name, value=value, unit="ms", at_most=100, others=meter.read().others, note=note)]


# --- what goes on beside


async def _while(it: _Running, work: Awaitable[Result]) -> tuple[Result, Answers, float]:
    """What came of it, what pings got meanwhile, and the most memory that the server's children had together."""
    task, latencies, peak = asyncio.ensure_future(work), Latencies(), 0.0
    begun = time.perf_counter()
    while not task.done():
        some = await load.open_loop(it.served.port, it.paths, per_s=PINGS_PER_S, seconds=0.5)
        latencies.taken += some.taken
        latencies.wrong += some.wrong
        peak = max(peak, megabytes(family(it.served.pid)[1:]))
    return await task, latencies.answers(time.perf_counter() - begun), peak


def _pinged(name: str, pinged: Answers, others: float) -> Figure:
    note = f"p50 {pinged.p50_ms:.1f} ms, {pinged.n} pings, {pinged.errors} failed"
    return Figure(name=name, value=pinged.p99_ms, unit="ms", at_most=25, others=others, note=note)


def _size(store: Store) -> int:
    """Of all pages that the file has or will have: its log, which is bounded, holds some of them twice."""
    path = store.folder / USAGE.file
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        n_pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(n_pages * size)


# --- the API


class _Api:
    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self._ask, method, path, body)

    def _ask(self, method: str, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:500]!r}")
        return json.loads(said)


async def _folded(api: _Api, from_at: datetime, to_at: datetime) -> None:
    """Until nothing in that time waits to be folded."""
    path = f"/v1/meters/traffic/query?window=none&from={_rfc(from_at)}&to={_rfc(to_at)}"
    async with asyncio.timeout(_LIMIT_S):
        while datetime.fromisoformat((await api.ask("GET", path))["complete_up_to"]) < to_at:
            await CLOCK.sleep(0.5)


async def _run_job(api: _Api) -> float:
    """How many seconds the daily aggregation took, which must have gone well."""
    async with asyncio.timeout(_LIMIT_S):
        while (job := await _job(api)) is None or job["running"]:  # the job is there when it was first looked for
            await CLOCK.sleep(0.5)
        slot = (await api.ask("POST", f"/v1/jobs/{job['id']}/run"))["slot_at"]
        while (job := await _job(api)) is None or job["running"] or job["last_run"]["slot_at"] != slot:
            await CLOCK.sleep(0.25)
    run = job["last_run"]
    if run["outcome"] != "ok":
        raise RuntimeError(f"the daily aggregation failed: {run['words']}")
    return float(run["duration"])


async def _job(api: _Api) -> Any:
    jobs = (await api.ask("GET", "/v1/jobs"))["items"]
    return next((job for job in jobs if job["kind"] == "daily-usage"), None)


def _rfc(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- who sends


def make_keys(store: Store, seeded: Seeded, n: int) -> list[str]:
    """The server must not run."""
    ground = open_ground(config.load(None, store.environment), clock=CLOCK)

    def work(tx: Tx) -> list[str]:
        scopes = frozenset({Scope.INGEST})
        return [
            make_key(tx, seeded.pid, name=f"sender {i}", scopes=scopes, at=CLOCK.now(), ids=ground.ids).secret
            for i in range(n)
        ]

    try:
        return ground.database.transaction(work)
    finally:
        ground.close()


class _Sender:
    """A process of its own: what it computes takes no time from those who measure."""

    def __init__(self, served: Served, keys: Sequence[str], senders: int = SENDERS) -> None:
        self.senders = senders
        self._port = served.port
        self._keys = cycle(keys)
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    async def send(self, n: int, at: datetime, *, over: timedelta = _DAY, in_order: bool = False) -> float:
        """Seconds, from the first request to the last answer."""
        n_keys = -(-n // (BATCH * _PER_KEY))
        keys = [next(self._keys) for _ in range(n_keys)]
        work = partial(send_all, self._port, keys, n, at, over=over, in_order=in_order, senders=self.senders)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        self._pool.shutdown()


def send_all(
    port: int, keys: Sequence[str], n: int, at: datetime, *, over: timedelta, in_order: bool, senders: int
) -> float:
    """Requests are made before the clock runs, to the last byte."""
    made = enumerate(bodies(n, at, over=over, in_order=in_order))
    requests = [_request(keys[i // _PER_KEY], body) for i, body in made]
    by_sender = [requests[start::senders] for start in range(min(senders, len(requests)))]
    begun = time.perf_counter()
    with ThreadPoolExecutor(senders) as pool:
        accepted = sum(pool.map(partial(_send, port), by_sender))
    seconds = time.perf_counter() - begun
    if accepted != n:
        raise RuntimeError(f"of {n} events {accepted} were accepted")
    return seconds


def bodies(n: int, at: datetime, *, over: timedelta = _DAY, in_order: bool = False) -> Iterator[bytes]:
    """`over`: how long it took until all had happened, from `at` on."""
    draw, span = random.Random(n), over // timedelta(milliseconds=1)
    offsets = [draw.randrange(span) for _ in range(n)]
    if in_order:
        offsets.sort()
    for start in range(0, n, BATCH):
        some = offsets[start : start + BATCH]
        yield json.dumps([_event(draw, at + timedelta(milliseconds=offset)) for offset in some]).encode()


def _event(draw: random.Random, at: datetime) -> dict[str, Any]:
    return {
        "transaction_id": str(uuid.uuid4()),
        "customer_id": f"customer-{draw.randrange(CUSTOMERS)}",
        "timestamp": at.isoformat(),
        "event_type": "api.request",
        "properties": {
            "endpoint": f"GET /v1/things/{draw.randrange(ENDPOINTS)}",
            "bytes": draw.randrange(100_000),
            "ms": f"{draw.randrange(1, 900)}.{draw.randrange(10)}",
            "region": draw.choice(("eu", "us", "ap")),
        },
    }


def _request(key: str, body: bytes) -> bytes:
    head = (
        "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _send(port: int, requests: Sequence[bytes]) -> int:
    """How many were accepted. Answers are looked at as bytes: what the sender computes, the server has not."""
    accepted = 0
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for request in requests:
            connection.sendall(request)
            accepted += _accepted(_answer(connection))
    return accepted


def _answer(connection: socket.socket) -> bytes:
    """Head and body of the one answer that comes."""
    said = bytearray()
    whole = None
    while whole is None or len(said) < whole:
        part = connection.recv(_MOST_READ)
        if not part:
            raise RuntimeError(f"the server closed after {bytes(said[:300])!r}")
        said += part
        if whole is None and (head := said.find(b"\r\n\r\n")) >= 0:
            told = _LENGTH.search(said, 0, head + 2)
            if told is None:
                raise RuntimeError(f"an answer without its length: {bytes(said[:300])!r}")
            whole = head + 4 + int(told[1])
    return bytes(said)


def _accepted(answer: bytes) -> int:
    told = _ACCEPTED.search(answer)
    if told is None or not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"{answer[:600]!r}")
    return int(told[1])


_MOST_READ = 65_536
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_ACCEPTED = re.compile(rb'"accepted": *(\d+)')
