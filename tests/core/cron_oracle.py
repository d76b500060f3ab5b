"""Schedulers acted out minute by minute, to check our answers against.

Written from cron(8), crontab(5) and the loop of Vixie cron's daemon (a virtual clock that chases the
wall clock), from what systemd-analyze 252 prints, and from robfig/cron v3 (spec.go, as vendored by
Kubernetes). It reads the fields itself and shares nothing with heartfly. One liberty: Debian's daemon notices
a new UTC offset only when the daylight-saving flag changes with it; here it notices every one.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = {
    name: number
    for names, first in (("jan feb mar apr may jun jul aug sep oct nov dec", 1), ("sun mon tue wed thu fri sat", 0))
    for number, name in enumerate(names.split(), first)
}
WILD, FIXED, ONCE = 1, 2, 4
DAY = 1440


def value(text: str) -> int:
    return NAMES[text] if text in NAMES else int(text)


def values(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in text.lower().split(","):
        span, _, step = item.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = (value(end) for end in span.split("-"))
        else:
            first = value(span)
            last = high if step else first
        found.update(range(first, last + 1, int(step or 1)))
    return found


class Spec:
    """What an expression says about one wall-clock minute."""

    def __init__(self, expression: str, *, kubernetes: bool = False) -> None:
        minute, hour, self.dom, month, self.dow = expression.split()
        self.minutes = [h * 60 + m for h in sorted(values(hour, 0, 23)) for m in sorted(values(minute, 0, 59))]
        self.hours, self.past = values(hour, 0, 23), values(minute, 0, 59)
        self.months = values(month, 1, 12)
        self.wild = minute[0] == "*" or hour[0] == "*"
        if kubernetes:
            stars = f"{self.dom},{self.dow}".split(",")
            self.both = "*" in stars or "*/1" in stars
        else:
            self.both = self.dom[0] == "*" or self.dow[0] == "*"
        self._days: dict[int, bool] = {}

    def on_day(self, number: int) -> bool:
        """`number` counts days from 1970-01-01."""
        if number not in self._days:
            self._days[number] = self._on(date(1970, 1, 1) + timedelta(days=number))
        return self._days[number]

    def _on(self, day: date) -> bool:
        dom, dow = self._on_dom(day), self._on_dow(day)
        return day.month in self.months and ((dom and dow) if self.both else (dom or dow))

    def _on_dom(self, day: date) -> bool:
        length = calendar.monthrange(day.year, day.month)[1]
        if self.dom == "LW":
            late = [d for d in range(1, length + 1) if date(day.year, day.month, d).weekday() < 5]
            return day.day == late[-1]
        numbers = [item for item in self.dom.split(",") if item != "L"]
        plain = values(",".join(numbers), 1, 31) if numbers else set()
        return day.day in plain or ("L" in self.dom.split(",") and day.day == length)

    def _on_dow(self, day: date) -> bool:
        today, length = day.isoweekday() % 7, calendar.monthrange(day.year, day.month)[1]
        for item in self.dow.split(","):
            if "#" in item:
                name, _, nth = item.partition("#")
                if value(name.lower()) % 7 == today and (day.day - 1) // 7 + 1 == int(nth):
                    return True
            elif item.endswith("L"):
                if int(item[:-1]) % 7 == today and day.day + 7 > length:
                    return True
            elif today in {number % 7 for number in values(item, 0, 7)}:
                return True
        return False


@dataclass(frozen=True)
class Walk:
    """Every minute of UTC in [start, end): which wall minutes the daemon looks at, and for which jobs."""

    looks: dict[int, list[tuple[int, int]]]

    @staticmethod
    def through(zone: ZoneInfo, start: datetime, end: datetime) -> Walk:
        looks: dict[int, list[tuple[int, int]]] = {}
        first, last = ((at - EPOCH) // timedelta(minutes=1) for at in (start, end))

        def clock(minute: int) -> int:
            offset = (EPOCH + timedelta(minutes=minute)).astimezone(zone).utcoffset()
            assert offset is not None
            return minute + offset // timedelta(minutes=1)

        def look(wall: int, minute: int, who: int) -> None:
            looks.setdefault(wall, []).append((minute, who))

        virtual = newest = clock(first - 1)
        for minute in range(first, last):
            shown = clock(minute)
            once = ONCE if shown > newest else 0
            newest = max(newest, shown)
            behind = shown - virtual
            if behind == 1:
                virtual = shown
                look(shown, minute, WILD | FIXED | once)
            elif 1 < behind <= 5:
                while virtual < shown:
                    virtual += 1
                    look(virtual, minute, WILD | FIXED | once)
            elif 5 < behind <= 180:
                look(shown, minute, WILD | once)
                while virtual < shown:
                    virtual += 1
                    look(virtual, minute, FIXED)
            elif -180 < behind <= 0:
                look(shown, minute, WILD | once)
            else:
                virtual = shown
                look(shown, minute, WILD | FIXED | once)
        return Walk(looks)

    def fires(self, spec: Spec, who: int) -> list[datetime]:
        """Return when a job of that kind runs; several catch-ups in one minute are one."""
        days = range(min(self.looks) // DAY, max(self.looks) // DAY + 1)
        found = {
            minute
            for day in days
            if spec.on_day(day)
            for wall in spec.minutes
            for minute, whom in self.looks.get(day * DAY + wall, ())
            if whom & who
        }
        return [EPOCH + timedelta(minutes=minute) for minute in sorted(found)]

    def debian(self, spec: Spec) -> list[datetime]:
        return self.fires(spec, WILD if spec.wild else FIXED)

    def systemd(self, spec: Spec) -> list[datetime]:
        return self.fires(spec, ONCE)

    def kubernetes(self, spec: Spec) -> list[datetime]:
        return self.fires(spec, WILD)


class Robfig:
    """Acts out SpecSchedule.Next of robfig/cron v3: loops that add months, days, hours and minutes to an instant.

    Once anything was added, nothing is rounded down any more, and only a field that comes round to its
    start is checked again from the top: that is where its own faults come from.
    """

    def __init__(self, spec: Spec, zone: ZoneInfo) -> None:
        self.spec, self.zone = spec, zone
        self.at, self.added = EPOCH, False

    def next(self, after: datetime) -> datetime:
        self.at, self.added = after.replace(microsecond=0) + timedelta(seconds=1), False
        while self.months() or self.days() or self.hours() or self.minutes() or self.seconds():
            pass
        return self.at

    @property
    def local(self) -> datetime:
        return self.at.astimezone(self.zone)

    def round_down(self, **parts: int) -> None:
        if not self.added:
            self.added = True
            rounded = self.local.replace(second=0, **parts)  # type: ignore[arg-type] # the parts of a time, by name
            self.at = _go_date(rounded, self.zone)

    def months(self) -> bool:
        while self.local.month not in self.spec.months:
            self.round_down(day=1, hour=0, minute=0)
            local = self.local
            later = (local.replace(day=1) + timedelta(days=32)).replace(day=1)
            self.at = _go_date(later, self.zone)
            if self.local.month == 1:
                return True
        return False

    def days(self) -> bool:
        while not self.spec.on_day((self.local.date() - date(1970, 1, 1)).days):
            self.round_down(hour=0, minute=0)
            self.at = _go_date(self.local + timedelta(days=1), self.zone)
            hour = self.local.hour
            if hour:
                self.at += timedelta(hours=24 - hour if hour > 12 else -hour)
            if self.local.day == 1:
                return True
        return False

    def hours(self) -> bool:
        while self.local.hour not in self.spec.hours:
            self.round_down(minute=0)
            self.at += timedelta(hours=1)
            if self.local.hour == 0:
                return True
        return False

    def minutes(self) -> bool:
        while self.local.minute not in self.spec.past:
            self.added = True
            self.at = self.at.replace(second=0) + timedelta(minutes=1)
            if self.local.minute == 0:
                return True
        return False

    def seconds(self) -> bool:
        if self.local.second == 0:
            return False
        self.added = True
        self.at = self.at.replace(second=0) + timedelta(minutes=1)
        return True


def _go_date(wall: datetime, zone: ZoneInfo) -> datetime:
    """Go's time.Date: the offset is looked up twice, first as if the wall time were UTC."""
    for_now = wall.replace(tzinfo=UTC, fold=0)
    offset = for_now.astimezone(zone).utcoffset()
    assert offset is not None
    settled = (for_now - offset).astimezone(zone).utcoffset()
    assert settled is not None
    return for_now - settled


def jumps(zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Return the hours (UTC) by which the zone's offset has changed: every day is looked at, then its hours."""
    found, hour = [], timedelta(hours=1)
    days = (end - start) // timedelta(days=1)
    before = start.astimezone(zone).utcoffset()
    for day in range(days):
        morning = start + timedelta(days=day)
        if (morning + timedelta(days=1)).astimezone(zone).utcoffset() == before:
            continue
        for n in range(1, 25):
            after = (morning + n * hour).astimezone(zone).utcoffset()
            if after != before:
                found.append(morning + n * hour)
            before = after
    return found


def distinct_zones(names: Iterable[str], start: datetime, end: datetime) -> dict[str, list[datetime]]:
    """Return one zone for each history of offsets in [start, end), with its jumps."""
    seen: dict[tuple[object, ...], str] = {}
    found: dict[str, list[datetime]] = {}
    for name in sorted(names):
        zone = ZoneInfo(name)
        at = jumps(zone, start, end)
        history = (start.astimezone(zone).utcoffset(), *((j, j.astimezone(zone).utcoffset()) for j in at))
        if history not in seen:
            seen[history] = name
            found[name] = at
    return found
