"""Whether the process answers, and whether it may be sent traffic. Pure facts in, reasons out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from heartfly.api.health import Facts, Health, reasons
from heartfly.errors import StoreError

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
SOUND = Facts(now=NOW, last_beat_at=NOW, watermark=NOW, broken=None)
TICK = timedelta(microseconds=1)


async def ask(facts: Facts, path: str, method: str = "GET") -> tuple[int, dict[bytes, bytes], Any]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await Health(lambda: facts)({"method": method, "path": path}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"]) if sent[1]["body"] else None


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (SOUND, None),
        (replace(SOUND, last_beat_at=NOW - timedelta(seconds=5)), None),
        (replace(SOUND, last_beat_at=NOW - timedelta(seconds=5) - TICK), "the last write was 5 s ago"),
        (replace(SOUND, watermark=NOW - timedelta(seconds=10) + TICK), None),
        (replace(SOUND, watermark=NOW - timedelta(seconds=10)), "silence is judged only up to 10 s ago"),
        (replace(SOUND, watermark=NOW + timedelta(seconds=1)), None),
        (replace(SOUND, broken=StoreError("disk /dev/sda1 failed")), "the database cannot be written any more"),
        (replace(SOUND, last_beat_at=None, watermark=None), "nothing has been written since the start"),
        (replace(SOUND, stopping=True), "Heartfly is stopping"),
    ],
)
def test_each_reason_is_told(facts: Facts, reason: str | None) -> None:
    assert ([] if reason is None else [reason]) == reasons(facts)


@pytest.mark.anyio
async def test_alive_is_not_ready() -> None:
    facts = replace(SOUND, broken=StoreError("secret detail"), last_beat_at=NOW - timedelta(minutes=1))

    alive, _, told = await ask(facts, "/healthz")
    ready, headers, why = await ask(facts, "/readyz")

    assert (200, {"status": "ok"}) == (alive, told)
    assert (503, b"5") == (ready, headers[b"retry-after"])
    assert ["the database cannot be written any more", "the last write was 60 s ago"] == why["reasons"]
    assert "secret" not in str(why)


@pytest.mark.anyio
async def test_ready_says_how_far_it_has_judged() -> None:
    status, headers, told = await ask(replace(SOUND, watermark=NOW - timedelta(seconds=2)), "/readyz")

    assert (200, {"status": "ready", "reasons": [], "watermark_lag_s": 2.0}) == (status, told)
    assert b"no-store" == headers[b"cache-control"]


@pytest.mark.anyio
async def test_only_questions_are_answered() -> None:
    head, headers, nothing = await ask(SOUND, "/readyz", "HEAD")
    post, refused, _ = await ask(SOUND, "/healthz", "POST")

    assert (200, None) == (head, nothing)
    assert int(headers[b"content-length"]) > 0
    assert (405, b"GET, HEAD") == (post, refused[b"allow"])
