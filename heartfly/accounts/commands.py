"""Projects, their ping keys, and their people. Each function is one transaction's work."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.accounts import revisions
from heartfly.accounts.keys import PREFIX, Scope, make_key, overlap
from heartfly.audit.record import CLI, Action, Actor, differing, record
from heartfly.core import text
from heartfly.core.zones import zone as known_zone
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import email_changes, members, projects, resets, sessions, users, wrong_passwords
from heartfly.errors import ConflictError, InvalidValueError, LimitError, NotFoundError
from heartfly.sealing import Sealer, digest, new_ping_key

RESERVED = frozenset(
    {
        *(
            "p",
            "setup",
            "sign-in",
            "sign-out",
            "status",
            "docs",
            "system",
            "account",
            "invite",
            "static",
            "v1",
            "api",
            "ping",
            "badge",
            "shared",
            "b",
        ),
        *("projects", "metronome", "openmeter", "otlp", "segment", "lago", "stripe", "orb", "channels"),
        *("healthz", "readyz", "metrics"),
    }
)
"""First segments of our own addresses: a project of that name would be shadowed by them."""

_PING_KEY = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)*", re.ASCII)


class ProjectTakenError(ConflictError):
    """Another project has the slug that was asked for."""

    field = "slug"


@dataclass(frozen=True, slots=True)
class NewProject:
    pid: int
    slug: str
    ping_key: str
    api_key: str
    read_key: str


def create_project(
    tx: Tx,
    *,
    slug: str,
    name: str,
    zone: str,
    sealer: Sealer,
    at: datetime,
    ids: IdSource,
    actor: Actor = CLI,
    field: str = "project",
    most: int | None = None,
) -> NewProject:
    """A project with its ping key, an API key that may do everything and a read-only one.

    ProjectTakenError: the slug is. `field`: what whoever asks calls the slug. LimitError: there are `most` already.
    """
    if most is not None and tx.conn.execute(sa.select(sa.func.count(projects.c.id))).scalar_one() >= most:
        raise LimitError("projects:", most, "limits.projects")
    slug = text.slug(slug, field=field, most=30)
    if slug in RESERVED:
        raise InvalidValueError(field, f"{slug} is a word of Heartfly's own addresses")
    pid, ping_key, public_id = ids.next(at), new_ping_key(), str(uuid.uuid4())
    told = {"slug": slug, "name": text.name(name, field="name", most=100), "zone": known_zone(zone, field="zone").key}
    secrets = {"ping_key_hash": digest(ping_key), "ping_key_enc": sealer.seal(ping_key.encode())}
    # Not looked up first: on another node somebody may take the slug at this very moment.
    values = told | secrets | {"id": pid, "uuid": public_id, "created_at": at}
    insert = tx.insert(projects).values(values).on_conflict_do_nothing(index_elements=["slug"])
    if tx.conn.execute(insert.returning(projects.c.id)).first() is None:
        raise ProjectTakenError(f"there is a project {slug} already")
    api_key = make_key(tx, pid, name="first key", scopes=frozenset(Scope), at=at, ids=ids).secret
    read_key = make_key(tx, pid, name="first read-only key", scopes=frozenset({Scope.READ}), at=at, ids=ids).secret
    record(
        tx, pid, actor=actor, action=Action.PROJECT_CREATE, of=f"project:{public_id}", before=None,
        after=told | {"keys": [api_key[:PREFIX], read_key[:PREFIX]]}, at=at, ids=ids,
    )  # fmt: skip
    return NewProject(pid=pid, slug=slug, ping_key=ping_key, api_key=api_key, read_key=read_key)


def edit_project(
    tx: Tx,
    pid: int,
    *,
    name: str | None,
    zone: str | None,
    actor: Actor,
    at: datetime,
    ids: IdSource,
    create_by_ping: bool | None = None,
    rev: int | None = None,
    named: int | None = None,
) -> None:
    """Change what is given. The slug stays: addresses are made of it.

    `create_by_ping`: whether a ping by key and slug that asks for it makes a check. `named`: the revision of all these
    that whoever asks has seen, when nothing else of the project matters to him.
    """
    row = _held(tx, pid, rev)
    revisions.demand(revisions.of_named(row), named, "project")
    wanted: dict[str, Any] = {} if create_by_ping is None else {"create_by_ping": create_by_ping}
    if name is not None:
        wanted["name"] = text.name(name, field="name", most=100)
    if zone is not None:
        wanted["zone"] = known_zone(zone, field="zone").key
    before, after = differing(row._asdict(), wanted)
    if not after:
        return
    tx.conn.execute(sa.update(projects).where(projects.c.id == pid).values(after))
    record(
        tx, pid, actor=actor, action=Action.PROJECT_EDIT, of=f"project:{row.uuid}",
        before=before, after=after, at=at, ids=ids,
    )  # fmt: skip


def rotate_ping_key(
    tx: Tx,
    pid: int,
    *,
    overlap_s: int,
    actor: Actor,
    at: datetime,
    ids: IdSource,
    sealer: Sealer,
    rev: int | None = None,
    key_rev: int | None = None,
    ping_key: str | None = None,
) -> None:
    """A new ping key. The one so far works for `overlap_s` more; one before it ends now.

    `ping_key`: one that jobs have already, of another server. ConflictError: it is another project's.
    `key_rev`: the revision of the ping key that whoever asks has seen, whatever the project is called by now.
    """
    lasting = overlap(overlap_s)
    row = _held(tx, pid, rev)
    revisions.demand(revisions.of_ping_key(row), key_rev, "ping key")
    if ping_key is None:
        ping_key = new_ping_key()
    else:
        _demand_free(tx, pid, ping_key)
    until = at + lasting if lasting else None
    values = {
        "ping_key_hash": digest(ping_key),
        "ping_key_enc": sealer.seal(ping_key.encode()),
        "old_ping_key_hash": row.ping_key_hash if lasting else None,
        "old_until": until,
    }
    tx.conn.execute(sa.update(projects).where(projects.c.id == pid).values(values))
    record(
        tx, pid, actor=actor, action=Action.PROJECT_ROTATE_PING_KEY, of=f"project:{row.uuid}",
        before={}, after={"old_ping_key_until": until}, at=at, ids=ids,
    )  # fmt: skip


def has_ping_key(tx: Tx, pid: int, ping_key: str) -> bool:
    query = sa.select(projects.c.id).where(projects.c.id == pid, projects.c.ping_key_hash == digest(ping_key))
    return tx.conn.execute(query).first() is not None


def _demand_free(tx: Tx, pid: int, ping_key: str) -> None:
    """InvalidValueError: nothing would find it in an address. ConflictError."""
    if not _PING_KEY.fullmatch(ping_key):
        raise InvalidValueError("ping_key", "must be 22 letters, digits, - or _")
    hashed = digest(ping_key)
    query = sa.select(projects.c.id).where(
        sa.or_(projects.c.ping_key_hash == hashed, projects.c.old_ping_key_hash == hashed), projects.c.id != pid
    )
    if tx.conn.execute(query).first() is not None:
        raise ConflictError("another project has this ping key")


def _held(tx: Tx, pid: int, rev: int | None) -> Any:
    """The project's row, which no other node changes until this transaction ends. ChangedMeanwhileError."""
    query = sa.select(projects).where(projects.c.id == pid)
    row = tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).one()
    revisions.demand(revisions.of_project(row), rev, "project")
    return row


def create_first_user(tx: Tx, *, email: str, password_hash: str, at: datetime, ids: IdSource) -> int:
    """The first administrator. ConflictError when there are users: then a member must invite."""
    if tx.conn.execute(sa.select(users.c.id).limit(1)).first():
        raise ConflictError("there are users already; `heartfly user create` makes more")
    return insert_user(tx, email, password_hash, at=at, ids=ids)


def create_user(
    tx: Tx, *, email: str, password_hash: str, is_admin: bool, actor: Actor, at: datetime, ids: IdSource
) -> int:
    """Somebody else who may sign in: as an administrator, owner of every project there is; else in none yet.

    ConflictError: the address is taken, or there is no project, and the first user comes with the first project.
    """
    pids = tx.conn.execute(sa.select(projects.c.id).order_by(projects.c.id)).scalars().all()
    if not pids:
        raise ConflictError("there is no project yet; `heartfly init` makes the first user with it")
    user_id = insert_user(tx, email, password_hash, at=at, ids=ids)
    for pid in pids if is_admin else ():
        tx.conn.execute(sa.insert(members).values(pid=pid, user_id=user_id, role="owner"))
        record(
            tx, pid, actor=actor, action=Action.MEMBER_ADD, of=f"user:{user_id}",
            before=None, after={"email": email, "role": "owner"}, at=at, ids=ids,
        )  # fmt: skip
    return user_id


def reset_password(tx: Tx, *, email: str, password_hash: str, actor: Actor, at: datetime, ids: IdSource) -> None:
    """NotFoundError: nobody has that address. Each project that he is in is told, but not the password."""
    query = sa.select(users.c.id, users.c.email).where(users.c.email_norm == email.lower())
    user = tx.conn.execute(query).first()
    if user is None:
        raise NotFoundError(f"there is no user {email[:254]}")
    set_password(tx, user, password_hash=password_hash, actor=actor, at=at, ids=ids)


def set_password(
    tx: Tx,
    user: Any,
    *,
    password_hash: str,
    actor: Actor,
    at: datetime,
    ids: IdSource,
    action: Action = Action.MEMBER_RESET_PASSWORD,
) -> None:
    """`user`: a row with `id` and `email`."""
    tx.conn.execute(sa.update(users).where(users.c.id == user.id).values(password_hash=password_hash))
    # It is another one: what was taken for the one before counts no more, however often that was.
    tx.conn.execute(sa.delete(wrong_passwords).where(wrong_passwords.c.user_id == user.id))
    # Whoever came in with the old password is out, and so is whoever holds a link from before.
    tx.conn.execute(sa.delete(sessions).where(sessions.c.user_id == user.id))
    tx.conn.execute(sa.delete(resets).where(resets.c.user_id == user.id))
    # Also one to another address: whoever knew the old password would have the new one mailed there.
    tx.conn.execute(sa.delete(email_changes).where(email_changes.c.user_id == user.id))
    for pid in tx.conn.execute(sa.select(members.c.pid).where(members.c.user_id == user.id)).scalars().all():
        record(
            tx, pid, actor=actor, action=action, of=f"user:{user.id}",
            before={"email": user.email}, after={"email": user.email}, at=at, ids=ids,
        )  # fmt: skip


def email_of(text: str) -> str:
    """An address that people may sign in with. InvalidValueError names the field `email`."""
    text = text.strip()
    if len(text) > 254 or not (text.isascii() and text.isprintable() and _EMAIL.fullmatch(text)):
        raise InvalidValueError("email", "must be an address such as ada@example.com")
    return text


def insert_user(tx: Tx, email: str, password_hash: str, *, at: datetime, ids: IdSource) -> int:
    """Somebody in no project. ConflictError: the address is taken."""
    email, user_id = email_of(email), ids.next(at)
    values = {
        "id": user_id,
        "email": email,
        "email_norm": email.lower(),
        "password_hash": password_hash,
        "zone": "UTC",
        "created_at": at,
    }
    # Not looked up first: on another node somebody may take the address at this very moment.
    insert = tx.insert(users).values(values).on_conflict_do_nothing(index_elements=["email_norm"])
    if tx.conn.execute(insert.returning(users.c.id)).first() is None:
        raise ConflictError(f"there is a user {email} already")
    return user_id


def adopt_projects(tx: Tx, user_id: int) -> None:
    """Make the user owner of every project that has no members: the one that the first start made, and a new one."""
    owned = sa.select(members.c.pid)
    for pid in tx.conn.execute(sa.select(projects.c.id).where(projects.c.id.not_in(owned))).scalars().all():
        tx.conn.execute(sa.insert(members).values(pid=pid, user_id=user_id, role="owner"))


def refuse_foreign_key(tx: Tx, sealer: Sealer) -> None:
    """StoreError: what this database holds was sealed with another key, so no channel could be reached.

    Every project has a sealed ping key, so one is enough to tell. A key file that was lost, or left behind when the
    database was moved, is noticed at the start and not by the first alarm that cannot be sent.
    """
    sealed = tx.conn.execute(sa.select(projects.c.ping_key_enc).limit(1)).scalar()
    if sealed is not None:
        sealer.open(sealed)


def is_empty(tx: Tx) -> bool:
    """Nobody has used this database: no user and no project."""
    return not (
        tx.conn.execute(sa.select(users.c.id).limit(1)).first()
        or tx.conn.execute(sa.select(projects.c.id).limit(1)).first()
    )
