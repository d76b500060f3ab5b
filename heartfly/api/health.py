"""`/healthz`: the process answers. `/readyz`: it also hears, writes and judges, so it may be sent traffic.

Raw ASGI, like the ping door: a probe must not depend on the framework, nor on a key. Says why not,
in words, and never anything that only the owner may know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from heartfly.vitals.canary import Pulse
from heartfly.vitals.readiness import Facts, reasons

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Health:
    def __init__(self, facts: Callable[[], Facts], *, pulse: Callable[[], Pulse] = Pulse) -> None:
        self._facts = facts
        self._pulse = pulse

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, {"status": "method not allowed"}, with_body=True)
            return
        with_body = scope["method"] == "GET"
        if scope["path"] == "/healthz":
            await _answer(send, 200, {"status": "ok"}, with_body=with_body)
            return
        facts = self._facts()
        why_not = reasons(facts)
        lag = None if facts.watermark is None else max(0.0, (facts.now - facts.watermark).total_seconds())
        told = {
            "status": "not ready" if why_not else "ready",
            "reasons": why_not,
            "watermark_lag_s": lag,
            "spool": _lying(facts),
            "cut_off_s": _age(facts.cut_off_since, facts.now),
            **_vital(self._pulse(), facts.now),
        }
        await _answer(send, 503 if why_not else 200, told, with_body=with_body)


def _lying(facts: Facts) -> dict[str, Any] | None:
    """Pings that were answered and wait for the database."""
    if facts.spool is None:
        return None
    return {"pings": facts.spool.n, "oldest_s": _age(facts.spool.oldest_at, facts.now), "bytes": facts.spool.n_bytes}


def _age(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max(0.0, (now - since).total_seconds())


def _vital(pulse: Pulse, now: datetime) -> dict[str, Any]:
    """For who watches us from elsewhere (`heartfly watch`): whether an alarm still comes out at the other end."""
    since = None if pulse.outbox is None else pulse.outbox.in_order
    told = pulse.told
    return {
        "undelivered_s": _age(since, now),
        "canary": None if told is None else {
            "at": told.at,
            "age_s": _age(told.at, now),
            "latency_s": told.latency.total_seconds(),
        },
    }  # fmt: skip


async def _answer(send: Send, status: int, told: dict[str, Any], *, with_body: bool) -> None:
    body = msgspec.json.encode(told)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if status == 503:
        headers.append((b"retry-after", b"5"))
    if status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body if with_body else b""})
