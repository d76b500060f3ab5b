"""What a page of requests shows, by its address: which time, beside which time before, which requests, and how.

All of it stands in the query, so that Back, links and other people find the same. Every link of such a page is made
here: it keeps what the address has, and adds or takes away one thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, TypeVar
from urllib.parse import quote_plus
from zoneinfo import ZoneInfo

from heartfly.core import text
from heartfly.core.days import ONE, day_in, day_of
from heartfly.core.windows import HOUR, Size, Window, window_at
from heartfly.errors import InvalidValueError
from heartfly.traffic.asked import Asked, Order

Result = TypeVar("Result")

RANGES: Mapping[str, str] = {"1h": "1 h", "24h": "24 h", "7d": "7 d", "30d": "30 d", "90d": "90 d"}
USUAL = "7d"
FILTERS = ("endpoint", "customer", "method", "status", "key", "source")
"""Names in the query; each may be there several times."""
HEATS: Mapping[str, str] = {"p95": "p95", "p99": "p99", "errors": "errors", "requests": "requests"}
ORDERS: Mapping[str, str] = {
    Order.REQUESTS: "requests", Order.ERRORS: "server errors", Order.CLIENT_ERRORS: "client errors", Order.P95: "p95",
    Order.LATENCY: "longest", Order.BYTES: "bytes", Order.TIME: "time spent",
}  # fmt: skip
MOST_VALUES = 20
"""Of one filter."""
_MOST = 300
_MINUTE = timedelta(minutes=1)
_INSTANT = timedelta(microseconds=1)
_BY_SECONDS, _BY_MINUTES, _BY_HOURS, _BY_DAYS = 10 * _MINUTE, timedelta(hours=6), timedelta(days=8), timedelta(days=120)
_LONGEST = timedelta(days=3_700)
_STATUS = re.compile(r"[1-5]xx|[1-9][0-9]{2}|unknown", re.ASCII)
_METHOD = re.compile(r"[A-Z][A-Z_-]{0,31}")
_DAYS = {"7d": 7, "30d": 30, "90d": 90}
_PARTS = {"1h": (_MINUTE, 60), "24h": (HOUR, 24)}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """`word`: of RANGES; empty: from and to stand in the address. `size`: of the windows of a series. `before`: the
    same of the period before, up to where this one has come; None: nobody wants to compare. `path`: of the page,
    `root`: of the pages of usage. `scope`: the filter that the page itself is. `names`: of the filters of its pages.
    `keys`: they are counted, too, which takes long. `slo_ms`: what p95 is not to exceed; None: nobody said.
    """

    root: str
    path: str
    asked: Asked
    before: Asked | None
    word: str
    size: Size
    query: Mapping[str, Sequence[str]]
    log: bool
    heat: str
    order: Order
    scope: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    names: Sequence[str] = FILTERS
    keys: bool = False
    slo_ms: int | None = None

    @property
    def zone(self) -> ZoneInfo:
        return self.asked.zone

    def link(
        self,
        path: str | None = None,
        *,
        add: Mapping[str, str | Sequence[str]] | None = None,
        less: tuple[str, str] | None = None,
        **there: str,
    ) -> str:
        """The address with one thing changed. `add`: filters, which take the place of those of the same name; `less`:
        a value that goes; `there`: what is once only, an empty one is left out. `path`: below the pages of usage;
        None: this page.
        """
        query = {name: list(values) for name, values in self.query.items()}
        if path is not None:  # another page does not know what this one is about
            query |= {name: [value] for name, value in self.scope.items()}
        for name, value in (add or {}).items():
            query[name] = [value] if isinstance(value, str) else list(value)
        if less is not None:
            query[less[0]] = [one for one in query.get(less[0], []) if one != less[1]]
        if there.keys() & {"from_at", "to_at", "range"}:
            query = {name: values for name, values in query.items() if name not in {"range", "from", "to"}}
        for name, value in there.items():
            query[name.removesuffix("_at")] = [value] if value else []
        pairs = [(name, value) for name, values in query.items() for value in values]
        where = self.path if path is None else self.root + path
        if not pairs:
            return where
        return f"{where}?{'&'.join([f'{_quoted(name)}={_quoted(value)}' for name, value in pairs])}"

    def of_window(self, window: Window, path: str | None = "/requests", **filters: str) -> str:
        """The single requests of it."""
        return self.link(path, add=filters, from_at=iso(window.from_at), to_at=iso(window.to_at))

    def statuses_in(self, word: str) -> Sequence[str]:
        """Of a class or code what the filter lets through, as filters; empty: nothing."""
        asked = self.query.get("status", ())
        if not asked or word in asked or f"{word[0]}xx" in asked:
            return (word,)
        return [one for one in asked if one[0] == word[0]] if word.endswith("xx") else ()

    @property
    def chips(self) -> Sequence[tuple[str, str, str]]:
        """Name and value of each filter, and the address without it."""
        return [
            (name, value, self.link(less=(name, value))) for name in self.names for value in self.query.get(name, ())
        ]

    @property
    def kept(self) -> Sequence[tuple[str, str]]:
        """What the form of the bar has no field for, and must not lose. Times that are typed win over a range."""
        has_field = {"from", "to", "slo"}
        return [(name, value) for name, values in self.query.items() if name not in has_field for value in values]

    def local(self, at: datetime) -> str:
        """As a browser's own field for a time wants it, in the zone of the days."""
        local = at.astimezone(self.zone)
        return f"{local:%Y-%m-%dT%H:%M:%S}" if local.second else f"{local:%Y-%m-%dT%H:%M}"


_quoted = lru_cache(4_096)(quote_plus)
"""A page has hundreds of links, of a few words."""


def view_of(
    pairs: Sequence[tuple[str, str]], *, root: str, path: str, zone: ZoneInfo, now: datetime, **scope: str
) -> View:
    """`pairs`: the query. `scope`: a filter that the page itself is, such as its customer, and that no address names.

    What is wrong in it is told by the name of its field in `errors`, and left out.
    """
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if cleaned := value.strip():
            given.setdefault(name, []).append(cleaned)
    errors: dict[str, str] = {}
    filters = {name: _tried(errors, name, partial(_filter, name, given.get(name, []))) or () for name in FILTERS}
    word = _first(given, "range")
    if word not in RANGES:
        if word:
            errors["range"] = f"must be one of {', '.join(RANGES)}"
        word = ""
    span = _tried(errors, "to", partial(_from_to, given, zone, now))
    word = "" if span is not None else word or USUAL
    from_at, to_at = span or _latest(word, zone, now)
    size = _size(to_at - from_at)
    query: dict[str, Sequence[str]] = {name: values for name, values in filters.items() if values}
    if span is not None:
        query |= {"from": (_first(given, "from"),), "to": (_first(given, "to"),)}
        query = {name: values for name, values in query.items() if any(values)}
    elif word != USUAL:
        query["range"] = (word,)
    heat = _chosen(errors, given, "heat", HEATS)
    order = _chosen(errors, given, "by", ORDERS)
    counts_keys = _first(given, "keys") == "1"
    slo = _tried(errors, "slo", partial(_slo, _first(given, "slo")))
    has_log, compares = _first(given, "log") == "1", _first(given, "compare") != "0"
    for name, value in (
        ("heat", heat),
        ("by", order),
        ("log", "1" if has_log else ""),
        ("compare", "" if compares else "0"),
        ("keys", "1" if counts_keys else ""),
        ("slo", f"{slo or ''}"),
    ):
        if value and value not in _USUAL_WORDS:
            query[name] = (value,)
    wanted: dict[str, Any] = {_PLURAL[name]: values for name, values in filters.items()} | {
        _PLURAL[name]: (value,) for name, value in scope.items()
    }
    asked = Asked(from_at=from_at, to_at=to_at, zone=zone, **wanted)
    return View(
        root=root, path=path, asked=asked, before=_before(asked, size, now) if compares else None, word=word, size=size,
        query=query, log=has_log, heat=heat, order=Order(order), scope=scope, errors=errors,
        keys=counts_keys, slo_ms=slo,
    )  # fmt: skip


def _slo(given: str) -> int | None:
    """InvalidValueError."""
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) <= 8 and 0 < int(given) <= _LONGEST_SLO_MS):
        raise InvalidValueError("slo", f"must be a whole number of milliseconds, 1 to {_LONGEST_SLO_MS:,}")
    return int(given)


_LONGEST_SLO_MS = 3_600_000
_USUAL_WORDS = frozenset({next(iter(HEATS)), next(iter(ORDERS))})
_PLURAL = {
    "endpoint": "endpoints", "customer": "customers", "method": "methods", "status": "statuses", "key": "keys",
    "source": "sources",
}  # fmt: skip


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _before(asked: Asked, size: Size, now: datetime) -> Asked | None:
    """As long as what has passed of this one: a day that is half over is compared with the half of another.

    What is days of the zone, or is shown by them, has as many of them before it, however many hours each has, and
    whole months have months. Of more than two days to the hour, which rollups hold; None: there is no such time.
    """
    length = asked.to_at - asked.from_at
    step = HOUR if length > timedelta(days=2) else _MINUTE
    until = min(asked.to_at, ceil(now + _INSTANT, step))  # of what begins now there is nothing yet, and it is shown
    if until <= asked.from_at:
        return None
    try:
        back = _backwards(asked, size)
        return replace(asked, from_at=back(asked.from_at), to_at=back(until))
    except OverflowError:
        return None


def one_to_one(now: Sequence[Window], before: Sequence[Window], view: View) -> bool:
    """Whether each of these windows has one of the time before: as far into its day or month, or behind the first."""

    def places(found: Sequence[Window]) -> list[object]:
        if view.size not in {Size.DAY, Size.MONTH}:
            return [one.from_at - found[0].from_at for one in found]
        starts = [one.from_at.astimezone(view.zone) for one in found]
        return [(at.day if view.size is Size.MONTH else 0, at.time()) for at in starts]

    return places(now) == places(before)


def _backwards(asked: Asked, size: Size) -> Callable[[datetime], datetime]:
    """Where an instant of it lies in the time before."""
    zone, length = asked.zone, asked.to_at - asked.from_at
    first, last = (day_of(zone, at) for at in (asked.from_at, asked.to_at - _INSTANT))
    are_days = all(day_in(zone, day_of(zone, at)).from_at == at for at in (asked.from_at, asked.to_at))
    if not are_days and size not in {Size.DAY, Size.MONTH}:
        return lambda at: at - length
    end = last + ONE
    if are_days and size is Size.MONTH and first.day == end.day == 1:
        months = 12 * (end.year - first.year) + end.month - first.month
        return lambda at: _in_window(Size.MONTH, zone, at, lambda day: _months_before(day, months))
    days = end - first
    return lambda at: _in_window(Size.DAY, zone, at, lambda day: day - days)


def _in_window(size: Size, zone: ZoneInfo, at: datetime, earlier: Callable[[date], date]) -> datetime:
    """As far into the earlier day or month as the instant is into its own, and no farther than to its end."""
    own = window_at(size, zone, at)
    from_at = day_in(zone, earlier(day_of(zone, own.from_at))).from_at
    return min(from_at + (at - own.from_at), window_at(size, zone, from_at).to_at)


def _months_before(first: date, months: int) -> date:
    years, month = divmod(12 * first.year + first.month - 1 - months, 12)
    return first.replace(year=years, month=month + 1)


def ceil(at: datetime, step: timedelta) -> datetime:
    into = (at - datetime(1970, 1, 1, tzinfo=UTC)) % step
    return at if not into else at - into + step


def _latest(word: str, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """Whole windows, of which the last one holds `now`."""
    if word in _DAYS:
        today = day_of(zone, now)
        return day_in(zone, today - (_DAYS[word] - 1) * ONE).from_at, day_in(zone, today + ONE).from_at
    step, n = _PARTS[word]
    last = window_at(Size.MINUTE if step is _MINUTE else Size.HOUR, zone, now)
    return last.to_at - n * step, last.to_at


def _from_to(given: Mapping[str, Sequence[str]], zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime] | None:
    from_text, to_text = _first(given, "from"), _first(given, "to")
    if not from_text and not to_text:
        return None
    to_at = _instant(to_text, zone, "to", is_end=True) if to_text else ceil(now, HOUR)
    from_at = _instant(from_text, zone, "from") if from_text else to_at - timedelta(days=7)
    if to_at <= from_at:
        raise InvalidValueError("to", "must be later than from")
    if to_at - from_at > _LONGEST:
        raise InvalidValueError("to", "must be within ten years after from")
    return from_at, to_at


def _instant(written: str, zone: ZoneInfo, name: str, *, is_end: bool = False) -> datetime:
    """A day (as an end: all of it), or a time, of the project's zone unless it names another."""
    try:
        if len(written) == 10:
            day = date.fromisoformat(written)
            return _within(day_in(zone, day + ONE if is_end else day).from_at, name)
        found = datetime.fromisoformat(written.replace(" ", "+"))  # a plus in an address is a space
        return _within(found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=zone).astimezone(UTC), name)
    except (ValueError, OverflowError):
        raise InvalidValueError(name, "must be a day such as 2026-03-01, or a time such as 2026-03-01T14:00") from None


def _within(at: datetime, name: str) -> datetime:
    if not 1970 < at.year < 2199:
        raise InvalidValueError(name, "must be within 1971 to 2198")
    return at


def _size(length: timedelta) -> Size:
    if length <= _BY_SECONDS:
        return Size.SECOND
    if length <= _BY_MINUTES:
        return Size.MINUTE
    if length <= _BY_HOURS:
        return Size.HOUR
    return Size.DAY if length <= _BY_DAYS else Size.MONTH


def _filter(name: str, values: Sequence[str]) -> tuple[str, ...]:
    if len(values) > MOST_VALUES:
        raise InvalidValueError(name, f"must be {MOST_VALUES} values at most")
    for value in values:
        text.one_line(value, field=name, most=_MOST)
    if name == "method":
        values = [value.upper() for value in values]
        if not all(_METHOD.fullmatch(value) for value in values):
            raise InvalidValueError(name, "must be a method such as GET")
    if name == "status" and not all(_STATUS.fullmatch(value) for value in values):
        raise InvalidValueError(name, "must be a class such as 5xx, a code such as 404, or unknown")
    return tuple(dict.fromkeys(values))


def _tried(errors: dict[str, str], name: str, work: Callable[[], Result]) -> Result | None:
    try:
        return work()
    except InvalidValueError as error:
        errors[error.field or name] = error.message
        return None


def _chosen(errors: dict[str, str], given: Mapping[str, Sequence[str]], name: str, known: Mapping[str, str]) -> str:
    word = _first(given, name) or next(iter(known))
    if word in known:
        return word
    errors[name] = f"must be one of {', '.join(known)}"
    return next(iter(known))


def _first(given: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(given.get(name, ())), "")
