"""How checks, pings and flips look in their JSON, in each version. Field lists are explicit.

A check that is degraded ran in time, so it is `up` to them; one that is late is in `grace`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from heartfly.api.compat.healthchecks.spec import sent_of
from heartfly.checks.unjudged import Left
from heartfly.core.schedule import Kind
from heartfly.core.words import PingKind, Status
from heartfly.public.badge_keys import BadgeKey
from heartfly.public.badges import CHECK

GOOD = frozenset({Status.UP.value, Status.DEGRADED.value})
_KIND = {PingKind.IGNORED.value: "ign", PingKind.PROGRESS.value: "log"}
_US = 1_000_000
_CODE = 16
"""So long is what stands for a badge of a Heartfly in its address, and 8 that of a Healthchecks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the form of a check takes from elsewhere.

    By the check's own number: `channels`, by public id, `started`, when its newest open run began, and `badges`, the
    addresses that its badge had elsewhere. `key`: of badges that are made here. `left`: of those that maintenance
    leaves unjudged.
    """

    base_url: str
    version: int
    now: datetime
    with_secret: bool
    channels: Mapping[int, Sequence[str]] = field(default_factory=dict)
    started: Mapping[int, datetime] = field(default_factory=dict)
    badges: Mapping[int, str] = field(default_factory=dict)
    key: BadgeKey | None = None
    left: Mapping[int, Left] = field(default_factory=dict)


def unique_key(ping_uuid: str) -> str:
    """By which a key that may only read knows a check: what it says of the secret tells nobody the secret."""
    return hashlib.sha1(ping_uuid.replace("-", "")[:16].encode(), usedforsecurity=False).hexdigest()


def status_of(row: Any, now: datetime, left: Left | None) -> str:
    """Without `started`, which only version 1 has among these. `left`: by maintenance, None: it is judged."""
    if row.status not in GOOD:
        return str(row.status)
    expected = _expected(row, left)
    return "grace" if expected is not None and expected <= now else "up"


def _expected(row: Any, left: Left | None) -> datetime | None:
    at: datetime | None = row.expected_at if left is None else left.expected_at
    return at


def check_form(row: Any, around: Around) -> dict[str, Any]:
    started, left = row.n_open_runs > 0, around.left.get(row.id)
    form: dict[str, Any] = {
        "name": row.name,
        "slug": row.slug,
        "tags": " ".join(row.tags),
        "desc": row.description,
        "grace": row.grace_s,
        "n_pings": row.n_pings,
        "status": "started" if started and around.version == 1 else status_of(row, around.now, left),
        "started": started,
        "last_ping": _instant(None if row.status == Status.NEW else row.last_end_at),
        "next_ping": _instant(_next_ping(row, around.started.get(row.id), left)),
        "manual_resume": row.sticky,
        "methods": row.methods,
        **_filters(row),
        "badge_url": _badge_url(row, around),
    }
    if row.last_duration_us:
        form["last_duration"] = row.last_duration_us // _US
    form |= _secrets(row, around) if around.with_secret else {"unique_key": unique_key(row.ping_uuid)}
    if row.kind == Kind.PERIOD:
        return form | {"timeout": row.period_s}
    return form | {"schedule": row.expression, "tz": row.zone}


def _secrets(row: Any, around: Around) -> dict[str, Any]:
    update = f"{around.base_url}/api/v{around.version}/checks/{row.ping_uuid}"
    return {
        "uuid": row.ping_uuid,
        "ping_url": f"{around.base_url}/ping/{row.ping_uuid}",
        "update_url": update,
        "pause_url": f"{update}/pause",
        "resume_url": f"{update}/resume",
        "channels": ",".join(sorted(around.channels.get(row.id, ()))),
    }


def _filters(row: Any) -> dict[str, Any]:
    sent = sent_of(row)
    by_mail = sent["filter_subject"]
    return {
        "subject": sent["success_kw"] if by_mail else "",
        "subject_fail": sent["failure_kw"] if by_mail else "",
        **{name: sent[name] for name in ("start_kw", "success_kw", "failure_kw")},
        **{name: sent[name] for name in ("filter_subject", "filter_body", "filter_http_body", "filter_default_fail")},
    }


def _next_ping(row: Any, started_at: datetime | None, left: Left | None) -> datetime | None:
    """When its grace begins: the expected time, or the start of a run under way if that is earlier."""
    expected = _expected(row, left) if row.status in GOOD else None
    if started_at is None or row.status == Status.DOWN:
        return expected
    return started_at if expected is None else min(expected, started_at)


def _badge_url(row: Any, around: Around) -> str:
    """Two states. Empty: the project has no badges, until somebody makes its badge key."""
    if (address := around.badges.get(row.id)) is not None:
        return badge_url(around.base_url, address, states=2, kind="svg")
    if around.key is None:
        return ""
    return f"{around.base_url}/badge/{around.key.half}/2/{around.key.code(CHECK, row.uuid)}.svg"


def badge_url(base_url: str, address: str, *, states: int, kind: str) -> str:
    """Of an address as it is stored (see `badges.py`)."""
    head, _, rest = address.partition("/")
    if head == "b":
        return f"{base_url}/b/{states}/{rest}.{kind}"
    sig, slash, tag = rest.partition("/")
    if len(sig) == _CODE:
        return f"{base_url}/badge/{head}/{states}/{sig}.{kind}"
    mark = "-2" if states == 2 else ""
    return f"{base_url}/badge/{head}/{sig}{mark}{slash}{tag}.{kind}"


def ping_form(row: Any, *, check_url: str) -> dict[str, Any]:
    """`check_url`: the update URL of its check."""
    form: dict[str, Any] = {
        "type": _KIND.get(row.kind, row.kind),
        "date": row.received_at.isoformat(timespec="microseconds"),
        "n": row.n,
        "scheme": row.scheme,
        "remote_addr": row.remote or None,
        "method": row.method,
        "ua": row.agent,
        "rid": row.rid,
        "body_url": f"{check_url}/pings/{row.n}/body" if row.has_body else None,
    }
    if row.kind in {PingKind.SUCCESS, PingKind.FAIL} and row.duration_us is not None:
        form["duration"] = round(row.duration_us / _US, 2)
    return form


def flip_form(row: Any) -> dict[str, Any]:
    return {"timestamp": _instant(row.at), "up": int(row.to_status in GOOD)}


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
