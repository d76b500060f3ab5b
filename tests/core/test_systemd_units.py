"""Timers, as systemd reads them out of files and as `systemctl show` tells them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.schedule import Kind
from heartfly.core.scheduled import systemd_units
from heartfly.core.scheduled.found import Found, Job, proposals
from heartfly.core.scheduled.systemd_units import Timer, span_of
from heartfly.core.scheduled.tell import drop_in

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def read(*texts: str, name: str = "backup.timer", service: str = "") -> Found:
    timer = Timer(name=name, where=f"/etc/systemd/system/{name}", texts=texts, service=[service] if service else [])
    return systemd_units.read([timer], zone="Europe/Berlin", now=NOW)


def only(*texts: str, service: str = "") -> Job:
    found = read(*texts, service=service)
    assert ([], 1) == (list(found.left), len(found.jobs))
    return found.jobs[0]


def test_calendar_lines_are_an_oncalendar_check_in_the_machines_zone() -> None:
    job = only("[Unit]\nDescription=x\n[Timer]\nOnCalendar=Mon..Fri 02:30\nOnCalendar = Sat *-*-* 04:00 UTC\n")

    assert (Kind.ONCALENDAR, "Mon..Fri 02:30\nSat *-*-* 04:00 UTC", "Europe/Berlin") == (
        job.times.kind, job.times.expression, job.times.zone,
    )  # fmt: skip
    assert timedelta(hours=1, minutes=1) == job.grace  # the usual hour, and systemd's own minute
    assert ("backup.timer", "backup.service") == (job.title, job.unit)


def test_what_it_may_be_late_by_itself_is_added_to_the_grace() -> None:
    job = only("[Timer]\nOnCalendar=daily\nRandomizedDelaySec=12h\nAccuracySec=1us\nPersistent=yes\n")

    assert timedelta(hours=13, seconds=1) == job.grace
    assert ["made up for", "12 h"] == [part for part in ("made up for", "12 h") if part in " ".join(job.notes)]


def test_a_span_after_its_last_run_is_a_period() -> None:
    job = only("[Timer]\nOnBootSec=15min\nOnUnitActiveSec=1d\n")
    assert (Kind.PERIOD, timedelta(days=1)) == (job.times.kind, job.times.period)
    assert "counted from the end" in " ".join(only("[Timer]\nOnUnitInactiveSec=90s\n").notes)


def test_drop_ins_add_and_an_empty_line_forgets() -> None:
    own = "[Timer]\nOnCalendar=daily\nUnit=other.service\n"
    assert "daily\n12:00" == only(own, "[Timer]\nOnCalendar=12:00\n").times.expression
    job = only(own, "# why\n[Timer]\nOnCalendar=\nOnCalendar=Sun \\\n  03:10\n")
    assert (["Sun", "03:10"], "other.service") == (job.times.expression.split(), job.unit)


def test_addresses_in_its_service_are_seen() -> None:
    uuid = "0b7a3a4c-0b7a-4a4c-8b7a-0b7a3a4c0b7a"
    service = f"[Service]\nExecStart=/opt/backup --all\nExecStopPost=-curl http://x/ping/{uuid}/0\n"
    job = only("[Timer]\nOnCalendar=daily\n", service=service)
    assert ({uuid}, "/opt/backup --all") == (set(job.pings), job.command)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[Timer]\nOnBootSec=15min\n", "once after a start"), ("[Timer]\n", "no times"), ("", "no times"),
        ("[Timer]\nOnUnitActiveSec=soon\n", "no span"), ("[Timer]\nOnUnitActiveSec=1s\n", "not between"),
        ("[Timer]\nOnCalendar=never\n", "cannot read"), ("[Timer]\nOnCalendar=2020-01-01 00:00\n", "eight years"),
        ("[Timer]\nOnCalendar=daily\nUnit=../../../etc/passwd\n", "no unit"),
        ("[Timer]\n" + "OnCalendar=Mon..Fri 02:30\n" * 40, "longer than"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_told(text: str, why: str) -> None:
    found = read(text)
    assert [] == found.jobs
    assert why in found.left[0].why


def test_a_template_is_told() -> None:
    assert "template" in read("[Timer]\nOnCalendar=daily\n", name="pg@.timer").left[0].why


SHOWN = """\
Id=apt-daily.timer
FragmentPath=/lib/systemd/system/apt-daily.timer
TimersCalendar={ OnCalendar=*-*-* 06,18:00:00 ; next_elapse=Mon 2026-03-02 18:00:00 CET }
RandomizedDelayUSec=12h
AccuracyUSec=1min
Persistent=yes
Unit=apt-daily.service
ActiveState=active

Id=systemd-tmpfiles-clean.timer
TimersMonotonic={ OnUnitActiveUSec=1d ; next_elapse=1d 15min 2.5s }
TimersMonotonic={ OnBootUSec=15min ; next_elapse=15min }
RandomizedDelayUSec=0
Unit=systemd-tmpfiles-clean.service
ActiveState=inactive
"""


def test_what_systemctl_shows_is_read() -> None:
    apt, tmp = systemd_units.shown(SHOWN, zone="Europe/Berlin", now=NOW).jobs

    assert ("*-*-* 06,18:00:00", timedelta(hours=13, minutes=1)) == (apt.times.expression, apt.grace)
    assert ("/lib/systemd/system/apt-daily.timer", "apt-daily.service", "") == (apt.where, apt.unit, apt.off)
    assert (timedelta(days=1), "it is inactive") == (tmp.times.period, tmp.off)


def test_more_than_any_machine_has_is_told_and_not_read() -> None:
    long = "#" * (systemd_units.MOST_CHARACTERS + 1)
    shown, unit = systemd_units.shown(long, zone="UTC", now=NOW), read(long)

    assert ([], ["it said more than 4000000 characters"]) == (shown.jobs, [left.why for left in shown.left])
    assert ([], ["it is longer than 4000000 characters"]) == (unit.jobs, [left.why for left in unit.left])
    assert ("systemctl", "/etc/systemd/system/backup.timer") == (shown.left[0].place, unit.left[0].place)


def test_a_line_that_goes_on_past_the_end_of_the_file_is_read() -> None:
    assert "Sun 03:10" == only("[Timer]\nOnCalendar=Sun 03:10 \\").times.expression


@pytest.mark.parametrize(("said", "told"), [("90s", "90 s"), ("90min", "90 min"), ("2h", "2 h"), ("45s", "45 s")])
def test_a_delay_is_told_in_the_largest_unit_in_which_it_is_whole(said: str, told: str) -> None:
    assert f"late by {told} by itself" in only(f"[Timer]\nOnCalendar=daily\nRandomizedDelaySec={said}\n").notes[0]


def test_a_period_is_asked_for_in_seconds() -> None:
    job = replace(only("[Timer]\nOnUnitActiveSec=1d\n"), max_run=timedelta(minutes=10))
    (asked,) = (one.as_asked() for one in proposals([job], host="db1"))

    assert ({"kind": "period", "period": 86_400}, 600) == (asked["schedule"], asked["max_run"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1h 30min", 5400),
        ("1h30m", 5400),
        ("2 weeks", 1209600),
        ("1M", 2629800),
        ("1m", 60),
        ("0.5h", 1800),
        ("500ms", 0.5),
        ("infinity", None),
        ("", None),
        ("h", None),
        ("5 parsecs", None),
        ("9" * 12 + "y", None),
    ],
)
def test_spans_of_time_are_systemds(text: str, seconds: float | None) -> None:
    assert (None if seconds is None else timedelta(seconds=seconds)) == span_of(text)


@given(st.text(max_size=300))
def test_any_text_is_a_timer_or_is_told(text: str) -> None:
    found = read(text, f"[Timer]\nOnCalendar=daily\n{text}")
    assert 1 == len(found.jobs) + len(found.left)
    shown = systemd_units.shown(f"Id=x.timer\n{text}", zone="UTC", now=NOW)
    assert len(shown.jobs) + len(shown.left) >= 1


if shutil.which("systemd-analyze"):  # no skip: where it is not, nothing is promised

    def test_the_drop_in_of_a_service_is_one_to_systemd(tmp_path: Path) -> None:
        (tmp_path / "x.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
        (tmp_path / "x.service.d").mkdir()
        (tmp_path / "x.service.d/heartfly.conf").write_text(drop_in("http://x/ping/u", curl="/bin/true"))
        done = subprocess.run(
            ["systemd-analyze", "verify", "x.service"], capture_output=True, text=True, timeout=60, check=False,
            env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        )  # fmt: skip
        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
