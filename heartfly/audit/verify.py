"""Whether the audit is what its chain holds: some clasps at a time, in their order, each with the entries that name it.

What is found is told as faults, in words; nothing is set right. The statements here are asked by whoever has a
connection, all those of one batch in one state; `look` makes of the answers what they mean, and asks nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CompoundSelect, Row, Select

from heartfly.audit.chain import FIRST, ChainKey, Held, Link, count_of, unpacked
from heartfly.db import tenant
from heartfly.db.models import audit, audit_clasps, audit_gone, projects

CLASPS = 50
ENTRIES = 1000
"""In a batch, at most, but that it has one whole clasp: some 15 ms to read."""
LATE = timedelta(days=1)
"""An entry comes into the chain within minutes. One that says that it is older than this was carried over late, or it
was written by somebody who wanted it to look old.
"""
_NO_CLASP = "names a clasp that there is not"


@dataclass(frozen=True, slots=True)
class Fault:
    """`pid`, `id`: of the entry; None where it is about the clasp as a whole."""

    what: str
    clasp: int
    pid: int | None = None
    id: int | None = None

    def words(self, project: str | None = None) -> str:
        """`project`: what its project is called, for people; None: its number."""
        if self.id is None:
            return f"clasp {self.clasp} {self.what}"
        return f"entry {self.id} of project {project or self.pid}, clasp {self.clasp}, {self.what}"


@dataclass(slots=True, kw_only=True)
class Found:
    """`n_holding`: entries that say what their clasp holds; those that lost names, or went with their project, apart.

    `n_late`: of all these, how many were older than LATE as they came into the chain, but for those of its beginning.
    """

    n_clasps: int = 0
    n_holding: int = 0
    n_redacted: int = 0
    n_gone: int = 0
    n_late: int = 0
    faults: list[Fault] = field(default_factory=list)


class _State(Enum):
    HOLDS = "holds"
    REDACTED = "lost names"
    GONE = "went with its project"
    MISSING = "is missing"
    CHANGED = "is not what it was"


START = Link(0, FIRST)


def next_clasps(after: int) -> Select[Any]:
    query = sa.select(audit_clasps).where(audit_clasps.c.number > after)
    return query.order_by(audit_clasps.c.number).limit(CLASPS)


def batch_of(clasps: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """So many of them that their entries are not too many at once."""
    n = 0
    for place, clasp in enumerate(clasps):
        n += count_of(clasp.entries)
        if n > ENTRIES and place:
            return clasps[:place]
    return clasps


def entries_of(behind: int, last: int) -> Select[Any]:
    """`behind`: not inclusive, so that batches leave nothing out between them: SQLite keeps a 1.5 that it is given."""
    return sa.select(audit).where(audit.c.clasp > behind, audit.c.clasp <= last)


def projects_gone() -> Select[Any]:
    """Not those that are there all the same: a mark is true for ever, and who puts a project back may put back less."""
    living = sa.select(projects.c.id).where(
        projects.c.id == audit_gone.c.project, ~projects.c.slug.startswith(tenant.ERASED)
    )
    return sa.select(audit_gone.c.project, audit_gone.c.mark).where(~living.exists())


def strays(newest: int) -> CompoundSelect[Any]:
    """Entries that name a clasp that there is not; the others are looked at with theirs."""
    query = sa.select(audit.c.pid, audit.c.id, audit.c.clasp)
    # Not one condition, for which SQLite would go through the index of all.
    return sa.union_all(query.where(audit.c.clasp < 1), query.where(audit.c.clasp > newest))


def newest_clasp() -> Select[Any]:
    return sa.select(audit_clasps.c.number, audit_clasps.c.hash).order_by(audit_clasps.c.number.desc()).limit(1)


def waiting() -> Select[Any]:
    """How many entries are in no clasp yet."""
    return sa.select(sa.func.count()).select_from(audit).where(audit.c.clasp.is_(None))


def truly_gone(key: ChainKey, marks: Iterable[Row[Any]]) -> frozenset[int]:
    """Of `projects_gone` those whose mark is true: the projects whose entries may be missing."""
    return frozenset(row.project for row in marks if row.mark == key.of_gone(row.project))


def told_strays(rows: Iterable[Row[Any]]) -> list[Fault]:
    return [Fault(_NO_CLASP, number, *which) for number, *which in sorted((row.clasp, row.pid, row.id) for row in rows)]


def look(
    key: ChainKey,
    clasps: Sequence[Row[Any]],
    entries: Iterable[Row[Any]],
    gone: Collection[int],
    *,
    behind: Link,
    began: datetime | None,
    into: Found,
) -> Link:
    """`clasps`: the next ones behind `behind`. `began`: when the chain did, with what there was before."""
    by_clasp: dict[int, dict[tuple[int, int], Row[Any]]] = defaultdict(dict)
    for entry in entries:
        by_clasp[entry.clasp][entry.pid, entry.id] = entry
    for clasp in clasps:
        into.n_clasps += 1
        into.faults += _of_clasp(key, clasp, behind)
        rows = by_clasp.pop(clasp.number, {})
        for held in unpacked(clasp.entries):
            row: Row[Any] | None = rows.pop((held.pid, held.id), None)
            _count(_state(key, held, row, gone), held, clasp.number, into)
            if row is not None and row.at < clasp.at - LATE and clasp.at != began:
                into.n_late += 1
        into.faults += [Fault("was put in", clasp.number, *which) for which in sorted(rows)]
        behind = Link(clasp.number, clasp.hash)
    into.faults += [
        Fault(_NO_CLASP, number, *which) for number, rows in sorted(by_clasp.items()) for which in sorted(rows)
    ]
    return behind


def _of_clasp(key: ChainKey, clasp: Row[Any], behind: Link) -> list[Fault]:
    first = behind.number + 1
    if clasp.number > first:  # so there is nothing that this one could be compared with
        more = f", and all up to {clasp.number - 1}" if clasp.number > first + 1 else ""
        return [Fault(f"is missing{more}", first)]
    if clasp.hash != key.of_clasp(clasp.number, clasp.at, behind.hash, clasp.entries):
        return [Fault("is not as it was made", clasp.number)]
    return []


def _state(key: ChainKey, held: Held, row: Row[Any] | None, gone: Collection[int]) -> _State:
    if row is None:
        return _State.GONE if held.pid in gone else _State.MISSING
    said = key.of_entry(row)
    if said == held.said:
        return _State.HOLDS
    return _State.REDACTED if row.redaction_hash == key.of_redaction(held, said) else _State.CHANGED


def _count(state: _State, held: Held, number: int, into: Found) -> None:
    match state:
        case _State.HOLDS:
            into.n_holding += 1
        case _State.REDACTED:
            into.n_redacted += 1
        case _State.GONE:
            into.n_gone += 1
        case _State.MISSING | _State.CHANGED:
            into.faults.append(Fault(state.value, number, held.pid, held.id))
