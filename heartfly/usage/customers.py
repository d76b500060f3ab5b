"""Customers, and what senders call them. Each command is one transaction's work, but for an erasure, which is many.

Whose an event is, is asked when somebody reads: an alias that moves takes its usage along. A customer's own id is an
alias of his, too, which is not listed and never moves.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor
from heartfly.core import text
from heartfly.core.events import wrong_subject
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import aliases, customers
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError
from heartfly.usage.audit import note
from heartfly.usage.customer_queries import aliases_in, called, of_uuid, one

MOST_ALIASES = 1_000
"""Of one customer."""


@dataclass(frozen=True, slots=True)
class Moved:
    """An alias that was another customer's: his usage under it has come along."""

    alias: str
    from_uuid: str
    from_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """None: unchanged. `aliases` are all that there shall be; `add` and `remove` change those that there are."""

    name: str | None = None
    aliases: Sequence[str] | None = None
    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    archived: bool | None = None


def create_customer(
    tx: Tx, pid: int, *, name: str, wanted: Sequence[str], actor: Actor, at: datetime, ids: IdSource
) -> tuple[str, Sequence[Moved]]:
    """The public id, and which of the aliases were somebody else's."""
    name, texts = _name(name), _texts(wanted, "aliases")
    _hold(tx, pid)
    public_id, customer_id = str(uuids.uuid4()), ids.next(at)
    tx.conn.execute(
        sa.insert(customers).values(pid=pid, id=customer_id, uuid=public_id, name=name, rev=1, created_at=at)
    )
    tx.conn.execute(sa.insert(aliases).values(pid=pid, text=public_id, customer_id=customer_id))
    moved = _take(tx, pid, customer_id, texts)
    after = {"name": name, "aliases": texts} | _told(moved)
    note(
        tx, pid, actor=actor, action=Action.CUSTOMER_CREATE, of=f"customer:{public_id}",
        before=None, after=after, at=at, ids=ids,
    )  # fmt: skip
    return public_id, moved


def edit_customer(
    tx: Tx, pid: int, public_id: str, edit: Edit, *, actor: Actor, at: datetime, ids: IdSource, rev: int | None = None
) -> Sequence[Moved]:
    """ChangedMeanwhileError: it is not of this `rev`; None: any will do."""
    row = held(tx, pid, public_id, rev)
    had = aliases_in(tx, row)
    if edit.aliases is not None and (edit.add or edit.remove):
        raise InvalidValueError("aliases", "are either all replaced, or some added and removed")
    if edit.aliases is not None:
        wanted = _texts(edit.aliases, "aliases")
    else:
        gone = set(_texts(edit.remove, "remove_aliases"))
        if foreign := sorted(gone - set(had)):
            raise InvalidValueError("remove_aliases", f"{foreign[0][:100]!r} is none of this customer's")
        wanted = [alias for alias in had if alias not in gone]
        wanted += [alias for alias in _texts(edit.add, "add_aliases") if alias not in had]
    if len(wanted) > MOST_ALIASES:
        raise InvalidValueError("aliases", f"are more than {MOST_ALIASES}")
    values: dict[str, Any] = {}
    if edit.name is not None and (name := _name(edit.name)) != row.name:
        values["name"] = name
    if edit.archived is not None and edit.archived != (row.archived_at is not None):
        values["archived_at"] = at if edit.archived else None
    removed, added = set(had) - set(wanted), [alias for alias in wanted if alias not in had]
    if not values and not removed and not added:
        return ()
    _release(tx, pid, removed)
    moved = _take(tx, pid, row.id, added)
    _update(tx, row, values)
    before = {name: getattr(row, name) for name in values}
    if removed or added:
        before, values = before | {"aliases": had}, values | {"aliases": wanted}
    note(
        tx, pid, actor=actor, action=Action.CUSTOMER_EDIT, of=f"customer:{row.uuid}",
        before=before, after=values | _told(moved), at=at, ids=ids,
    )  # fmt: skip
    return moved


def archive_customer(
    tx: Tx, pid: int, public_id: str, *, actor: Actor, at: datetime, ids: IdSource, rev: int | None = None
) -> None:
    """He is not listed any more. His aliases and his usage stay his."""
    row = held(tx, pid, public_id, rev)
    if row.archived_at is not None:
        return
    _update(tx, row, {"archived_at": at})
    note(
        tx, pid, actor=actor, action=Action.CUSTOMER_ARCHIVE, of=f"customer:{row.uuid}",
        before={"archived_at": None}, after={"archived_at": at}, at=at, ids=ids,
    )  # fmt: skip


def owner_of(tx: Tx, pid: int, alias: str) -> str | None:
    """The public id of who is called so; nobody else edits customers of the project until this transaction ends."""
    _hold(tx, pid)
    if wrong_subject(alias) is not None:
        return None
    row = tx.conn.execute(called(pid, alias)).first()
    return None if row is None else str(row.uuid)


def held(tx: Tx, pid: int, public_id: str, rev: int | None = None) -> Any:
    """His row; nobody else edits customers of the project until this transaction ends."""
    _hold(tx, pid)
    row = one(tx.conn.execute(of_uuid(pid, public_id)).first())
    if rev is not None and row.rev != rev:
        raise ChangedMeanwhileError("the customer has changed since you read it")
    return row


def _hold(tx: Tx, pid: int) -> None:
    """Of two that take one alias, the second sees whose it is since."""
    if tx.on_postgres:
        tx.conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('customers', :pid))"), {"pid": pid})


def _take(tx: Tx, pid: int, customer_id: int, texts: Sequence[str]) -> list[Moved]:
    moved: list[Moved] = []
    for alias in texts:
        query = (
            sa.select(customers.c.id, customers.c.uuid, customers.c.name, customers.c.rev, customers.c.pid)
            .join(aliases, sa.and_(aliases.c.pid == customers.c.pid, aliases.c.customer_id == customers.c.id))
            .where(aliases.c.pid == pid, aliases.c.text == alias)
        )
        owner = tx.conn.execute(query).first()
        if owner is not None:
            if owner.uuid == alias:
                raise ConflictError("the id of a customer is always his own; it cannot be another one's alias")
            moved.append(Moved(alias, owner.uuid, owner.name))
            _update(tx, owner, {})
        insert = tx.insert(aliases).values(pid=pid, text=alias, customer_id=customer_id)
        tx.conn.execute(insert.on_conflict_do_update(index_elements=["pid", "text"], set_={"customer_id": customer_id}))
    return moved


def _release(tx: Tx, pid: int, texts: set[str]) -> None:
    for alias in sorted(texts):
        tx.conn.execute(sa.delete(aliases).where(aliases.c.pid == pid, aliases.c.text == alias))


def _update(tx: Tx, row: Any, values: dict[str, Any]) -> None:
    this = sa.and_(customers.c.pid == row.pid, customers.c.id == row.id)
    tx.conn.execute(sa.update(customers).where(this).values(values | {"rev": customers.c.rev + 1}))


def _told(moved: Sequence[Moved]) -> dict[str, Any]:
    return {"moved_from": {one.alias: one.from_uuid for one in moved}} if moved else {}


def _name(name: str) -> str:
    return text.name(name, field="name", most=200)


def _texts(wanted: Sequence[str], field: str) -> list[str]:
    """As an event's sender writes them, to the letter. Each once."""
    if len(wanted) > MOST_ALIASES:
        raise InvalidValueError(field, f"are more than {MOST_ALIASES}")
    for place, alias in enumerate(wanted):
        if (wrong := wrong_subject(alias)) is not None:
            raise InvalidValueError(f"{field}[{place}]", wrong)
    return list(dict.fromkeys(wanted))
