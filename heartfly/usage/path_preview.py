"""What other rules would make of the paths that a project's requests have: before and after, with how many of each.

Looks at the newest requests, up to a number. Runs in the process beside (hands.py), and only reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from heartfly.core.columns import Amounts, Page
from heartfly.core.routing import Router
from heartfly.db.models import events
from heartfly.db.snapshots import Place, pages, snapshot
from heartfly.usage.path_rules import checked
from heartfly.usage.reading import by_size
from heartfly.usage.request_reading import router_of, type_of

MOST_EVENTS = 50_000
"""Of any type: those that came last before now."""
MOST_CHANGES = 200


@dataclass(frozen=True, slots=True)
class PathChange:
    """Requests for `path` (an example, with its method) count for `before`, and would for `after`; `n` of `n_paths`."""

    path: str
    before: str
    after: str
    n: int
    n_paths: int


@dataclass(slots=True)
class PathsForeseen:
    """`n`: requests that were looked at; `n_changed` of them would count for another endpoint.

    `endpoints_before` and `endpoints_after`: how many these requests have. `more`: changes that are left out.
    """

    version: str
    n: int = 0
    n_paths: int = 0
    n_changed: int = 0
    endpoints_before: int = 0
    endpoints_after: int = 0
    changes: list[PathChange] = field(default_factory=list)
    more: int = 0


def foresee_paths(place: Place, pid: int, lines: Sequence[str]) -> PathsForeseen:
    """InvalidValueError: the lines are no rules."""
    _, rules = checked(lines)
    found = PathsForeseen(rules.version)
    asked: Counter[tuple[str | None, ...]] = Counter()
    with snapshot(place) as connection:
        type_id, now = type_of(connection, pid), router_of(connection, pid)
        if type_id is None:
            return found
        newest = sa.select(events.c.type_id, events.c.properties).where(events.c.pid == pid)
        for page in pages(connection, newest.order_by(events.c.at.desc()).limit(MOST_EVENTS)):
            for rows in by_size([row for row in page if row[0] == type_id], 1):
                told = Page([row[1] for row in rows], Amounts())
                asked.update(zip(*(told.texts(name) for name in ("method", "route", "path", "rules")), strict=True))
    then = Router(rules if rules.templates or rules.segments else None)
    before, after = set[str](), set[str]()
    paths: Counter[tuple[str, str]] = Counter()
    requests: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for one, n in sorted(asked.items(), key=_order):
        was, would_be = now.endpoint(*one), then.endpoint(*one)
        before.add(was)
        after.add(would_be)
        found.n += n
        found.n_paths += 1
        if was != would_be:
            paths[was, would_be] += 1
            requests[was, would_be] += n
            examples.setdefault((was, would_be), one[2] or "")
    found.n_changed = requests.total()
    found.endpoints_before, found.endpoints_after = len(before), len(after)
    changes = [
        PathChange(examples[pair], *pair, n, paths[pair])
        for pair, n in sorted(requests.items(), key=lambda it: (-it[1], it[0]))
    ]
    found.changes, found.more = changes[:MOST_CHANGES], max(0, len(changes) - MOST_CHANGES)
    return found


def _order(item: tuple[tuple[str | None, ...], int]) -> tuple[int, list[str]]:
    """The most asked for first; of equals the alphabet says, so that examples are always the same."""
    return -item[1], [text or "" for text in item[0]]
