"""What is fed with whatever fuzzing makes up: eight doors through which text comes from outside.

A target takes bytes and asks what production asks. It passes on what nobody should ever see: any exception but the ones
that say, in words, what is wrong with the text; and an answer that contradicts itself.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from heartfly.api.ping import _parse, _RefusedError, is_ping
from heartfly.core import mail, metrics, paths
from heartfly.core.access.formats import reader
from heartfly.core.access.log_format import LogFormatError, compiled
from heartfly.core.amounts import amount, decimal_of, text_of
from heartfly.core.cron import Dialect
from heartfly.core.describe import describe, notices
from heartfly.core.events import Rejected, event_of, read
from heartfly.core.schedule import Kind, Schedule, parse, upcoming
from heartfly.core.scheduled import crontab_text, manifests, systemd_units, workflows
from heartfly.core.scheduled.systemd_units import Timer
from heartfly.errors import InvalidValueError
from heartfly.notify.placeholders import Values, in_body
from tests.fuzz.seeds import SEEDS
from tests.notify.examples import EXIT_STATUS, delivery

NOW = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
"""An evening before clocks go forward in Europe."""
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca")
DIALECTS = tuple(Dialect)


@dataclass(frozen=True)
class Target:
    run: Callable[[bytes], object]
    seeds: Sequence[bytes]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode("utf-8")


def _picked(data: bytes, among: Sequence[str]) -> tuple[str, str]:
    """One of them by the first byte, and the rest as text."""
    return among[data[0] % len(among)] if data else among[0], _text(data[1:])


def _fires(schedule: Schedule) -> None:
    found = upcoming(schedule, NOW, 6)
    assert all(one < other for one, other in pairwise([NOW, *found])), found
    assert describe(schedule)
    notices(schedule, NOW, NOW + timedelta(days=2))


def cron(data: bytes) -> None:
    dialect, text = _picked(data, DIALECTS)
    with contextlib.suppress(InvalidValueError):
        _fires(
            parse(Kind.CRON, expression=text, zone=ZONES[len(text) % len(ZONES)], dialect=Dialect(dialect), after=NOW)
        )


def oncalendar(data: bytes) -> None:
    zone, text = _picked(data, ZONES)
    with contextlib.suppress(InvalidValueError):
        _fires(parse(Kind.ONCALENDAR, expression=text, zone=zone, after=NOW))


def ping_path(data: bytes) -> None:
    path, _, query = data.decode("latin-1").partition("?")
    if is_ping(path):
        with contextlib.suppress(_RefusedError):
            address = _parse(path, query.encode("latin-1"))
            assert address.exit_status is None or 0 <= address.exit_status <= 255


def events(data: bytes) -> None:
    metrics.of_body(data)
    try:
        found = read(data)
    except (ValueError, RecursionError):
        return
    for one in found if isinstance(found, list) else [found]:
        told = event_of(one, now=NOW, oldest=NOW - timedelta(days=400))
        if not isinstance(told, Rejected):
            again = json.loads(told.properties)
            assert isinstance(again, dict), told


def quantity(data: bytes) -> None:
    text = _text(data)
    found = amount(text)
    if found is not None:
        assert amount(text_of(found)) == found, text
        assert decimal_of(found) == Decimal(text), text
    metrics.quantity(text)


def template(data: bytes) -> None:
    kind, text = _picked(data, ("application/json", "application/x-www-form-urlencoded", "text/plain"))
    values = Values(delivery(EXIT_STATUS))
    filled = in_body(text, values, content_type=kind)
    if kind == "application/json":
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(text)
            json.loads(filled)  # what was JSON stays JSON, whatever a job is called


def mails(data: bytes) -> None:
    found = mail.read(data, most=1_000)
    assert len(found.text) <= 1_000
    found.text.encode()
    found.subject.encode()


def imports(data: bytes) -> None:
    which, text = _picked(data, ("crontab", "system", "k8s", "github", "systemd", "log", "log_format", "paths"))
    if which in {"crontab", "system"}:
        crontab_text.read(text, where="x", zone="Europe/Berlin", now=NOW, system=which == "system")
    elif which == "k8s":
        manifests.read(text, where="x", zone="UTC", now=NOW)
    elif which == "github":
        workflows.read(text, where="x", now=NOW)
    elif which == "systemd":
        systemd_units.read([Timer(name="x.timer", where="x", texts=[text], service=[text])], zone="UTC", now=NOW)
    elif which == "log":
        parser = reader()
        for line in text.splitlines():
            parser(line)
    elif which == "log_format":
        format_, _, line = text.partition("\n")
        with contextlib.suppress(LogFormatError):
            compiled(format_)(line)
    else:
        assert paths.normal(paths.normal(text)) == paths.normal(text)


TARGETS: Mapping[str, Target] = {
    run.__name__: Target(run, SEEDS[run.__name__])
    for run in (cron, oncalendar, ping_path, events, quantity, template, mails, imports)
}
