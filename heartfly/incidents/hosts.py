"""What is asked about hosts: which checks run on them, and which of them are open causes.

A host has no row: a check names its own, or its pings do, and the incident of one is found by a number made of its
name. What follows of the answers is decided in causes.py and fallen.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.models import checks, incidents
from heartfly.db.prepared import Prepared, among


class Wells:
    """Up to when hosts are known to have been well, for who judges batch after batch of a storm.

    A success stays one: what was read once may be old, but whoever went down before it was not felled by the host, and
    nothing needs to be read anew to say so. Of one judge, in memory alone.
    """

    MOST = 10_000

    def __init__(self) -> None:
        self._at: dict[tuple[int, str], datetime] = {}

    def of(self, pid: int, host: str) -> datetime | None:
        return self._at.get((pid, host))

    def learn(self, pid: int, well_at: Mapping[str, datetime]) -> None:
        for host, at in well_at.items():
            self._at.pop((pid, host), None)
            self._at[pid, host] = at
        while len(self._at) > self.MOST:
            del self._at[next(iter(self._at))]


def on_hosts(pid: int, hosts: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    """Two conditions, an index each; their checks are apart. By their ids, or SQLite would read all of the project.

    The empty text is spelled out, as in the indexes.
    """
    nothing: sa.ColumnElement[str] = sa.literal_column("''")
    one, other = _SET.c, _HEARD.c
    are_set = sa.select(one.id).where(one.pid == pid, one.host.in_(hosts), one.host != nothing)
    are_heard = sa.select(other.id).where(other.pid == pid, other.heard_host.in_(hosts), other.heard_host != nothing)
    return [checks.c.id.in_(are_set), sa.and_(checks.c.id.in_(are_heard), checks.c.host == nothing)]


_SET, _HEARD, _ONE = checks.alias(), checks.alias(), incidents.alias()
"""Made once: to make one takes longer than to ask."""


def open_of_hosts(tx: Tx, pids: Collection[int], hosts: Collection[str], *, held: bool) -> Sequence[Any]:
    """The open causes that these hosts are. `held`: nobody ends them until this transaction does."""
    numbers = [host_number(host) for host in hosts]
    statement = _HELD_CAUSES if held and tx.on_postgres else _OPEN_CAUSES
    return statement.rows(tx, pids=list(pids), numbers=numbers) if numbers else ()


def _open_causes(tx: Tx) -> sa.Select[Any]:
    """By their ids, and by that index, or SQLite would read all incidents of the project."""
    i, one = incidents.c, _ONE.c
    columns = (i.pid, i.id, i.uuid, i.source_name, i.opened_at, i.acked_at, i.acked_by)
    ids = sa.select(one.id).where(
        among(tx, one.pid, "pids"), one.source_kind == sa.literal_column("'host'"),
        among(tx, one.source_id, "numbers"), one.closed_at.is_(None),
    ).with_hint(_ONE, "INDEXED BY uq_incidents_open", "sqlite")  # fmt: skip
    return sa.select(*columns).where(among(tx, i.pid, "pids"), i.id.in_(ids), i.closed_at.is_(None))


_OPEN_CAUSES = Prepared(_open_causes)
_HELD_CAUSES = Prepared(lambda tx: _open_causes(tx).order_by(incidents.c.id).with_for_update(key_share=True))


@lru_cache(maxsize=4_096)
def host_number(host: str) -> int:
    """Of what an incident is, is told by a number; a host has none but its name's."""
    return int.from_bytes(blake2b(host.encode(), digest_size=8).digest()) >> 1
