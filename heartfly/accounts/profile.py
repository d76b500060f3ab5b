"""What people change of themselves: their name, the zone in which they read times, theme and density, their password.

None of it but the password concerns a project, so none of it is in the audit of one.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.accounts import sessions
from heartfly.accounts.commands import set_password
from heartfly.audit.record import Action, Actor
from heartfly.core import text
from heartfly.core.zones import zone as known_zone
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import users
from heartfly.errors import InvalidValueError

THEMES = {"": "as the browser wants it", "light": "light", "dark": "dark"}
DENSITIES = {"": "comfortable", "compact": "compact"}


def edit_profile(tx: Tx, user_id: int, *, name: str, zone: str, theme: str, density: str) -> None:
    """`name` empty: he is called by his address."""
    for field, chosen, offered in (("theme", theme, THEMES), ("density", density, DENSITIES)):
        if chosen not in offered:
            raise InvalidValueError(field, "must be one of those that are offered")
    wanted = {
        "name": text.name(name, field="name", most=100) if name.strip() else "",
        "zone": known_zone(zone, field="zone").key,
        "theme": theme,
        "density": density,
    }
    tx.conn.execute(sa.update(users).where(users.c.id == user_id).values(wanted))


def change_password(
    tx: Tx,
    user_id: int,
    *,
    was: str,
    password_hash: str,
    ip: str,
    agent: str,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> str | None:
    """All his sessions end; the token of a new one. `was`: the hash of the password that he has shown to know.

    None: it was changed meanwhile, so he knows it no more.
    """
    query = sa.select(users.c.id, users.c.email, users.c.password_hash).where(users.c.id == user_id)
    user = tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).first()
    if user is None or user.password_hash != was:
        return None
    action = Action.MEMBER_CHANGE_PASSWORD
    set_password(tx, user, password_hash=password_hash, actor=actor, at=at, ids=ids, action=action)
    # Who is signed in has taken the second step already, if there is one.
    return sessions.begin(
        tx, user_id, password_hash=password_hash, ip=ip, agent=agent, replaces="", at=at, ids=ids, by_code=True
    )
