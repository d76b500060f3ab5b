"""A silence as fields of a form, and back; what one may be is decided in notify/peace_commands.py.

Times are typed in the zone that the page names, to the minute, as the browser's own field for them has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from heartfly.core.silence import Scope
from heartfly.errors import InvalidValueError
from heartfly.notify.peace_commands import Asked
from heartfly.web.check_form import UNITS, tags_of
from heartfly.web.request import Form

FIELDS = (
    "kind", "scope", "tags", "effect", "below", "note", "when", "from", "to", "cron", "zone", "lasts", "lasts_unit",
    "night_from", "night_to", "days",
)  # fmt: skip
LABELS = {
    "targets": "What it covers", "from": "From", "to": "To", "cron": "Begins", "zone": "Time zone", "lasts": "Lasts",
    "below": "Let through", "note": "Note", "effect": "Effect", "scope": "What it covers", "kind": "Kind",
    "night_from": "From", "night_to": "To",
}  # fmt: skip
DAYS = {"*": "every day", "1-5": "from Monday to Friday", "6,0": "on Saturday and Sunday"}
_MINUTES_A_DAY = 1440
_NIGHT = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* (\S+)", re.ASCII)


def typed_in(form: Form) -> dict[str, str]:
    return {name: form[name].strip()[:1_000] for name in FIELDS}


def blank(kind: str, *, now: datetime, zone: str) -> dict[str, str]:
    """What the form begins with: two hours from now on; or nights."""
    local = now.astimezone(ZoneInfo(zone))
    return dict.fromkeys(FIELDS, "") | {
        "kind": kind, "scope": "project", "effect": "hold", "below": "critical", "when": "once",
        "from": _typed(local), "to": _typed(local + timedelta(hours=2)), "zone": zone, "cron": "0 2 * * 0",
        "lasts": "2", "lasts_unit": "hours", "night_from": "22:00", "night_to": "07:00", "days": "*",
    }  # fmt: skip


def typed_of(row: Any, *, now: datetime, zone: str) -> dict[str, str]:
    """As it is stored. Of quiet hours whose times no field has, `when` is `kept`."""
    typed = blank(row.kind, now=now, zone=zone) | {
        "scope": row.scope, "effect": row.effect, "below": row.below or "critical", "note": row.note,
        "tags": ", ".join(row.targets) if row.scope == Scope.TAG else "",
    }  # fmt: skip
    if row.cron is None:
        local = ZoneInfo(zone)
        return typed | {"from": _typed(row.from_at.astimezone(local)), "to": _typed(row.to_at.astimezone(local))}
    typed |= {"when": "again", "cron": row.cron, "zone": row.zone}
    unit = next(word for word in ("days", "hours", "minutes", "seconds") if row.lasts_s % UNITS[word] == 0)
    typed |= {"lasts": str(row.lasts_s // UNITS[unit]), "lasts_unit": unit}
    if row.kind != "quiet":
        return typed
    night = _NIGHT.fullmatch(row.cron)
    if night is None or night[3] not in DAYS or row.lasts_s % 60 or row.lasts_s > _MINUTES_A_DAY * 60:
        return typed | {"when": "kept"}
    begin = int(night[2]) * 60 + int(night[1])
    end = (begin + row.lasts_s // 60) % _MINUTES_A_DAY
    return typed | {"night_from": _clock(begin), "night_to": _clock(end), "days": night[3]}


def edited_of(
    typed: Mapping[str, str], was: Asked, *, checks: Sequence[str], channels: Sequence[str], zone: str
) -> Asked:
    """`was`: as it is stored; its times stay where the form could not show them. InvalidValueError."""
    if typed["when"] == "kept" and was.kind == "quiet":
        given = asked_of({**typed, "night_from": "0:0", "night_to": "0:0"}, checks=checks, channels=channels, zone=zone)
        return replace(given, cron=was.cron, zone=was.zone, lasts=was.lasts, to_at=was.to_at)
    given = asked_of(typed, checks=checks, channels=channels, zone=zone)
    # No field says until when something comes again and again.
    return replace(given, to_at=was.to_at) if given.cron is not None and was.cron is not None else given


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def asked_of(typed: Mapping[str, str], *, checks: Sequence[str], channels: Sequence[str], zone: str) -> Asked:
    """`zone`: in which the times are. InvalidValueError names the field of the form."""
    kind, scope = typed["kind"], typed["scope"]
    by_scope = {Scope.CHECK: list(checks), Scope.CHANNEL: list(channels), Scope.TAG: tags_of(typed["tags"], apart=",")}
    targets = by_scope.get(Scope(scope), []) if scope in {*Scope} else []
    common: dict[str, Any] = {"kind": kind, "scope": scope, "effect": typed["effect"] or "hold", "note": typed["note"]}
    if kind == "quiet":
        cron, lasts = _nights(typed)
        return Asked(
            **common, targets=targets, below=typed["below"] or None, cron=cron, zone=typed["zone"] or zone, lasts=lasts
        )
    if typed["when"] == "again" and kind == "maintenance":
        lasts = timedelta(seconds=_whole(typed["lasts"], "lasts") * UNITS.get(typed["lasts_unit"], 60))
        return Asked(**common, targets=targets, cron=typed["cron"], zone=typed["zone"] or zone, lasts=lasts)
    from_at = instant(typed["from"], "from", zone) if typed["from"] else None
    return Asked(**common, targets=targets, from_at=from_at, to_at=instant(typed["to"], "to", zone))


def _nights(typed: Mapping[str, str]) -> tuple[str, timedelta]:
    """From one time of the day to another, which may be the next morning's."""
    begin, end = _minute(typed["night_from"], "night_from"), _minute(typed["night_to"], "night_to")
    lasts = (end - begin) % _MINUTES_A_DAY or _MINUTES_A_DAY
    days = typed["days"] if typed["days"] in DAYS else "*"
    return f"{begin % 60} {begin // 60} * * {days}", timedelta(minutes=lasts)


def _minute(text: str, field: str) -> int:
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit()):
        raise InvalidValueError(field, "must be a time such as 22:00")
    if int(hours) > 23 or int(minutes) > 59 or len(hours) > 2 or len(minutes) > 2:
        raise InvalidValueError(field, "must be a time such as 22:00")
    return int(hours) * 60 + int(minutes)


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise InvalidValueError(field, "must be a whole number")
    return int(text)


def instant(text: str, field: str, zone: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValueError(field, "must be a time such as 2026-03-02T02:00") from None
    try:
        return (at.replace(tzinfo=ZoneInfo(zone)) if at.tzinfo is None else at).astimezone(UTC)
    except OverflowError:
        raise InvalidValueError(field, "is no time that a calendar has") from None


def _typed(local: datetime) -> str:
    return local.strftime("%Y-%m-%dT%H:%M")
