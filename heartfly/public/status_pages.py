"""Status pages as administrators make them: which checks and tags they show, in which groups and by which names.

Names that a page shows are its own, so that none is made public by chance. What a page shows of them is in overview.py.
Each command is one transaction's work.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action, Actor, differing, record
from heartfly.checks.queries import UUID
from heartfly.core import text
from heartfly.core.contrast import AA, colour, contrast
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, status_pages
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError, NotFoundError
from heartfly.public.logos import NONE, Logo

MOST_PAGES, MOST_GROUPS, MOST_ITEMS = 20, 20, 50


BUT_LOGO = tuple(column for column in status_pages.c if column.name != "logo")
_GROUNDS = {"accent": ("light", ("#fbfbfc", "#ffffff")), "accent_dark": ("dark", ("#0e1014", "#15181e"))}
"""What stands behind a page's text in either look, as css/tokens.css has it."""


class Item(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`name`: as the page shows it. Of `check` (a check's id) and `tag` exactly one is said."""

    name: str
    check: str | None = None
    tag: str | None = None


class Group(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`name` empty: no heading."""

    name: str
    items: list[Item]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for. None: the default on creation, unchanged on an edit."""

    slug: str | None = None
    title: str | None = None
    groups: Sequence[Group] | None = None
    noindex: bool | None = None
    published: bool | None = None
    accent: str | None = None
    """Of links and edges, as `#rrggbb`; empty: the house's own. This one in light, the other in dark."""
    accent_dark: str | None = None
    logo: Logo | None = None


class PageSlugTakenError(ConflictError):
    """A page of this server has that address."""

    field = "slug"


def create_page(tx: Tx, pid: int, wanted: Wanted, *, actor: Actor, at: datetime, ids: IdSource) -> str:
    """A new page; returns its public id. It shows nothing to anybody before it is published."""
    count = sa.select(sa.func.count()).where(status_pages.c.pid == pid)
    if tx.conn.execute(count).scalar_one() >= MOST_PAGES:
        raise ConflictError(f"the project has {MOST_PAGES} status pages, which is all that it may have")
    usual = Wanted(slug="", title="", groups=(), noindex=True, published=False, accent="", accent_dark="", logo=NONE)
    values = _checked(tx, pid, usual, wanted, is_new=True)
    public_id = str(uuids.uuid4())
    fixed = {"pid": pid, "id": ids.next(at), "uuid": public_id, "rev": 1, "created_at": at}
    # Not looked up first: on another node somebody may take the address at this very moment.
    insert = tx.insert(status_pages).values(values | fixed).on_conflict_do_nothing(index_elements=["slug"])
    if tx.conn.execute(insert.returning(status_pages.c.id)).first() is None:
        raise PageSlugTakenError(f"there is a status page {values['slug']} already")
    record(
        tx, pid, actor=actor, action=Action.STATUS_PAGE_CREATE, of=f"status_page:{public_id}",
        before=None, after=_told(values), at=at, ids=ids,
    )  # fmt: skip
    return public_id


def edit_page(
    tx: Tx, pid: int, public_id: str, wanted: Wanted, *, actor: Actor, at: datetime, ids: IdSource, rev: int | None
) -> None:
    """Change what is given. ChangedMeanwhileError: it is not of this `rev`; None: any will do."""
    row = _held(tx, pid, public_id)
    if rev is not None and row.rev != rev:
        raise ChangedMeanwhileError("the status page has changed since you read it")
    values = _checked(tx, pid, wanted, wanted, is_new=False)
    content = values.pop("logo", None)
    before, after = differing(row._asdict(), values)
    if not after:
        return
    if "logo_name" in after:
        after["logo"] = content
    this = sa.and_(status_pages.c.pid == pid, status_pages.c.id == row.id)
    try:
        with tx.conn.begin_nested():
            tx.conn.execute(sa.update(status_pages).where(this).values(after | {"rev": row.rev + 1}))
    except sa.exc.IntegrityError as error:
        raise PageSlugTakenError(f"there is a status page {values['slug']} already") from error
    record(
        tx, pid, actor=actor, action=Action.STATUS_PAGE_EDIT, of=f"status_page:{row.uuid}",
        before=_told(before), after=_told(after), at=at, ids=ids,
    )  # fmt: skip


def delete_page(tx: Tx, pid: int, public_id: str, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    row = _held(tx, pid, public_id)
    tx.conn.execute(sa.delete(status_pages).where(status_pages.c.pid == pid, status_pages.c.id == row.id))
    record(
        tx, pid, actor=actor, action=Action.STATUS_PAGE_DELETE, of=f"status_page:{row.uuid}",
        before={"slug": row.slug, "title": row.title}, after=None, at=at, ids=ids,
    )  # fmt: skip


def _told(values: dict[str, Any]) -> dict[str, Any]:
    """What the audit keeps: of a logo its name, which says when it became another."""
    return {name: value for name, value in values.items() if name != "logo"}


async def list_pages(read: AsyncConnection, pid: int, *, after: int | None, limit: int) -> Sequence[Any]:
    query = sa.select(*BUT_LOGO).where(status_pages.c.pid == pid, status_pages.c.id > (after or 0))
    return (await read.execute(query.order_by(status_pages.c.id).limit(limit))).all()


async def one_page(read: AsyncConnection, pid: int, public_id: str) -> Any:
    """NotFoundError, for one of another project too."""
    return _found((await read.execute(_one(pid, public_id))).first())


def _one(pid: int, public_id: str) -> sa.Select[Any]:
    lower = public_id.lower()
    if not UUID.fullmatch(lower):
        raise NotFoundError("there is no such status page")
    return sa.select(*BUT_LOGO).where(status_pages.c.pid == pid, status_pages.c.uuid == lower)


def _held(tx: Tx, pid: int, public_id: str) -> Any:
    query = _one(pid, public_id)
    return _found(tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).first())


def _found(row: Any) -> Any:
    if row is None:
        raise NotFoundError("there is no such status page")
    return row


def groups_of(row: Any) -> list[Group]:
    return msgspec.convert(row.groups, list[Group])


# --- what is asked for


def _checked(tx: Tx, pid: int, usual: Wanted, wanted: Wanted, *, is_new: bool) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if is_new or wanted.slug is not None:
        values["slug"] = text.slug(wanted.slug or "", field="slug", most=60)
    if is_new or wanted.title is not None:
        values["title"] = text.name(wanted.title or "", field="title", most=100)
    groups = usual.groups if wanted.groups is None else wanted.groups
    if groups is not None:
        values["groups"] = msgspec.to_builtins(_groups(tx, pid, groups))
    for name in _GROUNDS:
        chosen = getattr(usual if getattr(wanted, name) is None else wanted, name)
        if chosen is not None:
            values[name] = _legible(chosen, name)
    logo = usual.logo if wanted.logo is None else wanted.logo
    if logo is not None:
        values |= {"logo": logo.content or None, "logo_name": logo.name}
    for name in ("noindex", "published"):
        value = getattr(usual if getattr(wanted, name) is None else wanted, name)
        if value is not None:
            values[name] = value
    return values


def _legible(chosen: str, field: str) -> str:
    known = colour(chosen, field=field)
    look, grounds = _GROUNDS[field]
    worst = min(contrast(known, ground) for ground in grounds) if known else AA
    if worst < AA:
        what = "darker" if look == "light" else "lighter"
        raise InvalidValueError(
            field,
            f"has too little contrast to be read on the {look} page: {floor(worst * 100) / 100:.2f} to 1, and at least "
            f"{AA} to 1 is wanted (WCAG AA); take a {what} one",
        )
    return known


def _groups(tx: Tx, pid: int, groups: Sequence[Group]) -> list[Group]:
    if len(groups) > MOST_GROUPS:
        raise InvalidValueError("groups", f"must be at most {MOST_GROUPS}")
    if sum(len(group.items) for group in groups) > MOST_ITEMS:
        raise InvalidValueError("groups", f"must have at most {MOST_ITEMS} items in all")
    made = [_group(group, f"groups[{n}]") for n, group in enumerate(groups)]
    wanted = {item.check for group in made for item in group.items if item.check is not None}
    known = set(
        tx.conn.execute(sa.select(checks.c.uuid).where(checks.c.pid == pid, checks.c.uuid.in_(wanted))).scalars()
    )
    for n, group in enumerate(made):
        for m, item in enumerate(group.items):
            if item.check is not None and item.check not in known:
                raise InvalidValueError(f"groups[{n}].items[{m}].check", "there is no such check")
    return made


def _group(group: Group, field: str) -> Group:
    name = text.name(group.name, field=f"{field}.name", most=100) if group.name.strip() else ""
    return Group(name, [_item(item, f"{field}.items[{n}]") for n, item in enumerate(group.items)])


def _item(item: Item, field: str) -> Item:
    if (item.check is None) == (item.tag is None):
        raise InvalidValueError(field, "must say either a check or a tag")
    name = text.name(item.name, field=f"{field}.name", most=100)
    if item.tag is not None:
        return Item(name, tag=text.name(item.tag, field=f"{field}.tag", most=50))
    check = (item.check or "").lower()
    if not UUID.fullmatch(check):
        raise InvalidValueError(f"{field}.check", "there is no such check")
    return Item(name, check=check)
