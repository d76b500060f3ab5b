"""Usual lines of the common and the combined format, many at once: nearly all that there are.

No escapes, a request that is one, nothing that would be cut, and behind the agent nothing, or what combined.py reads.
What is not so in any way is not judged here, and read line by line. What is read here is the same event to the last
byte; a property test compares both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from json.encoder import encode_basestring

from heartfly.core.access.as_event import (
    LAST_BYTES,
    Ips,
    Shape,
    behind_id,
    ip_told,
    network_told,
    rules_told,
)
from heartfly.core.access.combined import extras
from heartfly.core.access.request import Request, at_clf, status_of
from heartfly.core.access.request_columns import RequestColumns
from heartfly.core.paths import Rules

_LINES = re.compile(
    r'^(?:([^\s\\",{#][^\s\\",]{0,63}+) \S++ ([^\s\\"]{1,64}+) \[([^\]\n]{20,40}+)\] "'
    r'([A-Z]{3,10}+) (/[^"\\ ?#\n]{0,600}+)(?:[?#][^"\\ \n]*+)? HTTP/[\d.]{1,3}" (\d{3}) (\d{1,18}+|-)'
    r'(?: "[^"\\\n]*+" "([^"\\\n]{0,500}+)"(.*+)|((?! ").*+))|.*+)$',
    re.MULTILINE | re.ASCII,
)
"""One match for each line; one that is not usual has no groups."""
_LONGEST = 16_384
_MOST_KNOWN = 10_000
_CONTROLS = bytes({*range(32), 127} - {10})
"""Of ASCII; lines end with the one that is left out."""
_NONE = ("",) * _LINES.groups

Usual = tuple[datetime, str]
"""When it was, and its event behind the transaction id."""


@dataclass(frozen=True, slots=True)
class Parted:
    """What lines were read as. `plain`: which are usual, of nobody in particular; None: all. Of these the requests
    stand in `columns`, without ids. `others`: of each other line, in order. None: it is not usual.
    """

    columns: RequestColumns
    plain: Sequence[bool] | None
    others: Sequence[Usual | None]


def none_usual(n: int) -> Parted:
    return Parted(RequestColumns(), [False] * n, [None] * n)


class UsualLines:
    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        rules = rules_told(shape.rules)
        source = f',"source":{encode_basestring(shape.source)}' if shape.source else ""
        self._instants = _Instants()
        self._kinds = _Kinds(lambda route: f',"route":{encode_basestring(route)}{rules}{source}')
        self._ips = _Ips(shape)
        self._routes = _Routes(shape.rules)

    def read(self, lines: Sequence[bytes]) -> Parted:
        found = _found(lines)
        if not found:
            return none_usual(len(lines))
        columns, plain = self._plain(found)
        if plain is None:
            return Parted(columns, None, [])
        others = [one for one, is_plain in zip(found, plain, strict=True) if not is_plain]
        return Parted(columns, plain, [self._one(one) if one[0] else None for one in others])

    def _plain(self, found: Sequence[tuple[str, ...]]) -> tuple[RequestColumns, Sequence[bool] | None]:
        """The same as behind_id of these requests, with what comes again made once; and which they are, unless all."""
        if self._shape.customers.rules:
            return RequestColumns(), [False] * len(found)
        instants = self._instants
        plain: Sequence[bool] | None = None
        columns = list(zip(*found, strict=True))
        if not all(columns[0]) or None in map(instants.__getitem__, columns[2]):
            plain = [bool(one[0]) and instants[one[2]] is not None for one in found]
            columns = list(zip(*compress(found, plain), strict=True))
            if not columns:
                return RequestColumns(), plain
        ips, _, times, methods, paths, statuses, sizes, agents, behind_agents, behind_sizes = columns
        latencies = upstreams = [""] * len(ips)
        if any(behind_agents) or any(behind_sizes):
            timed = [extras(one or other)[:2] for one, other in zip(behind_agents, behind_sizes, strict=True)]
            latencies, upstreams = [one or "" for one, _ in timed], [one or "" for _, one in timed]
        keys = zip(methods, self._routes.of_all(paths), statuses, strict=True)
        made = RequestColumns(
            ats=[at for time in times if (at := instants[time]) is not None],
            ips=list(self._ips.of_all(ips)),
            paths=list(paths),
            sizes=["0" if one == "-" else str(int(one)) if one[0] == "0" else one for one in sizes],
            kinds=list(map(self._kinds.__getitem__, keys)),
            agents=list(agents),
            latencies=list(latencies),
            upstreams=list(upstreams),
        )
        return made, plain

    def _one(self, found: tuple[str, ...]) -> Usual | None:
        at = self._instants[found[2]]
        return None if at is None else self._whole(at, found)

    def _whole(self, at: datetime, found: tuple[str, ...]) -> Usual:
        ip, user, _, method, path, status, size, agent, extra, others = found
        latency, upstream, fields = extras(extra or others)
        request = Request(
            at, method, path, status_of(status),
            None if ip == "-" else ip, None if user == "-" else user, None,
            None if agent == "-" or not agent else agent,
            latency, upstream, None, 0 if size == "-" else int(size), None, fields,
        )  # fmt: skip
        return at, behind_id(request, self._shape)[0]


def _found(lines: Sequence[bytes]) -> Sequence[tuple[str, ...]]:
    """What _LINES finds in each; in one that cannot be usual nothing. Empty: none is."""
    whole = b"\n".join(lines)
    try:
        text = whole.decode()
    except UnicodeDecodeError:
        return ()
    found = _LINES.findall(text)
    if len(found) != len(lines) or max(map(len, lines), default=0) > _LONGEST:
        return ()
    # Of ASCII it is found out in half the time.
    plain = text.isascii() and len(whole.translate(None, _CONTROLS)) == len(whole)
    if not plain and not text.replace("\n", "").isprintable():
        return [one if line.isprintable() else _NONE for one, line in zip(found, text.split("\n"), strict=True)]
    return found


class _Instants(dict[str, datetime | None]):
    """Of times as lines write them."""

    def __missing__(self, time: str) -> datetime | None:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        found = self[time] = at_clf(time)
        return found


class _Ips(dict[str, str]):
    """What is told of addresses, as the first property; known by their first three bytes, of which there are few."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._shape = shape

    def of_all(self, ips: Sequence[str]) -> Iterable[str]:
        if self._shape.ips is not Ips.TRUNCATE:
            return map(self._first, ips)
        parts = [ip.rpartition(".") for ip in ips]
        return [
            known if last in LAST_BYTES and (known := self[three]) else self._first(ip)
            for ip, (three, _, last) in zip(ips, parts, strict=True)
        ]

    def __missing__(self, three: str) -> str:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        told = network_told(three)
        found = self[three] = f"{told[1:]}," if told else ""
        return found

    def _first(self, ip: str) -> str:
        told = "" if ip == "-" else ip_told(ip, self._shape.ips, self._shape.secret)
        return f"{told[1:]}," if told else ""


class _Routes(dict[str, str]):
    """Of paths that end in a number, which are mostly seen once: the route of what stands before it."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._rules = rules

    def of_all(self, paths: Sequence[str]) -> Iterable[str]:
        normal = self._rules.normal
        if self._rules.templates or self._rules.segments:
            return map(normal, paths)
        found = []
        for path in paths:
            before, _, last = path.rpartition("/")
            is_number = last.isdecimal() and last.isascii() and "//" not in path
            found.append(self[before] if is_number else normal(path))
        return found

    def __missing__(self, before: str) -> str:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        found = self[before] = self._rules.normal(f"{before}/0")
        return found


class _Kinds(dict[tuple[str, str, str], str]):
    """What requests of a method, route and status have in common, as JSON: there are few of all three."""

    def __init__(self, of_route: Callable[[str], str]) -> None:
        super().__init__()
        self._of_route = of_route

    def __missing__(self, told: tuple[str, str, str]) -> str:
        method, route, status_text = told
        status = status_of(status_text)
        text = "" if status is None else f',"status":{status},"status_class":"{status // 100}xx"'
        if len(self) >= _MOST_KNOWN:
            self.clear()
        found = self[told] = f'{{"method":"{method}"{self._of_route(route)}{text}}}'
        return found
