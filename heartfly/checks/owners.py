"""A person says whose a field of a check is: he gives one back to the client of its job, or keeps it as it stands.

What owned.py reads out of values alone, somebody may want otherwise: a field that the client is to say again, or one
that is to stay at the very value that it says now.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from heartfly.audit.record import Action, Actor, record
from heartfly.checks import commands
from heartfly.checks.owned import CLIENT, FIELDS, PERSON, disown, heard_by, own, whose
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.errors import ConflictError, InvalidValueError


def set_owners(
    tx: Tx, pid: int, uuid: str, owners: Mapping[str, str], *, at: datetime, ids: IdSource, actor: Actor
) -> None:
    """`owners`: by field, CLIENT or PERSON; no setting changes by it. NotFoundError; InvalidValueError names the field.

    ConflictError: it watches a job of our own, which no client describes.
    """
    stored = commands.locked(tx, pid, uuid, None)
    if stored.row.job is not None:
        raise ConflictError("it watches a job of Heartfly's own, which no client describes")
    for name, owner in owners.items():
        if name not in FIELDS:
            raise InvalidValueError(f"fields.{name[:50]}", f"is none of {', '.join(FIELDS)}")
        if owner not in {CLIENT, PERSON}:
            raise InvalidValueError(f"fields.{name}", f"must be {CLIENT} or {PERSON}")
    heard = heard_by(tx, pid, stored.id)
    before = whose(stored.row, heard)
    own(tx, stored, [name for name, owner in owners.items() if owner == CLIENT])
    disown(tx, stored, [name for name, owner in owners.items() if owner == PERSON])
    after = whose(commands.locked(tx, pid, uuid, None).row, heard)
    changed = [name for name in FIELDS if before[name] != after[name]]
    if changed:
        record(
            tx, pid, actor=actor, action=Action.CHECK_EDIT, of=f"check:{stored.row.uuid}",
            before={f"owner of {name}": before[name] for name in changed},
            after={f"owner of {name}": after[name] for name in changed}, at=at, ids=ids,
        )  # fmt: skip
