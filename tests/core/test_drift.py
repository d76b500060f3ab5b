"""Jobs and checks are compared: whose check is whose, and what of it differs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from heartfly.core.schedule import Dialect, Kind
from heartfly.core.scheduled import crontab_text
from heartfly.core.scheduled.drift import Drift, Read, drifts, is_same
from heartfly.core.scheduled.found import Proposal, Times, proposals

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
UUID = "0b7a3a4c-0b7a-4a4c-8b7a-0b7a3a4c0b7a"
READ = Read(files=["/etc/crontab"], folders=["/etc/cron.d"], tags=[("crontab", "on:web1")])


def jobs(text: str, where: str = "/etc/crontab") -> list[Proposal]:
    return proposals(crontab_text.read(text, where=where, zone="UTC", now=NOW, system=False).jobs, host="web1")


def check(slug: str, expression: str = "0 3 * * *", **more: Any) -> dict[str, Any]:
    schedule = {"kind": "cron", "expression": expression, "zone": "UTC", "dialect": "cron", "period": None}
    usual = {
        "id": slug,
        "name": slug,
        "tags": ["crontab", "on:web1"],
        "status": "up",
        "ping_url": f"http://x/ping/{slug}",
    }
    return usual | {"slug": slug, "schedule": schedule, "description": "From /etc/crontab on web1."} | more


def kinds(text: str, *checks: dict[str, Any], read: Read = READ) -> list[tuple[Drift, str | None]]:
    return [(line.kind, line.check["slug"] if line.check else None) for line in drifts(jobs(text), checks, read)]


def test_a_job_without_a_check_a_check_without_a_job_and_another_schedule_are_told() -> None:
    text = "0 3 * * * /opt/a\n0 4 * * * /opt/b\n0 5 * * * /opt/c\n"

    assert [
        (Drift.SAME, "web1-a"), (Drift.DIFFERS, "web1-b"), (Drift.NO_CHECK, None), (Drift.NO_JOB, "web1-gone"),
    ] == kinds(text, check("web1-a"), check("web1-b"), check("web1-gone"))  # fmt: skip


def test_the_check_that_a_job_pings_is_its_own_whatever_it_is_called() -> None:
    text = f"0 3 * * * /opt/a; curl -fsS http://x/ping/{UUID}/$?\n"
    renamed = check("another-name", ping_url=f"http://y/ping/{UUID}")

    (line,) = drifts(jobs(text), [check("web1-a"), renamed], Read(files=[]))
    assert (Drift.SAME, True, "another-name") == (line.kind, line.pings, line.check and line.check["slug"])
    (by_slug,) = drifts(jobs("0 3 * * * heartfly run --check nightly -- /opt/a\n"), [check("nightly")], Read(files=[]))
    assert (Drift.SAME, True) == (by_slug.kind, by_slug.pings)


@pytest.mark.parametrize(
    ("told", "is_gone"),
    [
        ({}, True),
        ({"tags": ["crontab"]}, False),
        ({"tags": ["crontab", "on:web2"]}, False),
        ({"description": ""}, False),
        ({"description": "From /etc/cron.d/old on web1, as root.\nx"}, True),
        ({"description": "From /etc/cron.d/a/b on web1."}, False),
        ({"description": "From /etc/crontab2 on web1."}, False),
        ({"description": "From crontab -l on web1, as ada."}, False),
    ],
)
def test_only_a_check_whose_job_would_have_been_seen_has_none(told: dict[str, Any], is_gone: bool) -> None:  # noqa: FBT001
    assert is_gone == bool(kinds("", check("web1-old", **told)))


@pytest.mark.parametrize(
    ("status", "kind"), [("paused", Drift.SAME), ("new", Drift.SAME), ("up", Drift.OFF), ("down", Drift.OFF)]
)
def test_a_job_that_does_not_run_wants_no_check_that_waits(status: str, kind: Drift) -> None:
    from dataclasses import replace  # noqa: PLC0415 - for this test alone

    (one,) = jobs("0 3 * * * /opt/a\n")
    off = replace(one, job=replace(one.job, off="it is suspended"))
    assert [kind] == [line.kind for line in drifts([off], [check("web1-a", status=status)], READ)]
    assert [Drift.SAME] == [line.kind for line in drifts([off], [], READ)]


@pytest.mark.parametrize(
    ("times", "schedule", "same"),
    [
        (("@daily", "UTC"), ("0 0 * * *", "Etc/UTC", "cron"), True),
        (("0 3 * * SUN", "UTC"), ("0 3 * * 0", "UTC", "cron"), True),
        (("0 3 * * *", "UTC"), ("0  3 * * *", "utc", "cron"), True),
        (("0 3 * * *", "UTC"), ("0 3 * * *", "Europe/Paris", "cron"), False),
        (("0 3 * * *", "UTC"), ("0 3 * * *", "UTC", "kubernetes"), False),
        (("0 3 * * *", "UTC"), ("0 4 * * *", "UTC", "cron"), False),
    ],
)
def test_schedules_are_compared_by_what_they_mean(
    times: tuple[str, str],
    schedule: tuple[str, str, str],
    same: bool,  # noqa: FBT001
) -> None:
    ours = Times(kind=Kind.CRON, expression=times[0], zone=times[1], dialect=Dialect.CRON)
    theirs = dict(zip(("expression", "zone", "dialect"), schedule, strict=True)) | {"kind": "cron"}
    assert same == is_same(ours, theirs)


def test_expressions_that_cannot_be_read_are_the_same_letter_by_letter() -> None:
    odd = Times(kind=Kind.CRON, expression="61 * * * *", zone="UTC", dialect=Dialect.CRON)
    stored = {"kind": "cron", "zone": "UTC", "dialect": "cron"}

    assert is_same(odd, stored | {"expression": "61 * * * *"})
    assert not is_same(odd, stored | {"expression": "62 * * * *"})
    assert not is_same(odd, stored | {"expression": "1 * * * *"})


def test_a_check_without_an_address_to_ping_is_found_by_its_slug() -> None:
    """As one is shown to who may not see addresses."""
    assert [(Drift.SAME, "web1-a")] == kinds("0 3 * * * /opt/a\n", check("web1-a", ping_url=None))


def test_periods_and_calendars_are_compared_too() -> None:
    hourly = Times(kind=Kind.PERIOD, period=timedelta(hours=1))
    assert is_same(hourly, {"kind": "period", "period": 3600})
    assert not is_same(hourly, {"kind": "period", "period": 3601})
    assert not is_same(hourly, {"kind": "cron", "expression": "0 * * * *", "zone": "UTC", "dialect": "cron"})
    lines = Times(kind=Kind.ONCALENDAR, expression="daily\nMon 12:00", zone="UTC", dialect=Dialect.SYSTEMD)
    assert is_same(
        lines, {"kind": "oncalendar", "expression": "mon  12:00\ndaily", "zone": "UTC", "dialect": "systemd"}
    )
