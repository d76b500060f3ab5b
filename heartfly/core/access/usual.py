"""Usual lines of the common and the combined format, many at once: nearly all that there are.

No escapes, a request that is one, nothing that would be cut, and behind the agent nothing, or what combined.py reads.
What is not so in any way is not judged here, and read line by line. What is read here is the same event to the last
byte; a property test compares both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from json.encoder import encode_basestring

from heartfly.core.access.as_event import Shape, agent_told, behind_id, head_of, ip_told, rules_told
from heartfly.core.access.combined import extras
from heartfly.core.access.customers import ANONYMOUS
from heartfly.core.access.request import Request, at_clf, status_of

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
        self._rules = rules_told(shape.rules)
        self._source = f',"source":{encode_basestring(shape.source)}' if shape.source else ""
        self._heads = _Heads()
        self._statuses = _Statuses()

    def read(self, lines: Sequence[bytes]) -> list[Usual | None]:
        """Of each line, in order. None: it is not usual."""
        try:
            text = b"\n".join(lines).decode()
        except UnicodeDecodeError:
            return [None] * len(lines)
        found = _LINES.findall(text)
        if len(found) != len(lines) or max(map(len, lines), default=0) > _LONGEST:
            return [None] * len(lines)
        told = list(map(self._one, found))
        if not text.replace("\n", "").isprintable():
            one_by_one = zip(told, text.split("\n"), strict=True)
            told = [one if line.isprintable() else None for one, line in one_by_one]
        return told

    def _one(self, found: tuple[str, ...]) -> Usual | None:
        ip, _, time, method, path, status, size, agent, extra, others = found
        if not ip:
            return None
        head = self._heads[time]
        if head is None:
            return None
        shape = self._shape
        if extra or others or shape.customers.rules:
            return self._whole(head[0], found)
        # The same as behind_id of this request, with what comes again made once.
        route = shape.rules.normal(path)
        text = (
            f'{head[1]}"properties":{{"method":"{method}","route":{encode_basestring(route)},"path":"{path}"{self._rules}'
            f'{self._statuses[status]},"response_bytes":{0 if size == "-" else int(size)}'
        )
        if ip != "-":
            text += ip_told(ip, shape.ips, shape.secret)
        if agent and agent != "-":
            text += agent_told(agent)
        return head[0], f"{text}{self._source}}}}}"

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
        found = self[time] = None if at is None else (at, head_of(ANONYMOUS, at))
        return found


class _Statuses(dict[str, str]):
    def __missing__(self, text: str) -> str:
        status = status_of(text)
        found = self[text] = "" if status is None else f',"status":{status},"status_class":"{status // 100}xx"'
        return found
