"""`heartfly next`: a schedule's next runs, for people and for machines."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from heartfly.cli.next import next_command

FROM = "2026-03-28T00:00:00Z"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(next_command, list(arguments))


def test_people_read_words_a_table_and_the_clock_changes() -> None:
    result = run("30 2 * * *", "--zone", "europe/berlin", "--from", FROM, "--count", "2")
    assert result.exit_code == 0
    assert [
        "At 02:30 (Europe/Berlin)",
        "",
        "Europe/Berlin                   UTC",
        "Sat 2026-03-28 02:30:00 +0100   2026-03-28 01:30:00",
        "Sun 2026-03-29 03:00:00 +0200   2026-03-29 01:00:00",
        "",
        "2026-03-29: 02:30 does not exist in Europe/Berlin; cron runs the job at 03:00, right after the gap",
        "2026-10-25: 02:30 comes twice in Europe/Berlin; cron runs the job the first time only",
        "2027-03-28: 02:30 does not exist in Europe/Berlin; cron runs the job at 03:00, right after the gap",
    ] == result.output.splitlines()


def test_machines_read_json() -> None:
    result = run("30 2 * * *", "--zone", "Europe/Berlin", "--dialect", "systemd", "--from", FROM, "--count=2", "--json")
    wire = json.loads(result.output)
    assert {"kind": "cron", "expression": "30 2 * * *", "zone": "Europe/Berlin", "dialect": "systemd"} == wire[
        "schedule"
    ]
    assert wire["from"] == FROM
    assert [
        {"at": "2026-03-28T01:30:00Z", "local": "2026-03-28T02:30:00+01:00"},
        {"at": "2026-03-30T00:30:00Z", "local": "2026-03-30T02:30:00+02:00"},
    ] == wire["runs"]
    assert len(wire["notices"]) == 3


@pytest.mark.parametrize(
    ("expression", "kind", "dialect"),
    [
        ("@daily", "cron", "cron"),
        ("0 0 * * 1", "cron", "cron"),
        ("Mon..Fri 09:00", "oncalendar", "systemd"),
        ("daily", "oncalendar", "systemd"),
        ("Mon *-*-* 09:00 Europe/Riga\n10:00", "oncalendar", "systemd"),
    ],
)
def test_cron_and_oncalendar_are_told_apart(expression: str, kind: str, dialect: str) -> None:
    schedule = json.loads(run(expression, "--json").output)["schedule"]
    assert (kind, dialect) == (schedule["kind"], schedule["dialect"])


def test_five_runs_from_now_are_shown_unless_told_otherwise() -> None:
    lines = run("* * * * *").output.splitlines()
    assert ["Every minute (UTC)", ""] == lines[:2]
    assert len(lines) == 8


def test_an_instant_without_an_offset_is_read_in_the_zone() -> None:
    result = run("0 12 * * *", "--zone", "Asia/Tokyo", "--from", "2026-01-01 11:00", "--count", "1", "--json")
    assert [{"at": "2026-01-01T03:00:00Z", "local": "2026-01-01T12:00:00+09:00"}] == json.loads(result.output)["runs"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["30 2 30 2 *"], "schedule.expression"),
        (["0 30 2 * * *"], "schedule.expression"),
        ([""], "schedule.expression"),
        (["nonsense"], "schedule.expression"),
        (["@daily", "--zone", "Mars/Base"], "schedule.zone"),
        (["@daily", "--zone", "Mars/Base", "--from", "2026-01-01"], "schedule.zone"),
        (["@daily", "--from", "yesterday"], "from:"),
        (["@daily", "--from", "9999-12-31"], "from:"),
        (["@daily", "--count", "0"], "--count"),
        (["@daily", "--dialect", "quartz"], "--dialect"),
        (["2020-01-01 00:00"], "schedule.expression"),
    ],
)
def test_bad_input_exits_2_and_names_the_field(arguments: list[str], named: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert named in result.output


def test_times_in_utc_have_one_column() -> None:
    lines = run("30 2 * * *", "--from", FROM, "--count", "1").output.splitlines()
    assert ["At 02:30 (UTC)", "", "UTC", "Sat 2026-03-28 02:30:00 +0000"] == lines


def test_times_are_shown_in_the_zone_that_every_line_names() -> None:
    one = run("Mon *-*-* 09:00 Europe/Riga", "--from", FROM, "--count", "1").output.splitlines()
    two = run("Mon *-*-* 09:00 Europe/Riga\n10:00", "--from", FROM, "--count", "1").output.splitlines()
    assert ["OnCalendar Mon *-*-* 09:00 Europe/Riga", "Europe/Riga                     UTC"] == [one[0], one[2]]
    assert "Mon 2026-03-30 09:00:00 +0300   2026-03-30 06:00:00" == one[3]
    assert ["OnCalendar Mon *-*-* 09:00 Europe/Riga; 10:00 (UTC)", "UTC"] == [two[0], two[2]]
