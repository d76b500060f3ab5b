"""Whose each field of a check is: a client's of its job, or a person's.

What a client says of its job it says at each start, for years. So it is kept as what it was set to: a field that is
still as a client has set it is the client's, and any other is a person's, which no client overwrites. A check that its
first ping made is its clients' in all of its fields. See docs/decisions/0038-a-field-is-whose-it-was-set-last.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from heartfly.checks.config import CheckConfig, as_asked, of_row
from heartfly.checks.rows import Stored, one
from heartfly.db.changes import Tx
from heartfly.db.models import channels, check_channels, checks

FIELDS = ("name", "tags", "description", "schedule", "grace", "max_run", "tolerance", "gates", "channels")
"""That a client may set, in the words in which they are asked for."""
CLIENT, PERSON = "client", "person"
BY = "by"
"""Under this name a check keeps which client describes it."""


def owned(row: Any, heard: Iterable[str]) -> frozenset[str]:
    """The fields that are a client's. `row`: of the check; `heard`: its channels, by public id."""
    set_by_clients = said_by_clients(row)
    now = as_it_is(of_row(row._asdict()), heard)
    return frozenset(name for name in FIELDS if name in set_by_clients and set_by_clients[name] == now[name])


def whose(row: Any, heard: Iterable[str]) -> dict[str, str]:
    """By field CLIENT or PERSON. As `owned`."""
    its = owned(row, heard)
    return {name: CLIENT if name in its else PERSON for name in FIELDS}


def client_of(row: Any) -> str:
    """As it is called; empty: nobody knows, or there is none."""
    return str(said_by_clients(row).get(BY, ""))


def own(tx: Tx, stored: Stored, names: Collection[str], **more: str) -> None:
    """These fields are a client's, as they stand now. `more`: what else its client says of it, and we only keep."""
    found = one(tx, stored.pid, stored.id)
    assert found is not None
    now = as_it_is(of_row(found.row._asdict()), heard_by(tx, stored.pid, stored.id))
    before = said_by_clients(found.row)
    _keep(tx, stored, before, dict(before) | {name: now[name] for name in names} | more)


def disown(tx: Tx, stored: Stored, names: Collection[str]) -> None:
    """These fields are a person's, whatever their values are."""
    found = one(tx, stored.pid, stored.id)
    assert found is not None
    before = said_by_clients(found.row)
    _keep(tx, stored, before, {name: value for name, value in before.items() if name not in names})


def _keep(tx: Tx, stored: Stored, before: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    if kept != before:
        its = sa.update(checks).where(checks.c.pid == stored.pid, checks.c.id == stored.id)
        tx.conn.execute(its.values(client_fields=msgspec.json.encode(kept).decode()))


def said_by_clients(row: Any) -> Mapping[str, Any]:
    """By field what was set last, and what else is kept of what a client says."""
    found: Mapping[str, Any] = msgspec.json.decode(row.client_fields) if row.client_fields else {}
    return found


def as_it_is(config: CheckConfig, heard: Iterable[str]) -> dict[str, Any]:
    """As JSON holds it, so that it can be compared with what was kept."""
    facts = as_asked(config) | {"channels": sorted(heard)}
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode({name: facts[name] for name in FIELDS}))
    return told


def heard_by(tx: Tx, pid: int, check_id: int) -> list[str]:
    """The channels of a check by public id, in the order in which they were made."""
    query = (
        sa.select(channels.c.uuid)
        .join(
            check_channels,
            sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id),
        )
        .where(check_channels.c.pid == pid, check_channels.c.check_id == check_id)
        .order_by(channels.c.id)
    )
    return list(tx.conn.execute(query).scalars())
