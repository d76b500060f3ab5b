"""What a client asks of a check, field by field, with the errors that Healthchecks words; and the same in our words.

Their *timeout* is our period. Unknown fields are ignored, null is no value. Nothing is looked up here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from heartfly.api.compat.healthchecks.asked import SaidNoError, no
from heartfly.checks.config import CheckIn, FiltersIn, ScheduleIn, SharedSlug
from heartfly.core import schedule as schedules
from heartfly.core import text
from heartfly.core.schedule import Kind
from heartfly.core.zones import is_zone
from heartfly.errors import InvalidValueError

Spec = Mapping[str, Any]
"""The fields that were given, each of its type and within its bounds."""

UNNAMED = "unnamed"
"""What a check without a name is called here: an alarm must be able to say whose it is."""
LEAST_S, MOST_S = 60, 31_536_000
TIMEOUT_S = 86_400
KEYWORDS = {"start_kw": "start", "success_kw": "success", "failure_kw": "failure"}
FLAGS = ("filter_subject", "filter_body", "filter_http_body", "filter_default_fail")
UNIQUE = ("name", "slug", "tags", "timeout", "grace")
_SLUG = re.compile(r"[a-z0-9_-]*", re.ASCII)
# Our fields, as they call what they come from.
_THEIRS = {
    "description": "desc",
    "max_run": "grace",
    "sticky": "manual_resume",
    "filters.start": "start_kw",
    "filters.success": "success_kw",
    "filters.failure": "failure_kw",
}


def wrong(sentence: str) -> SaidNoError:
    return no(400, f"json validation error: {sentence}")


def read_spec(body: Mapping[str, Any], *, least_s: int | None = LEAST_S) -> Spec:
    """In the order of their names the first field that breaks a rule is told: SaidNoError.

    `least_s`: of a period and a grace; None: our own rules say, once it is made.
    """
    found = {}
    for name, read in _READ.items():
        if name in body:
            value = body[name]
            found[name] = _seconds(name, value, least_s) if read is _seconds else read(name, value)
    return found


def told_in_theirs(error: InvalidValueError) -> SaidNoError:
    """A rule of ours that they have not, with the name that they have for the field."""
    field = error.field.partition("[")[0]
    if field.startswith("schedule"):
        name = "tz" if field == "schedule.zone" else "timeout" if field == "schedule.period" else "schedule"
    else:
        name = _THEIRS.get(field, field)
    return wrong(f"{name} {error.message}")


# --- types -------------------------------------------------------------------------------------------


def _text(most: int | None = None) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise wrong(f"{name} is not a string")
        if most is not None and len(value) > most:
            raise wrong(f"{name} is too long")
        return value

    return read


def _keywords(name: str, value: Any) -> str:
    """As it was sent, white space and all; but what no database holds is refused."""
    words = _text(200)(name, value)
    try:
        text.one_line(words, field=name, most=200)
    except InvalidValueError as error:
        raise wrong(f"{name} {error.message}") from None
    return words


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong(f"{name} is not a boolean")
    return value


def _seconds(name: str, value: Any, least_s: int | None = LEAST_S) -> int:
    if not isinstance(value, int):  # true is 1 there, too
        raise wrong(f"{name} is not a number")
    if least_s is not None and value < least_s:
        raise wrong(f"{name} is too small")
    if value > MOST_S:
        raise wrong(f"{name} is too large")
    return int(value)


def _methods(name: str, value: Any) -> str:
    if value not in {"", "POST"} if isinstance(value, str) else True:
        raise wrong(f"{name} has unexpected value")
    return str(value)


def _slug(name: str, value: Any) -> str:
    slug = _text(100)(name, value)
    if not _SLUG.fullmatch(slug):
        raise wrong(f"{name} does not match pattern")
    return slug


def _zone(name: str, value: Any) -> str:
    zone = _text()(name, value)
    if not is_zone(zone):
        raise wrong(f"{name} is not a valid timezone")
    return zone


def _unique(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise wrong(f"{name} is not an array")
    if not all(isinstance(one, str) and one in UNIQUE for one in value):
        raise wrong(f"an item in '{name}' has unexpected value")
    return value


_READ: Mapping[str, Callable[[str, Any], Any]] = {
    "channels": _text(),
    "desc": _text(),
    "failure_kw": _keywords,
    "filter_body": _flag,
    "filter_default_fail": _flag,
    "filter_http_body": _flag,
    "filter_subject": _flag,
    "grace": _seconds,
    "manual_resume": _flag,
    "methods": _methods,
    "name": _text(100),
    "schedule": _text(100),
    "slug": _slug,
    "start_kw": _keywords,
    "subject": _keywords,
    "subject_fail": _keywords,
    "success_kw": _keywords,
    "tags": _text(),
    "timeout": _seconds,
    "tz": _zone,
    "unique": _unique,
}


# --- in our words ------------------------------------------------------------------------------------


def asked_of(spec: Spec, *, version: int, row: Any | None, sent: Mapping[str, Any], at: datetime) -> CheckIn:
    """But for its channels. `row`: the check that is edited; None: it is made. `sent`: its filters as it has them."""
    given: dict[str, Any] = {}
    if "name" in spec or row is None:
        given["name"] = spec.get("name", "").strip() or UNNAMED
    if "slug" in spec:
        given["slug"] = SharedSlug(spec["slug"])
    elif row is None or ("name" in spec and version < 3):
        given["slug"] = SharedSlug(slugified(spec.get("name", "")) if version < 3 else "")
    if "tags" in spec:
        given["tags"] = spec["tags"].split()
    if (schedule := _schedule(spec, row, at)) is not None:
        given["schedule"] = schedule
    for theirs, ours in (
        ("desc", "description"),
        ("grace", "grace"),
        ("methods", "methods"),
        ("manual_resume", "sticky"),
    ):
        if theirs in spec:
            given[ours] = spec[theirs]
    if touches_filters(spec):
        given["filters"] = filters_of(sent)
    return CheckIn(**given)


def slugified(name: str) -> str:
    """As their framework makes one of a name in versions 1 and 2: `a.b c` is `ab-c`, where ours would be `a-b-c`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain)).strip("-_")


def _schedule(spec: Spec, row: Any | None, at: datetime) -> ScheduleIn | None:
    """What it is to be; None: as it is. An expression wins over a period."""
    has_calendar = row is not None and row.kind != Kind.PERIOD
    dialect = row.dialect if row is not None and has_calendar else "cron"
    zone = spec.get("tz") or (row.zone if row is not None and has_calendar else "UTC")
    if "schedule" in spec:
        return _calendar(spec["schedule"], zone, dialect, at)
    if "timeout" in spec:
        return ScheduleIn(kind=Kind.PERIOD.value, period=spec["timeout"])
    if "tz" in spec and row is not None and has_calendar:
        return ScheduleIn(kind=row.kind, expression=row.expression, zone=zone, dialect=dialect)
    return None


def _calendar(expression: str, zone: str, dialect: str, at: datetime) -> ScheduleIn:
    """One line of five words is for cron, anything else for systemd."""
    kind = Kind.CRON if len(expression.split()) == 5 and "\n" not in expression.strip() else Kind.ONCALENDAR
    try:
        schedules.parse(kind, expression=expression, zone=zone, after=at)
    except (InvalidValueError, ValueError):
        raise wrong("schedule is not a valid cron or OnCalendar expression") from None
    return ScheduleIn(kind=kind.value, expression=expression, zone=zone, dialect=dialect)


# --- filters -----------------------------------------------------------------------------------------


def touches_filters(spec: Spec) -> bool:
    return any(name in spec for name in (*KEYWORDS, *FLAGS, "subject", "subject_fail"))


def sent_of(row: Any | None) -> dict[str, Any]:
    """The filters of a check as they know them: as they were sent, unless somebody has set others here since."""
    empty: dict[str, Any] = dict.fromkeys(KEYWORDS, "") | dict.fromkeys(FLAGS, False)
    if row is None:
        return empty
    ours = msgspec.json.decode(row.filters, type=FiltersIn) if row.filters else FiltersIn()
    sent = empty | (row.filters_as_sent or {})
    if row.filters_as_sent and _same(filters_of(sent), ours):
        return sent
    if not row.filters:
        return empty
    words = {theirs: ",".join(getattr(ours, name)) for theirs, name in KEYWORDS.items()}
    return empty | words | {"filter_http_body": True, "filter_default_fail": ours.default_fail}


def _same(one: FiltersIn, other: FiltersIn) -> bool:
    return one == other or not any((one.start, one.success, one.failure, other.start, other.success, other.failure))


def with_spec(sent: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """With what the spec says of them. `subject` and `subject_fail` are older names, and mean mails."""
    now = {name: spec.get(name, sent[name]) for name in sent}
    for old, name in (("subject", "success_kw"), ("subject_fail", "failure_kw")):
        if old in spec:
            now[name] = spec[old]
            now["filter_subject"] = bool(now["success_kw"] or now["failure_kw"])
    return now


def filters_of(sent: Mapping[str, Any]) -> FiltersIn:
    """What of it looks at the bodies of pings by HTTP."""
    if not sent["filter_http_body"]:
        return FiltersIn()
    words = {
        ours: [word.strip() for word in sent[theirs].split(",") if word.strip()] for theirs, ours in KEYWORDS.items()
    }
    return FiltersIn(**words, default_fail=sent["filter_default_fail"])
