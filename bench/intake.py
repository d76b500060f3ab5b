"""Events in without a network between: what one costs in CPU, whoever else computes, and where its bytes lie.

The application is called in this process as its server calls it, by senders that wait for each answer. Time is this
process's own CPU, all threads of it; the senders' part (a body handed over, an answer parsed) is in it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from itertools import cycle
from typing import Any

from bench.load import CLOCK
from bench.procstat import cpu_s
from bench.report import Figure
from bench.seed import seed
from bench.served import Store, Stores
from bench.usage import BATCH, SENDERS, bodies, make_keys
from heartfly import config, logs
from heartfly.app import App
from heartfly.db.parts import USAGE
from heartfly.ground import open_ground

_PER_KEY = 500
_WARM = 20
_DAY = timedelta(days=1)


async def measure(made: Stores, *, n_events: int, in_order: bool = False) -> list[Figure]:
    """`in_order`: as usage's."""
    store = made.fresh()
    seeded = seed(store, 10)
    keys = make_keys(store, seeded, n_events // (BATCH * _PER_KEY) + 2)
    today = CLOCK.now().replace(hour=0, minute=0, second=0, microsecond=0)
    warm = list(bodies(_WARM * BATCH, today - 2 * _DAY))
    sent = list(bodies(n_events, today - _DAY, in_order=in_order))
    ground = open_ground(config.load(None, store.environment), clock=CLOCK)
    try:
        with (store.folder / "intake.log").open("w") as log:
            logs.configure(ground.settings.log, log, now=CLOCK.now)
            app = App(ground)
            await app.start()
            try:
                await app.front.load()
                await _send(app, keys, warm)
                size = 0 if store.url else _size(store)
                server = [] if store.pid is None else [store.pid]
                theirs, cpu, begun = cpu_s(server), time.process_time(), time.perf_counter()
                await _send(app, keys, sent)
                cpu, took = time.process_time() - cpu, time.perf_counter() - begun
                theirs = cpu_s(server) - theirs
                n_batches = ground.usage.n_batches
            finally:
                await app.finish()
    finally:
        ground.close()
        logging.getLogger().handlers[:] = []
    note = f"{n_events:,} events in batches of {BATCH}, {SENDERS} senders, {n_batches:,} commits"
    figures = [
        Figure(name="CPU of an event, no network", value=1e6 * cpu / n_events, unit="us", at_most=45, note=note),
        Figure(name="events, no network", value=n_events / took, unit="/s", note="by the clock"),
    ]
    if store.url:
        name = "CPU of an event in the database server"
        return [*figures, Figure(name=name, value=1e6 * theirs / n_events, unit="us")]
    return figures + _bytes(store, n_events, size)


async def _send(app: App, keys: Sequence[str], sent: Sequence[bytes]) -> None:
    key = cycle(keys)
    requests = [(next(key), body) for body in sent]
    accepted = await asyncio.gather(*(_sender(app, requests[start::SENDERS]) for start in range(SENDERS)))
    if sum(accepted) != len(sent) * BATCH:
        raise RuntimeError(f"of {len(sent) * BATCH} events {sum(accepted)} were accepted")


async def _sender(app: App, requests: Sequence[tuple[str, bytes]]) -> int:
    accepted = 0
    for key, body in requests:
        status, said = await _post(app, key, body)
        if status != 200:
            raise RuntimeError(f"{status}: {said[:300]!r}")
        accepted += json.loads(said)["accepted"]
    return accepted


async def _post(app: App, key: str, body: bytes) -> tuple[int, bytes]:
    given = {"authorization": f"Bearer {key}", "content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/events",
        "raw_path": b"/v1/events",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), *((name.encode(), value.encode()) for name, value in given.items())],
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 40000),
        "extensions": {},
    }
    head: list[int] = []
    said: list[bytes] = []
    parts = [body]

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            head.append(message["status"])
        else:
            said.append(message.get("body", b""))

    await app.front(scope, receive, send)
    return head[0], b"".join(said)


def _size(store: Store) -> int:
    return sum(_trees(store).values())


def _trees(store: Store) -> dict[str, int]:
    """How many bytes the pages of each table and index are."""
    path = store.folder / USAGE.file
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall())


def _bytes(store: Store, n: int, before: int) -> list[Figure]:
    """In all, and by table and index. What was there before is a fiftieth or less, and counted with the trees."""
    trees = _trees(store)
    whole = Figure(
        name="disk of an event", value=(sum(trees.values()) - before) / n, unit="bytes", at_most=250, note="no meters"
    )
    n_all = n + _WARM * BATCH
    found = sorted(((size / n_all, name) for name, size in trees.items()), reverse=True)
    return [whole, *(Figure(name=f"of that {name}", value=size, unit="bytes") for size, name in found if size >= 1)]
