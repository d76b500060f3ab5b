"""Who changed what, newest first. It needs the scope `admin`."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Row

from heartfly.accounts.guards import ADMINISTERS
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, instant_of, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant
from heartfly.audit import queries
from heartfly.audit.queries import Wanted
from heartfly.audit.record import Action
from heartfly.core import text
from heartfly.db.types import instant, micros
from heartfly.errors import InvalidValueError

_OBJECT = re.compile(r"[a-z_]{1,20}(?::[0-9a-f-]{1,36})?", re.ASCII)
_ACTIONS = {word for action in Action for word in (action.value, action.value.partition(".")[0])}


class EntryOut(msgspec.Struct, kw_only=True):
    """One change. `before` null: it was not there; `after` null: it is gone; of an edit both hold what differs."""

    id: str
    at: Instant
    actor: str
    """`user:` and an address, `key:` and the first letters of an API key, `cli`, `ping`, or `heartfly` itself."""
    action: Action
    object: str
    """What was changed: `check:`, `channel:`, `delivery:`, `incident:`, `key:`, `project:`, `job:`, `invite:`,
    `user:`, `status_page:`, `customer:` or `dead_letter:`, and its id.
    """
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    ip: str | None


class EntryPage(msgspec.Struct):
    items: list[EntryOut]
    next: str | None


SHAPES = (EntryPage,)


@get("/audit", summary="Who changed what, newest first", responses=told_as(422), tags=["audit"], opt=ADMINISTERS)
async def list_entries(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    action: Annotated[str, QueryParameter(description="`check.edit`, or `check` for whatever is done to checks.")] = "",
    of: Annotated[
        str, QueryParameter(name="object", description="`check:<id>`, or `check` for all that are checks.")
    ] = "",
    actor: Annotated[str, QueryParameter(description="By `key:hf_…`, `cli`, `ping` or `heartfly`.")] = "",
    from_at: Annotated[str | None, QueryParameter(name="from", description="From this instant on (RFC 3339).")] = None,
    to_at: Annotated[str | None, QueryParameter(name="to", description="Before this instant (RFC 3339).")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> EntryPage:
    if action and action not in _ACTIONS:
        raise InvalidValueError("action", f"must be one of {', '.join(sorted(_ACTIONS))}")
    if of and not _OBJECT.fullmatch(of):
        raise InvalidValueError("object", "must be a kind and an id, such as check:3f0f8f9e-…, or a kind alone")
    wanted = Wanted(
        actor=text.one_line(actor, field="actor", most=300),
        action=action,
        object=of,
        from_at=instant_of(from_at, field="from"),
        to_at=instant_of(to_at, field="to"),
    )
    named = place(cursor, "audit", 2)
    try:
        before = None if named is None else (instant(named[0]), named[1])
    except OverflowError:
        raise InvalidValueError("cursor", "must be the `next` of a page of this list") from None
    async with request.api.database.read() as read:
        rows = await queries.list_entries(read, request.caller.pid, wanted, before=before, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_of("audit", micros(row.at), row.id))
    return EntryPage([_entry(row) for row in page], following)


def _entry(row: Row[Any]) -> EntryOut:
    return EntryOut(
        id=str(row.id),
        at=row.at,
        actor=row.actor,
        action=Action(row.action),
        object=row.object,
        before=row.before,
        after=row.after,
        ip=row.ip,
    )
