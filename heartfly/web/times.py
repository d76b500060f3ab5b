"""Instants and durations as a page shows them: in the reader's zone, with UTC and the distance from now beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from markupsafe import Markup

from heartfly.core.spans import span
from heartfly.core.zones import zone as known_zone
from heartfly.errors import InvalidValueError

CARRIED = frozenset({"check", "utc"})
"""What `?tz=` can ask for that is not the reader's own zone."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class Times:
    def __init__(self, now: datetime, zone: str) -> None:
        self.now = now
        self._zone = _known(zone)
        self.zone = self._zone.key
        self._ago: dict[datetime, Markup] = {}
        self._today = now.astimezone(self._zone).date()

    def when(self, at: datetime) -> Markup:
        """The instant, with the date if it is not today."""
        local = at.astimezone(self._zone)
        text = f"{local:%H:%M:%S}" if local.date() == self._today else f"{local:%Y-%m-%d %H:%M:%S}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(_iso(at), _utc(at), text)

    def clock_of(self, at: datetime) -> str:
        return f"{at.astimezone(self._zone):%H:%M:%S}"

    def stamp(self, at: datetime) -> str:
        """Plain text, with the zone; with the date if it is not today."""
        local = at.astimezone(self._zone)
        date = "" if local.date() == self._today else f"{local:%Y-%m-%d} "
        return f"{date}{local:%H:%M:%S} {self.zone}"

    @staticmethod
    def rough(seconds: float) -> str:
        return rough(seconds)

    @staticmethod
    def exact(seconds: float) -> str:
        """Of what somebody has set, or is to compare, as the command line has it: `2 min 10 s`."""
        return span(timedelta(seconds=seconds))

    def day(self, at: datetime) -> Markup:
        """With weekday and date, to the minute unless it has seconds."""
        local = at.astimezone(self._zone)
        clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
        parts = '<time datetime="{}" title="{}"><span>{:%a %Y-%m-%d}</span> <span>{}</span></time>'
        return Markup(parts).format(_iso(at), _utc(at), local, clock)  # noqa: S704 - a constant, filled in escaped

    def minute(self, at: datetime) -> Markup:
        return Markup('<time datetime="{}" title="{}">{:%H:%M}</time>').format(
            _iso(at), _utc(at), at.astimezone(self._zone)
        )

    def ago(self, at: datetime) -> Markup:
        """How far from now it is, such as `41 min ago` or `in 2 h`."""
        said = self._ago.get(at)
        if said is None:
            # Nothing of it comes from outside; a long list asks for thousands, so it is not escaped piece by piece.
            said = Markup(f'<time datetime="{_iso(at)}" title="{_utc(at)}" data-rel>{distance(at - self.now)}</time>')  # noqa: S704
            self._ago[at] = said
        return said

    def both(self, at: datetime) -> Markup:
        far = Markup('<time class="dim" datetime="{}" data-rel>{}</time>').format(_iso(at), distance(at - self.now))
        return Markup("{} {}").format(self.when(at), far)


@dataclass(frozen=True, slots=True)
class Choice:
    """A zone that the times of a page can be shown in."""

    word: str
    zone: str
    address: str
    is_shown: bool
    is_next: bool
    """To which a key goes on."""


class Zones:
    """Which zones a page can show its times in, and which it does: `?tz=mine`, `check` or `utc`."""

    def __init__(self, mine: str, of_check: str | None, *, asked: str) -> None:
        self._zones = {"mine": mine} | ({} if of_check is None else {"check": of_check}) | {"utc": "UTC"}
        self._asked = asked if asked in self._zones else "mine"

    @property
    def shown(self) -> str:
        return self._zones[self._asked]

    def choices(self, path: str, query: Sequence[tuple[str, str]]) -> list[Choice]:
        """Empty: all are the same. The address keeps the rest of what was asked."""
        if len(set(self._zones.values())) == 1:
            return []
        words = list(self._zones)
        then = words[(words.index(self._asked) + 1) % len(words)]
        rest = [(name, value) for name, value in query if name != "tz"]
        return [
            Choice(
                word,
                zone,
                f"{path}?{urlencode([*rest, ('tz', word)])}",
                is_shown=word == self._asked,
                is_next=word == then,
            )
            for word, zone in self._zones.items()
        ]


def _known(zone: str) -> ZoneInfo:
    try:
        return known_zone(zone, field="zone")
    except InvalidValueError:
        return known_zone("UTC", field="zone")  # it was removed from the list since he chose it


def distance(delta: timedelta) -> str:
    seconds = delta.total_seconds()
    said = rough(abs(seconds))
    if said == "0 s":
        return "now"
    return f"in {said}" if seconds > 0 else f"{said} ago"


def rough(seconds: float) -> str:
    """One unit, two below ten hours and days."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 10 * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    if whole < _DAY:
        return f"{whole // _HOUR} h"
    if whole < 10 * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    return f"{whole // _DAY} d"


def lasted(microseconds: int | None) -> str:
    """A run's duration: exact where that is short."""
    if microseconds is None:
        return "–"
    seconds = microseconds / 1_000_000
    if seconds < 1:
        return f"{microseconds / 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < _MINUTE else rough(seconds)


def _two(whole: int, size: int, name: str, small: int, small_name: str) -> str:
    rest = whole % size // small
    return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
