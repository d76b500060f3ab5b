"""What the list of checks is filtered by: the language of its box, and the address that says all of it.

In the box stand `tag:etl is:down channel:slack late>1h` and words; what is no such term is a word. The address is what
is saved as a view (views.py), by a page or by the API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from heartfly.checks.queries import Wanted
from heartfly.core import text
from heartfly.errors import InvalidValueError

_TERM = re.compile(r'(?:(tag|is|channel):)?(?:"([^"]*)"|(\S+))', re.IGNORECASE)
_LATE = re.compile(r"late>(\d{1,5})(m|min|h|d)", re.IGNORECASE | re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_MOST = 20
DAY_S = 86_400
RANGES = {DAY_S: "24h", 7 * DAY_S: "7d"}
"""Of the axis of time on which the list can be shown."""
VIEWS = ("", "timeline", "next")
"""How the list can be shown; empty: as a list."""
SHOWN = ("down", "late", "degraded", "new", "up", "paused")
"""The worst first. `late` is shown, never stored."""
RUNNING = "running"
FAILING = "failing"
"""Up or degraded, with failures that are tolerated."""
_BESIDE = (RUNNING, FAILING)
"""What may be true beside any status."""
GROUPS = ("", "tag")
"""By what the list can be told apart; empty: by nothing."""
ASKED = ("view", "q", "tag", "status", "range", "group")
"""What the address may say, in the order in which it says it; `range` only on the axis of time, `group` in the list."""


@dataclass(frozen=True, slots=True)
class Terms:
    tags: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    late: list[timedelta] = field(default_factory=list)
    """Longer than each of these."""


def terms(q: str, *, known: tuple[str, ...]) -> Terms:
    """`known`: what may stand after `is:`. In quotes a term may have spaces. InvalidValueError for the field `q`."""
    line, found = text.one_line(q, field="q", most=200), Terms()
    matches = list(_TERM.finditer(line))
    if len(matches) > _MOST:
        raise InvalidValueError("q", f"has more than {_MOST} words")
    for match in matches:
        what, value = (match[1] or "").lower(), match[2] if match[2] is not None else match[3]
        if what == "is":
            value = value.lower()
            if value not in known:
                raise InvalidValueError("q", f"has is:{value}, which must be one of {', '.join(known)}")
        if not what and (late := _LATE.fullmatch(value)):
            found.late.append(int(late[1]) * _UNITS[late[2].lower()])
            continue
        lists = {"tag": found.tags, "is": found.states, "channel": found.channels, "": found.words}
        if value:
            lists[what].append(value)
    return found


def wanted_of(q: str, tag: str, status: str, now: datetime) -> Wanted:
    if status and status not in SHOWN:
        raise InvalidValueError("status", f"must be one of {', '.join(SHOWN)}")
    found = terms(q, known=(*SHOWN, *_BESIDE))
    states = [frozenset(word for word in found.states if word not in _BESIDE), frozenset({status} if status else ())]
    return Wanted(
        tags=[*found.tags, *([text.one_line(tag, field="tag", most=50)] if tag else [])],
        words=found.words,
        channels=found.channels,
        shown=[words for words in states if words],
        is_running=RUNNING in found.states,
        is_failing=FAILING in found.states,
        late_for=max(found.late, default=None),
        at=now,
    )


def range_of(text: str, ranges: Mapping[int, str] = RANGES) -> int:
    """In seconds. Empty: the shortest."""
    found = {word: seconds for seconds, word in ranges.items()} | {"": min(ranges)}
    if text not in found:
        raise InvalidValueError("range", f"must be one of {', '.join(ranges.values())}")
    return found[text]


def filtered_by(q: str, tag: str, word: str) -> dict[str, str]:
    return {name: value for name, value in (("q", q), ("tag", tag), ("status", word)) if value}


def group_of(text: str) -> str:
    found = text.strip()
    if found not in GROUPS:
        raise InvalidValueError("group", f"must be {' or '.join(GROUPS[1:])}")
    return found


def kept_in(view: str, filtered: dict[str, str], range_s: int, group: str = "") -> dict[str, str]:
    """What the address holds of all this, always in this order."""
    rest = {"range": RANGES[range_s]} if range_s else {"group": group} if group else {}
    return ({"view": view} if view else {}) | filtered | rest


def kept_of(asked: Mapping[str, str], now: datetime) -> str:
    """What the list's address ends in that shows this. Empty: all checks. InvalidValueError: there is no such list."""
    q, tag, word, view = (asked.get(name, "").strip() for name in ("q", "tag", "status", "view"))
    view = "" if view == "list" else view
    demand_known(view)
    wanted_of(q, tag, word, now)
    range_s = range_of(asked.get("range", "")) if view == "timeline" else 0
    group = "" if view else group_of(asked.get("group", ""))
    return urlencode(kept_in(view, filtered_by(q, tag, word), range_s, group))


def demand_known(view: str) -> None:
    if view not in VIEWS:
        raise InvalidValueError("view", f"must be one of list, {', '.join(VIEWS[1:])}")
