"""A new check made like one that there is: its configuration and its channels, but nothing of its life."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from heartfly.audit.record import Actor
from heartfly.checks import needs
from heartfly.checks.commands import create, locked
from heartfly.checks.config import CheckIn, as_asked, of_row
from heartfly.checks.owned import heard_by
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource

_MOST_NAME = 100
_MARK = " (copy)"


def copy(tx: Tx, pid: int, uuid: str, asked: CheckIn, *, at: datetime, ids: IdSource, actor: Actor, most: int) -> str:
    """Like this check but for what is asked for; returns the copy's public id. It is new, with an address of its own.

    Without a name it gets that of the original, marked; without a slug one is made of its name.
    """
    original = locked(tx, pid, uuid, None)
    like: dict[str, Any] = as_asked(of_row(original.row._asdict())) | {"channels": heard_by(tx, pid, original.id)}
    like["needs"] = needs.of(tx, pid, original.id)
    del like["slug"]
    if like["filters"] is None:
        del like["filters"]
    like["name"] = like["name"][: _MOST_NAME - len(_MARK)].rstrip() + _MARK
    wanted = {name: value for name in CheckIn.__struct_fields__ if (value := getattr(asked, name)) is not msgspec.UNSET}
    merged = msgspec.structs.replace(msgspec.convert(like, CheckIn), **wanted)
    return create(tx, pid, merged, at=at, ids=ids, actor=actor, most=most)
