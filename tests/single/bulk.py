"""Requests whose very purpose is much: each with its reason, and a bound of its own in the place of the common one.

What is not named here is held to what any request may cost. Bounds are on the best of some tries; they are what was
seen in this world with twice as much again, and no promise but that it does not grow unseen.
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
_EVENTS = Bound(1.5, 64 * MIB, "up to 2,000 events, 4 MiB and 300,000 values in one body")
_PASSWORD = Bound(0.8, 80 * MIB, "a password is hashed by Argon2, which is to cost 19 MiB and more")
_WHOLE = Bound(3.0, 40 * MIB, "all that there is of a project, a person or a customer")
_DAY = Bound(3.0, 64 * MIB, "a whole day is closed: proved event by event, in a process beside")
_BACK = Bound(1.0, 20 * MIB, "weeks that are over are gone through as if the rule had been there")
_MANY = Bound(1.5, 64 * MIB, "a file of prices, checks or path rules, up to its size and number")
_REPORT = Bound(2.0, 64 * MIB, "a report of up to a year, drawn, or as a file")
_BOARD = Bound(0.6, 20 * MIB, "a board of a dozen figures over 90 days; each panel is asked apart and has its own time")

BULK: tuple[tuple[str, Bound], ...] = (
    (r"POST /v1/events(/columns)?", _EVENTS),
    (r"POST /v1/backfills/{backfill_id}/events", _EVENTS),
    (r"POST /p/{project}/usage/backfills/{backfill}/events", _EVENTS),
    (r"POST /v1/dead-letters/replay", _EVENTS),
    (r"POST /p/{project}/usage/dead-letters", _EVENTS),
    (r"POST /(metronome/v1/ingest|openmeter/api/v1/events|lago/api/v1/events/batch)", _EVENTS),
    (r"POST /segment/v1/.*", _EVENTS),
    (r"POST /orb(/v1)?/ingest", _EVENTS),
    (r"POST /otlp/v1/.*", _EVENTS),
    (r"POST /(sign-in|setup|invite|sign-in/new-password|sign-in/reset)", _PASSWORD),
    (r"POST /account/(delete|profile/password|profile/email|security/.*)", _PASSWORD),
    (r"GET /v1/project/export", _WHOLE),
    (r"GET /p/{project}/settings/export", _WHOLE),
    (r"GET /account/export", _WHOLE),
    (r"GET /v1/customers/{customer_id}/export", _WHOLE),
    (r"GET /p/{project}/usage/customers/{customer}/export", _WHOLE),
    (r"GET /p/{project}/(audit|checks/{check}/events)\.(csv|ndjson)", _WHOLE),
    (r"POST /v1/customers/{customer_id}/erase", _WHOLE),
    (r"POST /p/{project}/usage/customers/{customer}/erase", _WHOLE),
    (r"DELETE /v1/project", _WHOLE),
    (r"POST /v1/usage/runs", _DAY),
    (r"POST /p/{project}/usage/jobs/{day}", _DAY),
    (r"GET /p/{project}/usage/backfills/{backfill}(/preview)?", _DAY),
    (r"POST /p/{project}/usage/backfills/{backfill}", _DAY),
    (r"(GET|POST) /v1/backfills/{backfill_id}/(preview|close|revert)", _DAY),
    (r"POST /orb(/v1)?/events/backfills/{backfill_id}/(close|revert)", _DAY),
    (r"POST /v1/checks/{check_id}/backtest", _BACK),
    (r"(GET|POST) /v1/alert-rules(/{rule_id})?/backtest", _BACK),
    (r"(GET|POST) /p/{project}/usage/alerts/.*", _BACK),
    (r"(GET|POST) /p/{project}/usage/watches/.*", _BACK),
    (r"POST /v1/limits/simulate", _BACK),
    (r"POST /p/{project}/usage/limits", _BACK),
    (r"POST /v1/meters/preview", _BACK),
    (r"POST /p/{project}/usage/meters/.*", _BACK),
    (r"POST /v1/prices/preview", _BACK),
    (r"POST /p/{project}/usage/prices/.*", _BACK),
    (r"POST /v1/prices/imports", _MANY),
    (r"POST /v1/import/healthchecks", _MANY),
    (r"(PUT|POST) /api/monitors(\.yaml)?", _MANY),
    (r"(PATCH|POST) /v1/usage/path-rules(/preview)?", _MANY),
    (r"POST /p/{project}/usage/paths", _MANY),
    (r"GET /v1/usage/customers/{customer_id}/report", _REPORT),
    (r"GET /p/{project}/usage/customers/{customer}/report.*", _REPORT),
    (r"GET /shared/report/{link}(/{form})?", _REPORT),
    (r"GET /p/{project}/usage(/endpoints.*|/apis|/costs|/customers/{customer}|/meters/{meter})?", _BOARD),
)


def bound_of(method: str, template: str) -> Bound:
    """Of a route."""
    return next((bound for route, bound in BULK if re.fullmatch(route, f"{method} {template}")), ANY)
