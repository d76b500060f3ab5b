"""The transaction id of a line of a log: a hash of its bytes, behind the time that it says (decisions 26 and 51).

It is made of the line, and of how many like it came before in its file: not of where the file lies, what it is called,
or where in it the line stands. So no rotation, packing or copy makes another event of it. Nor does another mapping: the
time is what stands in the line first, as text, and not what a format makes of it. It is there for the order, in which
lines of one time are kept beside each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b as _blake2b
from itertools import islice
from operator import le

_START = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 1).toordinal()
_REMEMBERED = 131_072
_BYTES = 12
_MOST_TIMES = 10_000
_BACK = timedelta(hours=1)
_CLF = re.compile(rb'[\["](\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)')
_LENGTH = len(b"[17/May/2015:10:05:03")
_MONTHS = {
    name: n for n, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)
}  # fmt: skip
_ISO = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[T\t ](\d\d):(\d\d):(\d\d)")
_EPOCH = re.compile(rb"(1[4-9]\d{8})(?<![\w.-]\d{10})(?:\d{3})?(?![\w-])")
"""Seconds or milliseconds, from 2014 to 2033; a number that stands alone."""


class Ids:
    """Of one file's lines, in their order."""

    def __init__(self, source: str = "") -> None:
        self._source = source.encode() + b"\0"
        self._new: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        self._at = _START
        self._first: bytes | None = None

    def of(self, line: bytes, at: datetime) -> str:
        """`line` without its end.

        Equal lines lie near one another, as their times are equal: only what came lately is remembered. Where time goes
        back by more than an hour another file begins, as in `cat access.log access.log.1`, and counting with it; and
        where it goes back to the first line, as in `cat access.log access.log`.
        """
        return self._named(_digest(self._source + line), line, at)

    def of_all(self, lines: Sequence[bytes], ats: Sequence[datetime]) -> list[str]:
        """As `of`, of one after the other. Where time goes on and no line is like another, in half the time."""
        source = self._source
        digests = [_blake2b(source + line, digest_size=_BYTES).digest() for line in lines]
        each_once = dict.fromkeys(digests, 1)
        if len(each_once) < len(digests) or not self._are_others(each_once, ats):
            return list(map(self._named, digests, lines, ats))
        self._first = self._first or digests[0]
        self._at = ats[-1]
        self._new |= each_once
        return _ids(digests, _TIMES.of_all(lines))

    def _are_others(self, digests: Mapping[bytes, int], ats: Sequence[datetime]) -> bool:
        if not digests or len(self._new) + len(digests) > _REMEMBERED:
            return False
        goes_on = self._at <= ats[0] and all(map(le, ats, islice(ats, 1, None)))
        return goes_on and all(known.keys().isdisjoint(digests) for known in (self._new, self._old))

    def _named(self, digest: bytes, line: bytes, at: datetime) -> str:
        if at < self._at and (at < self._at - _BACK or digest == self._first):
            self._new, self._old, self._first = {}, {}, None
        self._first = self._first or digest
        self._at = at
        n = self._new.get(digest)
        if n is None:
            n = self._old.get(digest, 0)
        if len(self._new) >= _REMEMBERED:
            self._old, self._new = self._new, {}
        self._new[digest] = n + 1
        (time,) = _TIMES.of_all((line,))
        return _id(_digest(b"%b-%d" % (digest, n)) if n else digest, time)


def _digest(line: bytes) -> bytes:
    return _blake2b(line, digest_size=_BYTES).digest()


def _id(digest: bytes, time: str) -> str:
    """A UUID of version 8, whose bits are ours to choose: 36 of the time in seconds, 84 of the hash. Of a line that
    says no time 96 bits of the hash.
    """
    text = digest.hex()
    return f"{time}{text[:3]}-8{text[3:6]}-8{text[6:9]}-{text[9:21]}" if time else text


_BEGINNING, _LENGTH_OF_ID = len("018f3c5a-1"), 36
_PLACES = [place for place in range(_BEGINNING, _LENGTH_OF_ID) if place not in {13, 14, 18, 19, 23}]
"""Where digits of the hash stand in an id."""
_MARKS = b"--------------8----8----------------"
"""And what stands in all ids, at its places."""


def _ids(digests: Sequence[bytes], times: Sequence[str]) -> list[str]:
    """As `_id` of each, in half the time where all say one: of all ids the same character at once."""
    n, beginnings = len(times), "".join(times)
    if {*map(len, times)} != {_BEGINNING}:
        return list(map(_id, digests, times))
    told, digits = beginnings.encode(), b"".join(digests).hex().encode()
    ids = bytearray(_MARKS * n)
    for place in range(_BEGINNING):
        ids[place::_LENGTH_OF_ID] = told[place::_BEGINNING]
    for place, to in enumerate(_PLACES):
        ids[to::_LENGTH_OF_ID] = digits[place :: 2 * _BYTES]
    joined = ids.decode()
    return [joined[start : start + _LENGTH_OF_ID] for start in range(0, _LENGTH_OF_ID * n, _LENGTH_OF_ID)]


class _Times(dict[bytes, str]):
    """Of times as lines write them: how a UUID begins with them; empty: it is none, or cannot be told so."""

    def of_all(self, lines: Sequence[bytes]) -> list[str]:
        known = [self[line[(start := line.find(b"[")) : start + _LENGTH]] for line in lines]
        return known if all(known) else [one or _other(line) for one, line in zip(known, lines, strict=True)]

    def __missing__(self, text: bytes) -> str:
        found = _CLF.fullmatch(text)
        told = "" if found is None else _of_clf(found)
        if len(self) >= _MOST_TIMES:
            self.clear()
        self[text] = told
        return told


_TIMES = _Times()


def _other(line: bytes) -> str:
    """Of a line whose first bracket opens no time. A date before a number, which may be anything."""
    if (found := _ISO.search(line)) is not None:
        return _told((int(found[1]), int(found[2]), int(found[3])), found.group(4, 5, 6))
    if (found := _CLF.search(line)) is not None:
        return _of_clf(found)
    return "" if (found := _EPOCH.search(line)) is None else _beginning(int(found[1]))


def _of_clf(found: re.Match[bytes]) -> str:
    return _told((int(found[3]), _MONTHS.get(found[2], 0), int(found[1])), found.group(4, 5, 6))


def _told(day: tuple[int, int, int], time: Sequence[bytes]) -> str:
    """`day`: year, month, day; `time`: hour, minute, second."""
    try:
        days = date(*day).toordinal() - _FIRST_DAY
    except ValueError:
        return ""
    hour, minute, second = map(int, time)
    return _beginning(days * 86_400 + hour * 3_600 + minute * 60 + second) if days >= 0 else ""


def _beginning(seconds: int) -> str:
    digits = f"{seconds:09x}"
    return f"{digits[:8]}-{digits[8]}"
