"""Whether the process answers, and whether it may be sent traffic. Pure facts in, reasons out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from heartfly.api.front import Front
from heartfly.api.health import Health
from heartfly.db.migrate import HEAD
from heartfly.db.room import Room
from heartfly.errors import StoreError
from heartfly.monitor.blind import Hearing
from heartfly.notify.age import Undelivered
from heartfly.pings.spool import Backlog
from heartfly.vitals.canary import Pulse, Told
from heartfly.vitals.readiness import SKEW_WITHIN, Facts, Reason, reasons

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
NOT_YET: dict[str, Any] = {"undelivered_s": None, "canary": None, "spool": None, "cut_off_s": None}
LYING = Backlog(1_234, NOW - timedelta(seconds=12), 56_000)
SOUND = Facts(now=NOW, last_beat_at=NOW, watermark=NOW, broken=None)
TICK = timedelta(microseconds=1)
SILENT = Pulse()
LITTLE = Room(free=99_000_000, total=100_000_000_000)


async def ask(
    facts: Facts, path: str, method: str = "GET", *, pulse: Pulse = SILENT
) -> tuple[int, dict[bytes, bytes], Any]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await Health(lambda: facts, pulse=lambda: pulse)({"method": method, "path": path}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"]) if sent[1]["body"] else None


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (SOUND, None),
        (replace(SOUND, last_beat_at=NOW - timedelta(seconds=5)), None),
        (
            replace(SOUND, last_beat_at=NOW - timedelta(seconds=5) - TICK),
            Reason("beat_late", "the last write was 5 s ago"),
        ),
        (replace(SOUND, watermark=NOW - timedelta(seconds=15) + TICK), None),
        (
            replace(SOUND, watermark=NOW - timedelta(seconds=15)),
            Reason("watermark_late", "silence is judged only up to 15 s ago"),
        ),
        (replace(SOUND, watermark=NOW + timedelta(seconds=1)), None),
        (
            replace(SOUND, broken=StoreError("disk /dev/sda1 failed")),
            Reason("database_broken", "the database cannot be trusted any more: Heartfly ends"),
        ),
        (
            replace(SOUND, last_beat_at=None, watermark=None),
            Reason("not_started", "nothing has been written since the start"),
        ),
        (replace(SOUND, stopping=True), Reason("stopping", "Heartfly is stopping")),
        (replace(SOUND, refused_s=5.0), None),
        (
            replace(SOUND, refused_s=4.9),
            Reason("writes_refused", "a write was refused 4.9 s ago: pings may hear 503"),
        ),
        (
            replace(SOUND, refused_s=4.9, spool=LYING),
            Reason("writes_refused", "a write was refused 4.9 s ago: pings go to this node's spool"),
        ),
        (replace(SOUND, spool=LYING), None),
        (replace(SOUND, stuck_s=5.0), None),
        (replace(SOUND, stuck_s=5.1), Reason("writer_stuck", "the writer has been at one batch for 5 s")),
        (replace(SOUND, room=LITTLE), None),
        (replace(SOUND, room=LITTLE, is_below_floor=True), Reason("disk_full", "the disk has 99 MB left")),
        (replace(SOUND, schema=HEAD), None),
        (replace(SOUND, schema="9999"), None),  # somebody upgrades the nodes one by one
        (replace(SOUND, schema="0001"), Reason("schema_old", f"the schema is 0001, older than {HEAD}")),
    ],
)
def test_each_reason_is_told(facts: Facts, reason: Reason | None) -> None:
    assert ([] if reason is None else [reason]) == reasons(facts)


def test_while_a_dead_node_is_waited_for_the_others_are_ready() -> None:
    """It is taken for dead by the first beat after its time, whatever the clocks of two nodes may differ by: until
    then nobody judges past it, and a balancer that took all others out for that would have nobody left.
    """
    hearing = Hearing()
    longest = hearing.fence_after + hearing.beat + 2 * SKEW_WITHIN

    assert [] == reasons(replace(SOUND, watermark=NOW - longest + TICK))


@pytest.mark.anyio
async def test_alive_is_not_ready() -> None:
    facts = replace(SOUND, broken=StoreError("secret detail"), last_beat_at=NOW - timedelta(minutes=1))

    alive, _, told = await ask(facts, "/healthz")
    ready, headers, why = await ask(facts, "/readyz")

    assert (200, {"status": "ok"}) == (alive, told)
    assert (503, b"5") == (ready, headers[b"retry-after"])
    detail = "the database cannot be trusted any more: Heartfly ends"
    assert {"reason": "database_broken", "detail": detail} == why["reasons"][0]
    assert ["database_broken", "beat_late"] == [each["reason"] for each in why["reasons"]]
    assert "secret" not in str(why)


@pytest.mark.anyio
async def test_ready_says_how_far_it_has_judged() -> None:
    status, headers, told = await ask(replace(SOUND, watermark=NOW - timedelta(seconds=2)), "/readyz")

    assert (200, {"status": "ready", "reasons": [], "watermark_lag_s": 2.0, **NOT_YET}) == (status, told)
    assert b"no-store" == headers[b"cache-control"]


@pytest.mark.anyio
async def test_who_is_cut_off_says_so_and_is_ready_all_the_same() -> None:
    """A balancer that goes by it would turn away who does reach us."""
    status, _, told = await ask(replace(SOUND, cut_off_since=NOW - timedelta(seconds=90)), "/readyz")

    assert (200, "ready", 90.0) == (status, told["status"], told["cut_off_s"])


@pytest.mark.anyio
async def test_only_questions_are_answered() -> None:
    head, headers, nothing = await ask(SOUND, "/readyz", "HEAD")
    post, refused, _ = await ask(SOUND, "/healthz", "POST")

    assert (200, None) == (head, nothing)
    assert int(headers[b"content-length"]) > 0
    assert (405, b"GET, HEAD") == (post, refused[b"allow"])


@pytest.mark.anyio
async def test_who_watches_from_elsewhere_is_told_what_waits_and_what_the_canary_told() -> None:
    pulse = Pulse(
        Told(NOW - timedelta(minutes=5), timedelta(milliseconds=180)), Undelivered(in_order=NOW - timedelta(seconds=3))
    )

    _, _, told = await ask(SOUND, "/readyz", pulse=pulse)

    assert 3.0 == told["undelivered_s"]
    assert {"at": "2026-03-02T09:55:00Z", "age_s": 300.0, "latency_s": 0.18} == told["canary"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "status"),
    [("/healthz", 200), ("/readyz", 200), ("/ping/k/backup", 503), ("/v1/checks", 503), ("/p/main/checks", 503)],
)
async def test_a_node_that_does_not_serve_answers_for_its_health_only(path: str, status: int) -> None:
    answered: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        answered.append(message)

    async def nobody(*_: object) -> None:
        raise AssertionError(path)

    front = Front(
        cast("Any", None), ping=cast("Any", nobody), health=Health(lambda: SOUND, pulse=lambda: SILENT),
        metrics=cast("Any", nobody), pages=cast("Any", nobody), page_paths=frozenset({"p"}), serves=False,
    )  # fmt: skip
    await front({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}, receive, send)

    assert status == answered[0]["status"]
    assert (b"retry-after" in dict(answered[0]["headers"])) == (status == 503)


@pytest.mark.anyio
async def test_what_lies_in_the_spool_is_told_however_the_node_does() -> None:
    status, _, said = await ask(replace(SOUND, spool=LYING), "/readyz")

    assert (200, {"pings": 1_234, "oldest_s": 12.0, "bytes": 56_000}) == (status, said["spool"])
