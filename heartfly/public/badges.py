"""What a badge says: of one check, of the checks with a tag, or of all in a project.

As in Healthchecks, whose counts these are: what waits for its first ping or is paused counts as up, for nobody is told
of it; a check that is degraded ran in time, and counts as up, too. How a badge is drawn is in drawing.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.shown import shown_status
from heartfly.checks.unjudged import excused
from heartfly.clock import Clock
from heartfly.db.database import Database
from heartfly.db.models import badge_addresses, checks, projects
from heartfly.errors import NotFoundError
from heartfly.public.badge_keys import BadgeKey, key_of
from heartfly.sealing import Sealer

KEPT = timedelta(seconds=5)
"""For so long a process answers from what it read: a popular badge costs the database little."""
_MOST_KEPT = 200
_COLUMNS = (
    *(checks.c.uuid, checks.c.name, checks.c.tags),
    *(checks.c.status, checks.c.n_open_runs, checks.c.expected_at),
)

Of = Literal["all", "tag", "check"]
"""What a badge may be of."""
ALL: Literal["all"] = "all"
TAG: Literal["tag"] = "tag"
CHECK: Literal["check"] = "check"


class States(IntEnum):
    """How many words a badge knows: up and down, or late, too."""

    TWO = 2
    THREE = 3


@dataclass(frozen=True, slots=True)
class Badge:
    """`of`: ALL, TAG or CHECK. `label`: the name of what it is of."""

    of: Of
    label: str
    total: int
    late: int
    down: int

    def word(self, states: States) -> str:
        if self.down:
            return "down"
        return "late" if self.late and states is States.THREE else "up"


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that has a badge. `name`: the tag, or the check's public id; empty for the project."""

    of: Of
    name: str
    label: str
    code: str


async def subjects(
    read: AsyncConnection, pid: int, sealer: Sealer, *, after: int | None = None, limit: int | None = None
) -> tuple[BadgeKey | None, list[tuple[int, Subject]]]:
    """The project's key, and what has a badge: the project and its tags (with the first piece), then its checks.

    Each with the id of its check, after which a list may go on; 0 for what is none.
    """
    project = (await read.execute(sa.select(projects).where(projects.c.id == pid))).one()
    key = key_of(project, sealer)
    if key is None:
        return None, []
    found: list[tuple[int, Subject]] = []
    if after is None:
        tags = {
            tag for (mine,) in await read.execute(sa.select(checks.c.tags).where(checks.c.pid == pid)) for tag in mine
        }
        found.append((0, Subject(ALL, "", project.name, key.code(ALL))))
        found += [(0, Subject(TAG, tag, tag, key.code(TAG, tag))) for tag in sorted(tags)]
    query = sa.select(checks.c.id, checks.c.uuid, checks.c.name).where(checks.c.pid == pid, checks.c.id > (after or 0))
    for row in await read.execute(query.order_by(checks.c.id).limit(limit)):
        found.append((row.id, Subject(CHECK, row.uuid, row.name, key.code(CHECK, row.uuid))))
    return key, found


class Badges:
    """Of all projects, for who has no key but an address."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        self._database, self._sealer, self._clock = database, sealer, clock
        self._kept: OrderedDict[str, tuple[datetime, dict[str, Badge]]] = OrderedDict()

    async def find_at(self, address: str) -> Badge:
        """By an address that it had elsewhere (`badge_addresses`). NotFoundError."""
        now = self._clock.now()
        until, found = self._kept.get(f"at:{address}", (now, {}))
        if not now < until <= now + KEPT:
            found = {address: await self._read_at(address, now)}
            self._keep(f"at:{address}", now, found)
        return found[address]

    async def find(self, half: str, code: str) -> Badge:
        """NotFoundError: no badge has this address."""
        now = self._clock.now()
        until, found = self._kept.get(half, (now, {}))
        if not now < until <= now + KEPT:  # a clock that was set back must not keep it longer
            try:
                found = await self._read(half, now)
            except NotFoundError:
                return await self.find_at(f"{half}/{code}")
            self._keep(half, now, found)
        if code not in found:
            raise NotFoundError("there is no such badge")
        return found[code]

    def _keep(self, name: str, now: datetime, found: dict[str, Badge]) -> None:
        self._kept[name] = (now + KEPT, found)
        self._kept.move_to_end(name)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    async def _read_at(self, address: str, now: datetime) -> Badge:
        async with self._database.read() as read:
            query = sa.select(badge_addresses).where(badge_addresses.c.address == address)
            stored = (await read.execute(query)).first()
            if stored is None:
                raise NotFoundError("there is no such badge")
            project = (await read.execute(sa.select(projects.c.name).where(projects.c.id == stored.pid))).scalar_one()
            its = sa.select(*_COLUMNS, checks.c.id).where(checks.c.pid == stored.pid)
            if stored.of == CHECK:
                its = its.where(checks.c.id == stored.check_id)
            rows = (await read.execute(its)).all()
            late_not = (await excused(read, stored.pid, now=now)).ids
        if stored.of == TAG:
            rows = [row for row in rows if stored.tag in row.tags]
        label = {ALL: project, TAG: stored.tag}.get(stored.of) or next((row.name for row in rows), "")
        return _badge(stored.of, label, [shown_status(row, now, late_not) for row in rows])

    async def _read(self, half: str, now: datetime) -> dict[str, Badge]:
        async with self._database.read() as read:
            project = (await read.execute(sa.select(projects).where(projects.c.badge_half == half))).first()
            key = None if project is None else key_of(project, self._sealer)
            if project is None or key is None:
                raise NotFoundError("there is no such badge")
            rows = (await read.execute(sa.select(*_COLUMNS, checks.c.id).where(checks.c.pid == project.id))).all()
            late_not = (await excused(read, project.id, now=now)).ids
        shown = [shown_status(row, now, late_not) for row in rows]
        return {key.code(of, name): badge for of, name, badge in _badges(project.name, rows, shown)}


def _badges(project: str, rows: Sequence[Any], shown: Sequence[str]) -> Iterator[tuple[str, str, Badge]]:
    yield ALL, "", _badge(ALL, project, shown)
    by_tag: dict[str, list[str]] = {}
    for row, status in zip(rows, shown, strict=True):
        yield CHECK, row.uuid, _badge(CHECK, row.name, [status])
        for tag in row.tags:
            by_tag.setdefault(tag, []).append(status)
    for tag, its in by_tag.items():
        yield TAG, tag, _badge(TAG, tag, its)


def _badge(of: Of, label: str, shown: Sequence[str]) -> Badge:
    return Badge(of, label, total=len(shown), late=shown.count("late"), down=shown.count("down"))
