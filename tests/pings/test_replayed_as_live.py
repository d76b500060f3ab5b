"""What lay in a spool leaves in the database what the same pings leave that came in time: rows, verdicts, alerts.

Each check has a twin with the same rules. One hears its pings as they come, each applied by itself; the other's lie in
a spool for a while and are replayed. By random, in sequences that a seed gives again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from heartfly.checks.commands import pause
from heartfly.clock import SystemClock
from heartfly.core.bounds import Bounds
from heartfly.core.filters import Filters
from heartfly.core.gate_text import gate_of_text
from heartfly.core.tolerance import Tolerance
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, checks, flips, incidents, notifications, ping_bodies, pings, run_metrics, runs
from heartfly.errors import OverloadedError
from heartfly.notify.commands import create_channel
from heartfly.pings.apply import PingApplier
from heartfly.pings.known import KnownAddresses
from heartfly.pings.rate import RateLimiter
from heartfly.pings.replay import Replay
from heartfly.pings.request import ByUuid, PingRequest
from heartfly.pings.spool import Spool
from tests.world import KEEP, SEALER, TEST, World, make_world

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

CLOCK = SystemClock()
T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NODE = 77
RIDS = [f"0f4e2f3a-7a3c-4a53-9f5c-2f6a3f1f000{n}" for n in range(3)]


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


RULES: Sequence[dict[str, Any]] = (
    {},
    {"every": 5 * MINUTE, "grace": MINUTE},
    {"max_run": MINUTE},
    {"kind": "cron", "expression": "*/7 * * * *", "zone": "Europe/Berlin"},
    {"methods": "POST"},
    {"filters": _text(Filters(start=("START",), success=("ok",), failure=("FAILURE",)))},
    {"filters": _text(Filters(success=("ok",), default_fail=True))},
    {"tolerance": _text(Tolerance(failures=3, recover=2))},
    {"tolerance": _text(Tolerance(share=50, last=6))},
    {"bounds": _text(Bounds(min_run=20 * SECOND, apart=15 * SECOND))},
    {"bounds": _text(Bounds(reports=2, start_within=MINUTE))},
    {"gates": _text([gate_of_text("rows > 3 warn", field="gate")])},
    {"gates": _text([gate_of_text("rows within 40% of median(4 weeks)", field="gate")])},
    {"gates": _text([gate_of_text("duration < 1m", field="gate")]), "sticky": True},
)
PAUSED = (0, 13)
"""Of these the first half of what comes is followed by a pause."""


def stream(chance: random.Random, n: int) -> Iterator[tuple[int, PingRequest]]:
    """So many pings, each to the check with those rules; its target is anybody's as yet."""
    at = T0
    for seq in range(1, n + 1):
        at += chance.choice((timedelta(0), timedelta(milliseconds=7), SECOND, 10 * SECOND))
        kind = chance.choice((*(PingKind.START, PingKind.SUCCESS) * 3, *PingKind))
        body = chance.choice((b"", b"", b"ok\nrows=5", b"rows=2", b"FAILURE", b"START", b"ok \\ \"{'\x1f", b"\xff\x00"))
        happened = chance.random() < 0.05
        yield (
            chance.randrange(len(RULES)),
            PingRequest(
                target=ByUuid(""),
                kind=kind,
                received_at=at,
                seq=seq,
                rid=chance.choice((None, *RIDS, _any_rid(chance))),
                exit_status=chance.choice((None, None, None, 0, 3)),
                method=chance.choice(("GET", "POST", "POST")),
                body=body,
                body_size=len(body),
                host=chance.choice(("", "", "east", "west")),
                remote="2001:db8::1",
                agent=chance.choice(("curl/8", 'a "quoted\\ one"', "")),
                happened_at=at - chance.randrange(600) * SECOND if happened else None,
                took=chance.choice((None, None, None, 42 * SECOND)),
            ),
        )


def _any_rid(chance: random.Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


@dataclass
class Twins:
    """`live[i]` and `kept[i]` have RULES[i]."""

    world: World
    spool: Spool
    replay: Replay
    live: list[Any] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)

    async def make(self) -> None:
        for side, made in (("live", self.live), ("kept", self.kept)):
            for place, rules in enumerate(RULES):
                made.append(await self.world.check(T0, name=f"{side}-{place}", **rules))
        await self.world.db.write(
            lambda tx: create_channel(
                tx, self.world.project.pid, kind="webhook", name="hook", config={"url": "https://a.example/hook"},
                at=T0, ids=self.world.ids, sealer=SEALER, assign="all",
            )
        )  # fmt: skip

    async def hear(self, heard: Sequence[tuple[Any, PingRequest]]) -> None:
        """Each by itself, as if it were the only one under way."""
        own = [_to(check, request) for check, request in heard]
        await asyncio.to_thread(
            self.world.db.transaction, lambda tx: [self.world.applier.apply(tx, [request]) for request in own]
        )

    async def keep(self, kept: Sequence[tuple[Any, PingRequest]]) -> None:
        await asyncio.gather(*(self.spool.add(_to(check, request), None) for check, request in kept))

    async def bring_back(self) -> None:
        async with asyncio.timeout(180):
            while self.spool.backlog is not None:
                with contextlib.suppress(OverloadedError):  # a crowded machine
                    await self.replay.drain(asyncio.Event())

    async def pause(self, check: Any, at: datetime) -> None:
        await self.world.db.write(lambda tx: pause(tx, check.pid, check.uuid, at=at, ids=self.world.ids, actor=TEST))

    async def found(self, check: Any) -> dict[str, list[dict[str, Any]]]:
        """All that the database holds about a check, in words that do not depend on which of two twins it is."""
        its = await self._rows(runs, check, runs.c.id)
        numbers = {row["id"]: place for place, row in enumerate(its)}
        opened = await self._about(incidents, incidents.c.source_id == check.id, incidents.c.id)
        numbers |= {row["id"]: place for place, row in enumerate(opened)}
        told = await self._about(alerts, alerts.c.source == f"check:{check.id}", alerts.c.id)
        sent = await self._about(notifications, notifications.c.source == f"check:{check.id}", notifications.c.alert_id)
        found = {
            "check": await self._about(checks, checks.c.id == check.id, checks.c.id),
            "pings": await self._rows(pings, check, pings.c.n),
            "bodies": await self._rows(ping_bodies, check, ping_bodies.c.n),
            "metrics": await self._rows(run_metrics, check, run_metrics.c.run_id, run_metrics.c.name),
            "runs": its,
            "flips": await self._rows(flips, check, flips.c.flip_no),
            "incidents": opened,
            "alerts": told,
            "notifications": sent,
        }
        return {
            name: [
                {column: _named(value, numbers) if column in _NUMBERED else value
                 for column, value in row.items() if column not in _OWN}
                for row in rows
            ]
            for name, rows in found.items()
        }  # fmt: skip

    async def _rows(self, table: sa.Table, check: Any, *order: Any) -> list[dict[str, Any]]:
        return await self._about(table, table.c.check_id == check.id, *order)

    async def _about(self, table: sa.Table, which: Any, *order: Any) -> list[dict[str, Any]]:
        async with self.world.db.read() as read:
            query = sa.select(table).where(table.c.pid == self.world.project.pid, which).order_by(*order)
            return [dict(row) for row in (await read.execute(query)).mappings()]


def _to(check: Any, request: PingRequest) -> PingRequest:
    host = request.host and f"{check.name}-{request.host}"  # what a host explains is not the same for both
    return msgspec.structs.replace(request, target=ByUuid(check.ping_uuid), host=host)


def _named(value: Any, numbers: dict[int, int]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\d{9,}", lambda found: f"#{numbers.get(int(found[0]), found[0])}", value)
    return numbers.get(value, value)


_NUMBERED = {"run_id", "incident_id", "memory"}
_OWN = {
    *("id", "check_id", "uuid", "ping_uuid", "name", "slug", "slug_key", "heard_host"),
    *("source", "source_id", "source_uuid", "source_name", "key", "alert_id", "delivery_id", "alert_key"),
    # When it was decided and told is another time: that is all that a spool may change.
    *("decided_at", "created_at", "payload"),
}
"""Columns that differ between twins."""


def differing(expected: Sequence[Any], found: Sequence[Any]) -> list[Any]:
    """What does not agree, as (row, column, expected, found)."""
    columns = [
        (place, name, value, other[name])
        for place, (row, other) in enumerate(zip(expected, found, strict=False))
        for name, value in row.items()
        if value != other[name]
    ]
    return columns if len(expected) == len(found) else [*columns, (len(expected), len(found))]


@pytest.fixture
async def twins(postgres_url: str, tmp_path: Path) -> AsyncIterator[Twins]:
    database = Database(url=postgres_url, data_dir=tmp_path, clock=CLOCK, node_id=NODE)
    database.start()
    ids = IdSource(1)
    world = await make_world(database, ids, T0)
    world.applier = PingApplier(ids=ids, node_id=NODE, rate=RateLimiter(per_minute=10**6), keep=KEEP)
    spool = Spool(tmp_path, node_id=NODE, max_bytes=10**8, known=KnownAddresses(most=100))
    await spool.open(instance=secrets.token_hex(4))
    found = Twins(world, spool, Replay(spool, database, world.applier, CLOCK))
    await found.make()
    yield found
    await spool.close()
    await database.stop()


@pytest.mark.parametrize("seed", range(2))
async def test_what_lay_in_a_spool_leaves_what_it_would_have_left_in_time(twins: Twins, seed: int) -> None:
    sent = list(stream(random.Random(seed), 300))
    before, meanwhile, after = sent[:60], sent[60:260], sent[260:]
    both = [*zip(twins.live, twins.kept, strict=True)]
    await twins.hear([(check, request) for place, request in before for check in both[place]])
    for place in PAUSED:
        for check in both[place]:
            await twins.pause(check, before[-1][1].received_at)

    await twins.hear([(twins.live[place], request) for place, request in meanwhile])
    await twins.keep([(twins.kept[place], request) for place, request in meanwhile])
    await twins.bring_back()
    await twins.hear([(check, request) for place, request in after for check in both[place]])

    for place, (live, kept) in enumerate(both):
        expected, found = await twins.found(live), await twins.found(kept)
        for name, rows in expected.items():
            assert [] == differing(rows, found[name]), (place, name)
    flipped = {flip["to_status"] for check in twins.kept for flip in (await twins.found(check))["flips"]}
    assert {"up", "down", "degraded", "paused"} == flipped
