"""Rows of a CSV of calls to other people's APIs, and the event `api.call` that is made of each.

Which column is which property is said by the user, or by a header that is a property's name. What cannot be read makes
its row unread, with a reason: no amount is guessed or rounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from json.encoder import encode_basestring
from typing import NamedTuple
from zoneinfo import ZoneInfo

from heartfly.core.amounts import amount, text_of
from heartfly.core.events import MAX_ID, MAX_SUBJECT, instant_of, wrong_text
from heartfly.errors import InvalidValueError

TYPE = "api.call"
ANONYMOUS = "anonymous"
UNKNOWN = "unknown"
TIME, CUSTOMER, PROVIDER, REQUEST_ID, ID = "time", "customer", "provider", "request_id", "id"
LATENCY_S = "latency_s"
PROMPT, COMPLETION = "prompt_tokens", "completion_tokens"
"""As most providers tell them: with those that were read from a cache, and those that were thought."""
_TEXTS = ("model", "endpoint", "tier", "user", "key", "tags", "error", "currency")
_AMOUNTS = ("latency_ms", LATENCY_S, "cost", PROMPT, COMPLETION)
NAMES = (TIME, CUSTOMER, PROVIDER, REQUEST_ID, ID, "status", *_TEXTS, *_AMOUNTS)
"""What a column can be, besides `units.KIND`."""
_UNITS = re.compile(r"units\.[a-z0-9][a-z0-9_]{0,59}", re.ASCII)
_MOST = 512
_NAIVE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(\.\d{1,18})?)?", re.ASCII)
_EPOCH_S = re.compile(r"(\d{9,10})(?:\.(\d{1,9}))?", re.ASCII)
_EPOCH_MS = re.compile(r"\d{12,13}", re.ASCII)
_START = datetime(1970, 1, 1, tzinfo=UTC)
_CONTEXT = Context(prec=100)
"""Python's own rounds to 28 digits."""
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


class Unread(str):
    """Why a row cannot be read."""

    __slots__ = ()


class Row(NamedTuple):
    """A call. `text`: its event as JSON."""

    at: datetime
    text: str
    customer: str
    provider: str


class _Wrong(Exception):  # noqa: N818 - a word of this file's own
    """It becomes Unread."""


class Columns:
    """Of one file: which cell is what. `fixed`: properties that are the same in each row."""

    def __init__(
        self, header: Sequence[str], mapped: Mapping[str, str], fixed: Mapping[str, str], zone: ZoneInfo | None
    ) -> None:
        """`mapped`: property by column; a column that is not named there is what it is called, if that is one.

        InvalidValueError: a column is not there, a property is none, is said twice, or is missing.
        """
        names = [name.strip() for name in header]
        for column, wanted in mapped.items():
            if column not in names:
                raise InvalidValueError("map", f"{column} is none of the file's columns: {', '.join(names)}"[:1_000])
            if names.count(column) > 1:
                raise InvalidValueError("map", f"{column} is the name of two columns")
            _demand(wanted, "map")
        for wanted in fixed:
            _demand(wanted, "set")
        found: dict[str, int] = {}
        for place, column in enumerate(names):
            is_said = mapped.get(column)
            name = is_said or (column.lower() if _is_property(column.lower()) else None)
            if name is None or (is_said is None and (name in mapped.values() or name in fixed)):
                continue
            if name in found or name in fixed:
                raise InvalidValueError("map", f"{name} is said twice")
            found[name] = place
        if TIME not in found:
            raise InvalidValueError("map", f"must say which column is the time, such as COLUMN={TIME}")
        if PROVIDER not in found and PROVIDER not in fixed:
            raise InvalidValueError("map", f"must say which column is the {PROVIDER}, or --set {PROVIDER}=NAME")
        for whole, part in ((PROMPT, "units.input_tokens"), (COMPLETION, "units.output_tokens")):
            if whole in {*found, *fixed} and part in {*found, *fixed}:
                raise InvalidValueError("map", f"{whole} and {part} would count the same tokens twice")
        self.found: Mapping[str, int] = found
        self._fixed = fixed
        self._n = len(names)
        self._zone = zone

    def row(self, cells: Sequence[str], name: Callable[[], str]) -> Row | Unread:
        """`name`: of a row that has no id of its own."""
        if len(cells) != self._n:
            return Unread(f"has {len(cells)} columns, and the first line {self._n}")
        told = dict(self._fixed)
        told |= {name: text for name, place in self.found.items() if (text := cells[place].strip())}
        try:
            at = _time(told.pop(TIME, ""), self._zone)
            properties = _properties(told)
            subject = _text(CUSTOMER, told.get(CUSTOMER) or ANONYMOUS, MAX_SUBJECT)
            provider = properties[PROVIDER]
            id_ = _id(told, provider, name)
        except _Wrong as wrong:
            return Unread(str(wrong))
        spelled = ",".join(f"{_quoted(key)}:{_quoted(properties[key])}" for key in sorted(properties))
        when = at.isoformat().replace("+00:00", "Z")
        text = (
            f'{{"transaction_id":{_quoted(id_)},"customer_id":{_quoted(subject)},"timestamp":"{when}",'
            f'"event_type":"{TYPE}","properties":{{{spelled}}}}}'
        )
        return Row(at, text, subject, provider)


_quoted = encode_basestring


def _demand(name: str, where: str) -> None:
    if not _is_property(name):
        raise InvalidValueError(where, f"{name} is none of {', '.join(NAMES)}, and no units.KIND")


def _is_property(name: str) -> bool:
    return name in NAMES or _UNITS.fullmatch(name) is not None


def _properties(told: Mapping[str, str]) -> dict[str, str]:
    found = {PROVIDER: _text(PROVIDER, told.get(PROVIDER) or UNKNOWN, _MOST)}
    for name in (*_TEXTS, REQUEST_ID):
        if name in told:
            found[name] = _text(name, told[name], _MOST)
    if (status := told.get("status")) is not None:
        if not (status.isascii() and status.isdecimal() and len(status) <= 3):
            raise _Wrong("its status is no number of up to three digits")
        found["status"] = status
    for name in told:
        if name.startswith("units."):
            found[name] = _amount(name, told[name])
    _tokens(told, found)
    found.setdefault("units.requests", "1")
    if "latency_ms" in told or LATENCY_S in told:
        found["latency_ms"] = _latency(told)
    if "cost" in told:
        found["cost"] = _amount("cost", told["cost"], negative=True)
        if not _CURRENCY.fullmatch(found.get("currency", "")):
            raise _Wrong("its cost has no currency of three letters: say --set currency=USD")
    else:
        found.pop("currency", None)
    return found


def _tokens(told: Mapping[str, str], found: dict[str, str]) -> None:
    """Those that are told whole are told in parts."""
    for whole, kind, parts in (
        (PROMPT, "units.input_tokens", ("units.cached_tokens", "units.cache_write_tokens")),
        (COMPLETION, "units.output_tokens", ("units.reasoning_tokens",)),
    ):
        if whole not in told:
            continue
        rest = _exact(whole, told[whole])
        for part in parts:
            rest = _CONTEXT.subtract(rest, Decimal(found.get(part, "0")))
        if rest < 0:
            raise _Wrong(f"its {whole} are fewer than those of them that are told apart")
        found[kind] = _spelled(whole, rest)


def _latency(told: Mapping[str, str]) -> str:
    if LATENCY_S in told:
        return _spelled(LATENCY_S, _CONTEXT.multiply(_exact(LATENCY_S, told[LATENCY_S]), Decimal(1_000)))
    return _amount("latency_ms", told["latency_ms"])


def _amount(name: str, text: str, *, negative: bool = False) -> str:
    found = _exact(name, text)
    if found < 0 and not negative:
        raise _Wrong(f"its {name} is negative")
    return _spelled(name, found)


def _exact(name: str, text: str) -> Decimal:
    """As it is written; with an exponent, too, as spreadsheets write them."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise _Wrong(f"its {name} is no decimal number") from None
    if not found.is_finite() or found.adjusted() > 40:
        raise _Wrong(f"its {name} is no amount of up to 20 digits")
    return found


def _spelled(name: str, value: Decimal) -> str:
    text = f"{value:f}"
    found = amount(text.rstrip("0").rstrip(".") if "." in text else text)
    if found is None:
        raise _Wrong(f"its {name} is no amount of up to 20 digits and 18 places")
    return text_of(found)


def _text(name: str, text: str, most: int) -> str:
    if len(text) > most:
        raise _Wrong(f"its {name} is longer than {most} characters")
    if (wrong := wrong_text(text)) is not None:
        raise _Wrong(f"its {name} {wrong}")
    return text


def _id(told: Mapping[str, str], provider: str, otherwise: Callable[[], str]) -> str:
    """As clients name calls: one that they have told of, and that is in the file, counts once."""
    if (own := told.get(ID)) is not None:
        return _text(ID, own, MAX_ID)
    if (request_id := told.get(REQUEST_ID)) is not None:
        return _text(REQUEST_ID, f"{provider}:{request_id}", MAX_ID)
    return otherwise()


def _time(text: str, zone: ZoneInfo | None) -> datetime:
    if not text:
        raise _Wrong("it has no time")
    if (at := instant_of(text)) is not None:
        return at
    if (fit := _EPOCH_S.fullmatch(text)) is not None:
        return _START + timedelta(seconds=int(fit[1]), microseconds=int((fit[2] or "0")[:6].ljust(6, "0")))
    if _EPOCH_MS.fullmatch(text):
        return _START + timedelta(milliseconds=int(text))
    fit = _NAIVE.fullmatch(text)
    if fit is None:
        raise _Wrong("its time is none of RFC 3339, 2026-11-28 13:00:00, or seconds or milliseconds of the epoch")
    if zone is None:
        raise _Wrong("its time has no zone: say --zone")
    try:
        wall = datetime.fromisoformat(f"{fit[1]}T{fit[2] or '00:00'}")
    except ValueError:
        raise _Wrong("its time does not exist") from None
    wall += timedelta(microseconds=int((fit[3] or ".0")[1:7].ljust(6, "0")))
    try:
        at = wall.replace(tzinfo=zone).astimezone(UTC)  # of an hour that is shown twice, the first
        there = at.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        raise _Wrong("its time does not exist") from None
    if there != wall:
        raise _Wrong(f"its time was skipped in {zone.key}, as clocks went forward")
    return at
