"""Requests whose very purpose is much: each with its reason, and a bound of its own in the place of the common one.

What is not named here is held to what any request may cost. Bounds are on the best of some tries, in a small world;
they leave room for a crowded machine, and are no promise but that none of these grows by itself unseen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bound:
    cpu_s: float
    memory: int
    why: str


ANY = Bound(0.2, 20 * MIB, "any single request")
_EVENTS = Bound(1.0, 64 * MIB, "up to 2,000 events, 4 MiB and 300,000 values in one body")
_PASSWORD = Bound(0.4, 48 * MIB, "a password is hashed by Argon2, which is to cost 19 MiB and more")
_WHOLE = Bound(3.0, 40 * MIB, "all that there is of a project, thousands of rows of it")
_DAY = Bound(3.0, 64 * MIB, "a whole day is closed: proved event by event, in a process beside")
_BACK = Bound(1.5, 20 * MIB, "30 days are gone through, minute by minute, as if the rule had been there")
_MANY = Bound(2.0, 40 * MIB, "thousands of prices in a file of up to 16 MiB")
_PDF = Bound(1.5, 64 * MIB, "a report of up to a year, drawn and set page by page")
_BOARD = Bound(0.6, 20 * MIB, "a board of a dozen figures over 90 days, each asked apart; two dozen statements")
_LIST = Bound(0.5, 20 * MIB, "twenty budgets, each with its parts and its last days: some two hundred statements")

BULK: tuple[tuple[str, Bound], ...] = (
    (r"POST /v1/events(/columns)?", _EVENTS),
    (r"POST /v1/backfills/{backfill_id}/events", _EVENTS),
    (r"POST /p/{project}/usage/backfills/{backfill}/events", _EVENTS),
    (r"POST /(metronome/v1/ingest|openmeter/api/v1/events|lago/api/v1/events/batch)", _EVENTS),
    (r"POST /segment/v1/.*", _EVENTS),
    (r"POST /orb(/v1)?/ingest", _EVENTS),
    (r"POST /otlp/v1/.*", _EVENTS),
    (r"POST /(sign-in|setup|invite|sign-in/new-password)", _PASSWORD),
    (r"POST /account/(delete|profile/password|profile/email|security/(2fa|passkeys).*)", _PASSWORD),
    (r"GET (/v1/project/export|/p/{project}/settings/export)", _WHOLE),
    (r"POST (/v1/usage/runs|/p/{project}/usage/jobs/{day})", _DAY),
    (r"(GET|POST) /v1/alert-rules(/{rule_id})?/backtest", _BACK),
    (r"GET /p/{project}/usage/alerts/{rule}", _BACK),
    (r"POST /p/{project}/usage/alerts/(new|{rule}/edit)", _BACK),
    (r"POST /v1/prices/imports", _MANY),
    (r"GET /v1/usage/customers/{customer_id}/report", _PDF),
    (r"GET /p/{project}/usage/customers/{customer}/report\.pdf", _PDF),
    (r"GET /shared/report/{link}/{form}", _PDF),
    (r"GET /p/{project}/usage", _BOARD),
    (r"GET /p/{project}/usage/budgets", _LIST),
)


def bound_of(method: str, template: str) -> Bound:
    """Of a route."""
    return next((bound for route, bound in BULK if re.fullmatch(route, f"{method} {template}")), ANY)
