"""Requests in the spelling of as_event.py: bodies, read in half the time that core/plain_events.py takes, and pages.

One expression knows the names and their order, so that nothing is taken apart and written again. What is spelled
otherwise in any way is not judged here: None, and it is read as any event. What is read here is the same to
the last byte of its fingerprint; a property test compares both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any

from heartfly.core.access.as_event import TYPE
from heartfly.core.events import FUTURE, MAX_BYTES, MAX_ID, MAX_SUBJECT, Event, fingerprint_of
from heartfly.core.plain_events import instant, is_known_plain, iso

_LETTER = r"[ !#-\[\]-~]"
"""What can be printed, of ASCII, but a quotation mark and a backslash."""
_TEXT = rf'"{_LETTER}*+"'
_WHOLE = r"(?:0|[1-9][0-9]{0,17}+)"
_NUMBER = rf"{_WHOLE}(?:\.[0-9]{{1,12}}+)?+"
_BEGIN = (
    rf'\{{"transaction_id":"({_LETTER}{{1,{MAX_ID}}}+)","customer_id":"({_LETTER}{{1,{MAX_SUBJECT}}}+)",'
    rf'"timestamp":"([0-9T:.Z+-]{{20,40}}+)","event_type":"{re.escape(TYPE)}","properties":'
)
_END = r"\}(?:,(?=\{)|\]\Z)"
_N_FIXED = len('{"transaction_id":"","customer_id":"","timestamp":"","event_type":"","properties":},') + len(TYPE)
_WHO = rf'(?:"host":{_TEXT},)?+(?:"ip":{_TEXT},)?+(?:"key":{_TEXT},)?+'
_WHAT = rf'"method":{_TEXT},"path":{_TEXT},'
_WHERE = rf'"route":{_TEXT},(?:"rules":{_TEXT},)?+(?:"source":{_TEXT},)?+"status":'
_CLASS = rf',"status_class":{_TEXT}'
_AGENT = rf'(?:,"user_agent":{_TEXT})?+\}}'
_FEW = re.compile(
    rf'{_BEGIN}((\{{{_WHO}{_WHAT}(?:"request_id":{_TEXT},)?+)"response_bytes":({_WHOLE}),'
    rf"({_WHERE})([1-9][0-9][0-9])({_CLASS}{_AGENT})){_END}"
)
"""Of nearly all logs: numbers are the size of the answer and the status."""
_ALL = re.compile(
    rf'{_BEGIN}((\{{{_WHO})(?:"latency_ms":({_NUMBER}),)?+({_WHAT})(?:"request_bytes":({_WHOLE}),)?+'
    rf'((?:"request_id":{_TEXT},)?+)(?:"response_bytes":({_WHOLE}),)?+({_WHERE})([1-9][0-9][0-9])({_CLASS})'
    rf'(?:,"upstream_ms":({_NUMBER}))?+({_AGENT})){_END}'
)
"""Of those that tell times, too; each number may be missing."""


def spelled_events(content: bytes, *, now: datetime, oldest: datetime, most: int) -> list[Event] | None:
    """All of them; None: there is one, or the whole, that is not spelled so. Otherwise as `plain_events`."""
    if not content.startswith(b'[{"transaction_id":"'):
        return None
    text = content.decode("latin-1")  # of which nothing is read that is not ASCII
    has_few = _FEW.match(text, 1) is not None
    found = (_FEW if has_few else _ALL).findall(text, 1)
    if not 0 < len(found) <= most:
        return None
    ids, subjects, times, exact, *parts = zip(*found, strict=True)
    # Each match ends where the next one may begin: if nothing lies between them, they are as long as the whole.
    n_read = sum(sum(map(len, column)) for column in (ids, subjects, times, exact))
    if n_read + len(found) * _N_FIXED + 1 != len(text):
        return None
    if 4 * max(map(len, exact)) > MAX_BYTES or not all(map(is_known_plain, set(subjects), repeat(MAX_SUBJECT))):
        return None
    if any(map(str.isspace, ids)):
        return None
    ats = {one: instant(one) for one in set(times)}
    if not all(at is not None and oldest <= at <= now + FUTURE for at in ats.values()):
        return None
    loose = _loose(parts) if has_few else _loose_of_all(parts)
    heads = {
        (who, time): f"{who}\0{_told(ats[time])}\0{TYPE}\0" for who, time in set(zip(subjects, times, strict=True))
    }
    told = zip(subjects, times, loose, strict=True)
    prints = [fingerprint_of(f"{heads[who, time]}{rest}".encode()) for who, time, rest in told]
    whens = [ats[one] for one in times]
    return list(map(Event._make, zip(ids, subjects, whens, repeat(TYPE), exact, prints)))


def _told(at: datetime | None) -> str:
    assert at is not None
    return iso(at)


def _loose(parts: list[Any]) -> list[str]:
    """Properties with numbers as texts."""
    return [
        f'{before}"response_bytes":"{size}",{where}"{status}"{rest}'
        for before, size, where, status, rest in zip(*parts, strict=True)
    ]


def _loose_of_all(parts: list[Any]) -> list[str]:
    """The same, where some events may have a number that others have not."""
    columns: list[Any] = []
    for column, name in zip(parts, _PARTS, strict=True):
        n_untold = column.count("")
        if name is None:
            columns.append(column)
        elif n_untold == 0:
            columns += [repeat(name[0]), column, repeat(name[1])]
        elif n_untold < len(column):
            columns.append([f"{name[0]}{one}{name[1]}" if one else "" for one in column])
    return list(map("".join, zip(*columns)))  # noqa: B905 - `repeat` has no end


_PARTS = (
    None, ('"latency_ms":"', '",'), None, ('"request_bytes":"', '",'), None, ('"response_bytes":"', '",'),
    None, ('"', '"'), None, (',"upstream_ms":"', '"'), None,
)  # fmt: skip
"""What stands before and after the number that is in a part; None: it holds none."""


_COLUMNS = re.compile(
    rf'^\{{{_WHO}(?:"latency_ms":({_NUMBER}),)?+"method":"({_LETTER}++)","path":"({_LETTER}++)",'
    rf'(?:"request_bytes":({_WHOLE}),)?+(?:"request_id":"({_LETTER}++)",)?+(?:"response_bytes":({_WHOLE}),)?+'
    rf'"route":"({_LETTER}++)",(?:"rules":"({_LETTER}++)",)?+(?:"source":{_TEXT},)?+"status":([1-9][0-9][0-9]){_CLASS}'
    rf'(?:,"upstream_ms":{_NUMBER})?+{_AGENT}$',
    re.MULTILINE,
)
_NAMES = ("latency_ms", "method", "path", "request_bytes", "request_id", "response_bytes", "route", "rules", "status")


def spelled_columns(properties: Sequence[str]) -> Mapping[str, Sequence[str | None]]:
    """What requests tell by these names, numbers as texts, for `core.columns.Page`. Empty: one is spelled otherwise.

    `properties`: as `core.events.written` wrote them, which has no line feed.
    """
    text = "\n".join(properties)
    found = _COLUMNS.findall(text) if _COLUMNS.match(text) else ()
    if len(found) != len(properties) or not found:
        return {}
    return {name: _told_or_not(column) for name, column in zip(_NAMES, zip(*found, strict=True), strict=True)}


def _told_or_not(column: Sequence[str]) -> Sequence[str | None]:
    n = column.count("")
    return column if n == 0 else [None] * len(column) if n == len(column) else [one or None for one in column]
