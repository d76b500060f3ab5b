"""Usual lines of the common and the combined format, many at once: nearly all that there are.

No escapes, a request that is one, nothing that would be cut, and behind the agent nothing, or what combined.py reads.
What is not so in any way is not judged here, and read line by line. What is read here is the same event to the last
byte; a property test compares both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from json.encoder import encode_basestring

from heartfly.core.access.as_event import (
    LAST_BYTES,
    Ips,
    Shape,
    agent_told,
    behind_id,
    head_of,
    ip_told,
    network_told,
    rules_told,
)
from heartfly.core.access.combined import extras
from heartfly.core.access.customers import ANONYMOUS
from heartfly.core.access.request import Request, at_clf, status_of
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

Usual = tuple[datetime, str]
"""When it was, and its event behind the transaction id."""


class UsualLines:
    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        rules = rules_told(shape.rules)
        source = f',"source":{encode_basestring(shape.source)}' if shape.source else ""
        self._heads = _Heads()
        self._ends = _Ends(lambda route: f',"route":{encode_basestring(route)}{rules}{source}')
        self._ips = _Ips(shape)
        self._routes = _Routes(shape.rules)

    def read(self, lines: Sequence[bytes]) -> list[Usual | None]:
        """Of each line, in order. None: it is not usual."""
        try:
            text = b"\n".join(lines).decode()
        except UnicodeDecodeError:
            return [None] * len(lines)
        found = _LINES.findall(text)
        if len(found) != len(lines) or max(map(len, lines), default=0) > _LONGEST:
            return [None] * len(lines)
        told = self._told(found)
        if not text.replace("\n", "").isprintable():
            one_by_one = zip(told, text.split("\n"), strict=True)
            told = [one if line.isprintable() else None for one, line in one_by_one]
        return told

    def _told(self, found: Sequence[tuple[str, ...]]) -> list[Usual | None]:
        """Those that have all that is usual and nothing else, which are most, at once."""
        if self._shape.customers.rules:
            return [self._one(one) if one[0] else None for one in found]
        plain = [one for one in found if one[0] and not one[8] and not one[9]]
        if len(plain) == len(found):
            return self._plain(plain)
        at_once = iter(self._plain(plain))
        return [
            None if not one[0] else self._one(one) if one[8] or one[9] else next(at_once) for one in found
        ]  # fmt: skip

    def _plain(self, found: Sequence[tuple[str, ...]]) -> list[Usual | None]:
        """The same as behind_id of these requests, with what comes again made once."""
        if not found:
            return []
        ips, _, times, methods, paths, statuses, told_sizes, agents, _, _ = zip(*found, strict=True)
        heads, ends = self._heads, self._ends
        sizes = ["0" if one == "-" else str(int(one)) if one[0] == "0" else one for one in told_sizes]
        columns = zip(
            times,
            self._ips.of_all(ips),
            methods,
            paths,
            sizes,
            self._routes.of_all(paths),
            statuses,
            agents,
            strict=True,
        )
        return [
            None if (head := heads[time]) is None else (
                head[0],
                f'{head[1]}{ip}"method":"{method}","path":"{path}","response_bytes":{size}{ends[route, status, agent]}',
            )
            for time, ip, method, path, size, route, status, agent in columns
        ]  # fmt: skip

    def _one(self, found: tuple[str, ...]) -> Usual | None:
        head = self._heads[found[2]]
        return None if head is None else self._whole(head[0], found)

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


class _Heads(dict[str, tuple[datetime, str] | None]):
    """Of times as lines write them: the instant, and how an event of nobody at that time begins."""

    def __missing__(self, time: str) -> tuple[datetime, str] | None:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        at = at_clf(time)
        found = self[time] = None if at is None else (at, f'{head_of(ANONYMOUS, at)}"properties":{{')
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


class _Ends(dict[tuple[str, str, str], str]):
    """What stands behind the size, by route, status and agent: there are few of all three."""

    def __init__(self, of_route: Callable[[str], str]) -> None:
        super().__init__()
        self._of_route = of_route

    def __missing__(self, told: tuple[str, str, str]) -> str:
        route, status_text, agent = told
        status = status_of(status_text)
        text = "" if status is None else f',"status":{status},"status_class":"{status // 100}xx"'
        text = f"{self._of_route(route)}{text}{agent_told(agent) if agent and agent != '-' else ''}}}}}"
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[told] = text
        return text
