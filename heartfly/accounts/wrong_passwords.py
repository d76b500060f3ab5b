"""Wrong passwords in a row, counted for each account in the database: with the hundredth its password is shut.

A password that is shut opens nothing, not even the right one, until another one is chosen; passkeys open as ever. Who
sends passwords learns nothing by this, neither by words nor by time: not whether somebody has the address, nor whether
the password is shut, nor whether it would have been right. How often somebody may try is bounded in sign_in.py.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.accounts.second_step import tell_projects
from heartfly.audit.record import HEARTFLY, Action, Actor
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import wrong_passwords
from heartfly.sealing import digest

MOST = 100
"""NIST SP 800-63B-4, 3.2.2: no more failures in a row than that, then the authenticator is disabled."""

_OPENS = 0


def key_of(user_id: int | None, email: str) -> int:
    """Under what a try is counted. Addresses that nobody has (None) share 256 rows, which are written like anybody's,
    for a write takes a while that can be measured; and however many are made up, there are no more rows.
    """
    return user_id if user_id is not None else -1 - int(digest(email)[:2], 16)


def settle(tx: Tx, key: int, *, is_right: bool) -> int:
    """What comes of a password that was compared: 0 if it opens; else how many were wrong in a row, with this one.

    From MOST on it is shut, and whatever comes counts as wrong. All statements but the last are the same for each
    answer, and the last one for all that is told as wrong. Each row is changed where it stands, so that of many at
    once none is lost; and who is right must have been right before the hundredth that was wrong was committed.
    """
    mine = wrong_passwords.c.user_id == key
    tx.conn.execute(sa.delete(wrong_passwords).where(mine, wrong_passwords.c.n < (MOST if is_right else _OPENS)))
    n = tx.conn.execute(sa.select(wrong_passwords.c.n).where(mine)).scalar() or 0
    if is_right and n < MOST:
        return _OPENS
    insert = tx.insert(wrong_passwords).values(user_id=key, n=1)
    count = insert.on_conflict_do_update(index_elements=["user_id"], set_={"n": wrong_passwords.c.n + 1})
    counted: int = tx.conn.execute(count.returning(wrong_passwords.c.n)).scalar_one()
    return counted


def tell_shut(tx: Tx, user_id: int, *, ip: str, at: datetime, ids: IdSource) -> None:
    """Each project that he is in. `ip`: where the last of them came from."""
    tell_projects(
        tx, user_id, Action.MEMBER_SHUT_PASSWORD, after={"wrong_in_a_row": MOST},
        actor=Actor(HEARTFLY.name, ip or None), at=at, ids=ids,
    )  # fmt: skip
