"""Every zone, every clock change to 2037, over 200 expressions: our answers against schedulers acted out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim

from heartfly.core.schedule import Cron, Dialect, next_after
from tests.core.cron_oracle import Robfig, Spec, Walk, distinct_zones, jumps

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
MINUTES = ("0", "30", "7", "59", "0,30", "5-10", "45-59/7", "1-59/2", "*", "*/15", "*/7", "*/45", "5/20")
HOURS = ("0", "1", "2", "3", "23", "2,3", "1-3", "0-23", "0-23/6", "22-23,0-2", "*", "*/2", "*/3", "*/5")
DAYS = (
    "* * 0",
    "* * 6",
    "* * 1-5",
    "* * SUN,SAT",
    "* * 7",
    "1 * *",
    "L * *",
    "LW * *",
    "15,L * *",
    "25-31 3,10 *",
    "25-31 MAR,OCT 0",
    "*/2 * *",
    "*/2 * 1",
    "*/3 * */2",
    "1-7 * 0",
    "1,* * 3",
    "* * 0L",
    "* * 0#1",
    "* * SUN#2",
    "8-14 * 0#5",
    "29 2 *",
    "31 * *",
)
TIMES = ("30 2", "0 0", "15 1-3", "*/20 2", "10 */3")
EXPRESSIONS = [f"{m} {h} * * *" for m, h in product(MINUTES, HOURS)] + [f"{t} {d}" for t, d in product(TIMES, DAYS)]
SAMPLE = [*EXPRESSIONS[::7], "30 2 * * *", "*/15 2 * * *", "0 0 * * 0", "30 1 25-31 3,10 0"]
ODD = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Chatham",
)
HISTORY = (  # zone, day: a whole day is skipped, three hours are, midnight is, offset and flag part ways
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Pacific/Kwajalein", datetime(1993, 8, 21, 12, tzinfo=UTC)),
    ("Antarctica/Casey", datetime(2020, 10, 3, 16, 1, tzinfo=UTC)),
    ("Antarctica/Casey", datetime(2023, 3, 8, 16, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(1985, 12, 31, 18, 30, tzinfo=UTC)),
    ("Asia/Pyongyang", datetime(2015, 8, 14, 15, tzinfo=UTC)),
    ("America/Caracas", datetime(2016, 5, 1, 7, tzinfo=UTC)),
)
# Where cronsim 2.8 differs from Debian's cron. It adds whole minutes and hours to an instant and looks for the
# start of an hour, which a clock that jumps by part of an hour never shows: it leaves out runs, and in
# Chatham (45 minutes past the hour) some expressions never return.
CRONSIM_LEAVES_OUT = {
    "Australia/Lord_Howe": """
        * */2 * * *; * */3 * * *; * */5 * * *; * 2 * * *; * 2,3 * * *; * 3 * * *; */15 */2 * * *; */15 */3 * * *;
        */15 */5 * * *; */15 0 * * *; */15 0-23/6 * * *; */15 2 * * *; */15 2,3 * * *; */15 23 * * *; */15 3 * * *;
        */20 2 * * 0; */20 2 * * 0#1; */20 2 * * 7; */20 2 * * SUN,SAT; */20 2 */2 * *; */20 2 1,* * 3;
        */20 2 1-7 * 0; */45 */2 * * *; */45 */3 * * *; */45 */5 * * *; */45 0 * * *; */45 0-23/6 * * *;
        */45 2 * * *; */45 2,3 * * *; */45 23 * * *; */45 3 * * *; */7 */2 * * *; */7 */3 * * *; */7 */5 * * *;
        */7 0 * * *; */7 0-23/6 * * *; */7 2 * * *; */7 2,3 * * *; */7 23 * * *; */7 3 * * *; 0 */2 * * *;
        0 */3 * * *; 0 */5 * * *; 0,30 */2 * * *; 0,30 */3 * * *; 0,30 */5 * * *; 1-59/2 */2 * * *;
        1-59/2 */3 * * *; 1-59/2 */5 * * *; 10 */3 * * 0; 10 */3 * * 0#1; 10 */3 * * 7; 10 */3 * * SUN,SAT;
        10 */3 */2 * *; 10 */3 */3 * */2; 10 */3 1,* * 3; 10 */3 1-7 * 0; 10 */3 25-31 MAR,OCT 0; 30 * * * *;
        5-10 */2 * * *; 5-10 */3 * * *; 5-10 */5 * * *; 5/20 */2 * * *; 5/20 */3 * * *; 5/20 */5 * * *;
        7 */2 * * *; 7 */3 * * *; 7 */5 * * *""",
    "Pacific/Chatham": """
        * */2 * * *; * 2 * * *; * 22-23,0-2 * * *; */15 */2 * * *; */15 2 * * *; */15 22-23,0-2 * * *;
        */45 */2 * * *; */45 2 * * *; */45 22-23,0-2 * * *; */7 */2 * * *; */7 2 * * *; */7 22-23,0-2 * * *;
        1-59/2 */2 * * *; 45-59/7 */2 * * *; 5/20 */2 * * *; 59 */2 * * *""",
}
CRONSIM_HANGS = {
    "Pacific/Chatham": """
        * */3 * * *; * 3 * * *; */15 */3 * * *; */15 3 * * *; */45 */3 * * *; */45 3 * * *; */7 */3 * * *;
        */7 3 * * *; 1-59/2 */3 * * *; 45-59/7 */3 * * *; 5/20 */3 * * *; 59 */3 * * *"""
}
# Where robfig/cron itself does not run "whenever the clock shows the time", by the reason: the parts of an
# hour as above, and days that begin at 01:00, which it reaches by stepping back into the day before.
ROBFIG_DIFFERS = {
    "Australia/Lord_Howe": "jumps by half an hour",
    "Pacific/Chatham": "jumps at 45 minutes past the hour",
    "Africa/Cairo": "no midnight",
    "America/Havana": "no midnight",
    "America/Santiago": "no midnight",
    "Asia/Beirut": "no midnight",
    "Atlantic/Azores": "no midnight",
}
ACTED: dict[Dialect, Callable[[Walk, Spec], list[datetime]]] = {
    Dialect.CRON: Walk.debian,
    Dialect.SYSTEMD: Walk.systemd,
    Dialect.KUBERNETES: Walk.kubernetes,
}


def known_to(dialect: Dialect, expression: str) -> bool:
    days = expression.split(maxsplit=2)[2]
    return dialect is not Dialect.KUBERNETES or not ({"L", "#", "7"} & set(days.replace("1-7", "")))


@cache
def spec(expression: str, dialect: Dialect) -> Spec:
    return Spec(expression, kubernetes=dialect is Dialect.KUBERNETES)


def chained(following: Callable[[datetime], datetime | None], start: datetime, end: datetime) -> list[datetime]:
    """Return the fires in [start, end), each asked for from the one before."""
    fires: list[datetime] = []
    at = following(start - timedelta(seconds=1))
    while at is not None and at < end:
        fires.append(at)
        at = following(at)
    return fires


class Window:
    """The time around one clock change: a little more than a day, or three hours for busy expressions."""

    def __init__(self, zone: str, jump: datetime) -> None:
        self.zone, self.jump = zone, jump
        self.walk = Walk.through(ZoneInfo(zone), jump - timedelta(hours=27), jump + timedelta(hours=27))

    def bounds(self, spec: Spec) -> tuple[datetime, datetime]:
        around = timedelta(hours=3 if len(spec.minutes) > 48 else 27)
        return self.jump - around, self.jump + around

    def acted(self, expression: str, dialect: Dialect) -> list[datetime]:
        job = spec(expression, dialect)
        start, end = self.bounds(job)
        return [at for at in ACTED[dialect](self.walk, job) if start <= at < end]

    def ours(self, expression: str, dialect: Dialect) -> list[datetime]:
        start, end = self.bounds(spec(expression, dialect))
        job = Cron(expression, self.zone, dialect)
        return chained(lambda at: next_after(job, at), start, end)


def differences(windows: Iterator[Window], expressions: list[str], dialects: list[Dialect]) -> tuple[int, list[str]]:
    n, wrong = 0, []
    for window in windows:
        for expression, dialect in product(expressions, dialects):
            if known_to(dialect, expression):
                n += 1
                acted, ours = window.acted(expression, dialect), window.ours(expression, dialect)
                if acted != ours:
                    wrong.append(f"{window.zone} {window.jump} {dialect} {expression}: {set(acted) ^ set(ours)}")
    return n, wrong


def windows_of(zone: str, first: datetime = FIRST, last: datetime = LAST) -> Iterator[Window]:
    return (Window(zone, jump) for jump in jumps(ZoneInfo(zone), first, last))


@cache
def every_zone() -> dict[str, list[datetime]]:
    return distinct_zones(available_timezones() - {"localtime", "Factory", "posixrules"}, FIRST, LAST)


def listed(table: dict[str, str], zone: str) -> set[str]:
    return {" ".join(item.split()) for item in table.get(zone, "").split(";") if item.strip()}


def cronsim_differs(zone: str, year: int, expressions: list[str]) -> set[str]:
    """Return the expressions for which cronsim gives other times than the acted-out daemon in that year."""
    found = set()
    for window in windows_of(zone, datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)):
        for expression in set(expressions) - listed(CRONSIM_HANGS, zone):
            start, end = window.bounds(spec(expression, Dialect.CRON))
            times = CronSim(expression, (start - timedelta(seconds=1)).astimezone(ZoneInfo(zone)))
            fires = takewhile(end.__gt__, (at.astimezone(UTC) for at in times))
            if list(fires) != window.acted(expression, Dialect.CRON):
                found.add(expression)
    return found


def test_over_200_expressions_are_compared() -> None:
    assert len(set(EXPRESSIONS)) >= 200


@pytest.mark.parametrize("zone", ODD)
def test_odd_zones_fire_as_the_acted_out_schedulers_do(zone: str) -> None:
    windows = windows_of(zone, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    n, wrong = differences(windows, SAMPLE, list(Dialect))
    assert wrong == []
    assert n > 100


@pytest.mark.parametrize(("zone", "jump"), HISTORY)
def test_past_oddities_fire_as_the_acted_out_schedulers_do(zone: str, jump: datetime) -> None:
    n, wrong = differences(iter([Window(zone, jump)]), SAMPLE, list(Dialect))
    assert wrong == []
    assert n > 100


@pytest.mark.slow
@pytest.mark.parametrize("nth", range(8))
def test_every_zone_fires_as_the_acted_out_schedulers_do(nth: int) -> None:
    calm = datetime(2026, 6, 15, 12, tzinfo=UTC)
    compared = 0
    for zone, at in list(every_zone().items())[nth::8]:
        for window in (Window(zone, jump) for jump in [calm, *at]):
            n, wrong = differences(iter([window]), EXPRESSIONS, [Dialect.CRON])
            assert wrong == []
            more, wrong = differences(iter([window]), EXPRESSIONS[::4], [Dialect.SYSTEMD, Dialect.KUBERNETES])
            assert wrong == []
            compared += n + more
    assert compared > 1_000


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Chatham"])
def test_cronsim_differs_only_as_listed(zone: str) -> None:
    assert cronsim_differs(zone, 2026, SAMPLE) == listed(CRONSIM_LEAVES_OUT, zone) & set(SAMPLE)


@pytest.mark.slow
def test_cronsim_differs_only_as_listed_in_every_zone() -> None:
    names = {"Australia/LHI": "Australia/Lord_Howe", "NZ-CHAT": "Pacific/Chatham"}
    for zone in (names.get(name, name) for name in every_zone()):
        assert (zone, cronsim_differs(zone, 2026, EXPRESSIONS)) == (zone, listed(CRONSIM_LEAVES_OUT, zone))


@pytest.mark.slow
def test_kubernetes_fires_as_robfig_cron_does_but_where_listed() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    names = {"Australia/LHI": "Australia/Lord_Howe", "NZ-CHAT": "Pacific/Chatham"}
    compared = 0
    for zone in (names.get(name, name) for name in every_zone()):
        if zone in ROBFIG_DIFFERS:
            continue
        for window in windows_of(zone, start, end):
            for expression in (e for e in EXPRESSIONS if known_to(Dialect.KUBERNETES, e)):
                first, last = window.bounds(spec(expression, Dialect.KUBERNETES))
                acted = chained(Robfig(spec(expression, Dialect.KUBERNETES), ZoneInfo(zone)).next, first, last)
                assert (zone, expression, acted) == (zone, expression, window.ours(expression, Dialect.KUBERNETES))
                compared += 1
    assert compared > 10_000


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_kubernetes_fires_as_robfig_cron_does(zone: str) -> None:
    for window in windows_of(zone, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)):
        for expression in (e for e in SAMPLE if known_to(Dialect.KUBERNETES, e)):
            job = spec(expression, Dialect.KUBERNETES)
            first, last = window.bounds(job)
            acted = chained(Robfig(job, ZoneInfo(zone)).next, first, last)
            assert (expression, acted) == (expression, window.ours(expression, Dialect.KUBERNETES))
