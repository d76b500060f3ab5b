"""The second step at sign-in: a code of an app, or one of ten backup codes. Each counts once.

The app's secret is sealed in the database, as Heartfly must know it to check a code; backup codes are hashes there.
Between the two steps nothing is stored: the browser brings back what the first one proved, sealed, for ten minutes.
"""

from __future__ import annotations

import secrets
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.factors import demand_another, demand_none
from heartfly.accounts.sessions import begin, end_all
from heartfly.audit.record import Action, Actor, Facts, record
from heartfly.core import totp
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import backup_codes, email_changes, members, users
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError, StoreError
from heartfly.sealing import Sealer, digest

BETWEEN = timedelta(minutes=10)
N_CODES = 10
_SECRET_BYTES = 20
_CODE_BYTES = 15  # 120 bits: too many to try, so a plain hash is enough
_LONGEST = 4_000
_PASSED, _PLANNED = "passed", "planned"


class Passed(msgspec.Struct, frozen=True, tag=_PASSED):
    """The password was right, then."""

    user_id: int
    password: str
    """A hash of the password's hash: with another password this is worth nothing."""
    at: datetime


class Planned(msgspec.Struct, frozen=True, tag=_PLANNED):
    """A secret that was shown to be put into an app, and that counts from the first right code on."""

    user_id: int
    secret: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class SecondStep:
    """What somebody has: since when, and how many backup codes are left. `since` None: nothing."""

    since: datetime | None
    n_codes: int


def passed(sealer: Sealer, user_id: int, password_hash: str, *, at: datetime) -> str:
    return _sealed(sealer, Passed(user_id, digest(password_hash), at))


def planned(sealer: Sealer, user_id: int, *, at: datetime) -> tuple[str, bytes]:
    """A new secret; first as it is kept in the form."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    return _sealed(sealer, Planned(user_id, secret, at)), secret


def open_passed(sealer: Sealer, text: str, *, now: datetime) -> Passed | None:
    """None: it is none of ours, or too old."""
    found = _opened(sealer, text, now)
    return found if isinstance(found, Passed) else None


def open_planned(sealer: Sealer, text: str, *, user_id: int, now: datetime) -> bytes | None:
    """The secret, if it was made for this user within the last ten minutes."""
    found = _opened(sealer, text, now)
    return found.secret if isinstance(found, Planned) and found.user_id == user_id else None


async def second_step_of(read: AsyncConnection, user_id: int) -> SecondStep:
    since = (await read.execute(sa.select(users.c.totp_since).where(users.c.id == user_id))).scalar_one_or_none()
    count = sa.select(sa.func.count()).select_from(backup_codes).where(backup_codes.c.user_id == user_id)
    return SecondStep(since, (await read.execute(count)).scalar_one())


def demand(tx: Tx, user_id: int, code: str, *, sealer: Sealer, at: datetime) -> None:
    """Let a code count, once and for all. InvalidValueError names the field `code`: it is wrong, or was used."""
    query = sa.select(users.c.totp_enc, users.c.totp_step).where(users.c.id == user_id)
    row = tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).first()
    if row is None or row.totp_enc is None:
        raise _wrong()
    step = totp.step_of_code(sealer.open(row.totp_enc), code, now=at, after=row.totp_step)
    if step is not None:
        tx.conn.execute(sa.update(users).where(users.c.id == user_id).values(totp_step=step))
        return
    mine = (backup_codes.c.user_id == user_id, backup_codes.c.hash == _hash(code))
    if not tx.conn.execute(sa.delete(backup_codes).where(*mine)).rowcount:
        raise _wrong()


def begin_by_code(
    tx: Tx,
    first: Passed,
    code: str,
    *,
    sealer: Sealer,
    ip: str,
    agent: str,
    replaces: str,
    at: datetime,
    ids: IdSource,
) -> str | None:
    """A session for who has passed both steps; its token. InvalidValueError: the code does not count.

    None: the password has been changed since the first step.
    """
    password_hash = tx.conn.execute(sa.select(users.c.password_hash).where(users.c.id == first.user_id)).scalar()
    if password_hash is None or digest(password_hash) != first.password:
        return None
    demand(tx, first.user_id, code, sealer=sealer, at=at)
    return begin(
        tx, first.user_id, password_hash=password_hash, ip=ip, agent=agent, replaces=replaces, at=at, ids=ids,
        by_code=True,
    )  # fmt: skip


def switch_on(
    tx: Tx,
    user_id: int,
    secret: bytes,
    code: str,
    *,
    sealer: Sealer,
    actor: Actor,
    at: datetime,
    ids: IdSource,
    first: bool = False,
    replaces: bool = False,
) -> list[str]:
    """Returns the backup codes, the only time that they are seen. `code`: the first that the app made of the secret.

    `first`: only if he has nothing beside his password; `replaces`: the one that is on goes, so that another app takes
    its place. InvalidValueError names the field `code`. ConflictError: it is on, or it would not be the first.
    """
    if first:
        demand_none(tx, user_id)
    if replaces:
        switch_off(tx, user_id, actor=actor, at=at, ids=ids)
    query = sa.select(users.c.totp_enc).where(users.c.id == user_id)
    if tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).scalar_one() is not None:
        raise ConflictError("the second step is on already")
    step = totp.step_of_code(secret, code, now=at, after=None)
    if step is None:
        raise _wrong()
    values = {"totp_enc": sealer.seal(secret), "totp_step": step, "totp_since": at}
    tx.conn.execute(sa.update(users).where(users.c.id == user_id).values(values))
    # Whoever asked for another address may have had the password alone.
    tx.conn.execute(sa.delete(email_changes).where(email_changes.c.user_id == user_id))
    tell_projects(tx, user_id, Action.MEMBER_SECOND_STEP_ON, actor=actor, at=at, ids=ids)
    return _new_codes(tx, user_id)


def renew_codes(tx: Tx, user_id: int, *, actor: Actor, at: datetime, ids: IdSource) -> list[str]:
    """Ten new backup codes; those so far count no more. ConflictError: the second step is off."""
    query = sa.select(users.c.totp_enc).where(users.c.id == user_id)
    if tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).scalar_one() is None:
        raise ConflictError("the second step is off")
    tell_projects(tx, user_id, Action.MEMBER_RENEW_BACKUP_CODES, actor=actor, at=at, ids=ids)
    return _new_codes(tx, user_id)


def switch_off(tx: Tx, user_id: int, *, actor: Actor, at: datetime, ids: IdSource, more_demanded: bool = False) -> bool:
    """The password alone is enough from then on. False: it was off, and nothing happened.

    LastFactorError: it is not enough (`more_demanded`), and there is no passkey.
    """
    if more_demanded:
        demand_another(tx, user_id, by_code=True)
    on = (users.c.id == user_id, users.c.totp_enc.is_not(None))
    off = {"totp_enc": None, "totp_step": None, "totp_since": None}
    was_on = tx.conn.execute(sa.update(users).where(*on).values(off)).rowcount > 0
    if was_on:
        tell_projects(tx, user_id, Action.MEMBER_SECOND_STEP_OFF, actor=actor, at=at, ids=ids)
    tx.conn.execute(sa.delete(backup_codes).where(backup_codes.c.user_id == user_id))
    return was_on


def switch_off_by_email(tx: Tx, email: str, *, actor: Actor, at: datetime, ids: IdSource) -> int:
    """For who lost his phone and his codes; returns his id. NotFoundError: nobody has that address.

    His sessions end: where a second step is demanded, one that somebody else has must not set up the next.
    """
    user_id = tx.conn.execute(sa.select(users.c.id).where(users.c.email_norm == email.strip().lower())).scalar()
    if user_id is None:
        raise NotFoundError(f"there is no user {email[:254]}")
    end_all(tx, user_id)  # first: nothing that one of them has under way comes in behind this
    switch_off(tx, user_id, actor=actor, at=at, ids=ids)
    # Nor does an address that one of them has asked for: a new password would be mailed there.
    tx.conn.execute(sa.delete(email_changes).where(email_changes.c.user_id == user_id))
    return int(user_id)


def _new_codes(tx: Tx, user_id: int) -> list[str]:
    codes = [b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower() for _ in range(N_CODES)]
    tx.conn.execute(sa.delete(backup_codes).where(backup_codes.c.user_id == user_id))
    tx.conn.execute(sa.insert(backup_codes), [{"user_id": user_id, "hash": _hash(code)} for code in codes])
    return ["-".join(code[i : i + 4] for i in range(0, len(code), 4)) for code in codes]


def _hash(code: str) -> str:
    """However it was typed: with hyphens, spaces, or in capitals."""
    return digest("".join(char for char in code[:100].lower() if char.isalnum()))


def tell_projects(
    tx: Tx,
    user_id: int,
    action: Action,
    *,
    actor: Actor,
    at: datetime,
    ids: IdSource,
    before: Facts | None = None,
    after: Facts | None = None,
) -> None:
    """Each project that he is in. `before` and `after`: what there is to tell besides his address."""
    email = tx.conn.execute(sa.select(users.c.email).where(users.c.id == user_id)).scalar_one()
    for pid in tx.conn.execute(sa.select(members.c.pid).where(members.c.user_id == user_id)).scalars().all():
        record(
            tx, pid, actor=actor, action=action, of=f"user:{user_id}",
            before={"email": email, **(before or {})}, after={"email": email, **(after or {})}, at=at, ids=ids,
        )  # fmt: skip


def _sealed(sealer: Sealer, value: Passed | Planned) -> str:
    return urlsafe_b64encode(sealer.seal(msgspec.json.encode(value))).decode()


def _opened(sealer: Sealer, text: str, now: datetime) -> Passed | Planned | None:
    if len(text) > _LONGEST:
        return None
    try:
        raw = sealer.open(urlsafe_b64decode(text.encode("ascii")))
        found: Passed | Planned = msgspec.json.decode(raw, type=Passed | Planned)
    except (ValueError, StoreError):
        return None  # made up, or sealed before the key was changed: he begins anew
    return found if found.at <= now < found.at + BETWEEN else None


def _wrong() -> InvalidValueError:
    return InvalidValueError("code", "is wrong, or was used before")
