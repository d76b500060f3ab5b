"""A page of checks as bytes. Only those are rendered anew that have changed, which of a long list are few.

Rendered for one project and one kind of key: whoever may only read is not shown where to ping.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.paging import cursor_of, cut
from heartfly.api.state import ApiState
from heartfly.api.v1.wire import check_out, left_so
from heartfly.checks.listed import AT_ONCE, Mark, mark_of, marks, named_with_tags, rows_of, uuids_of
from heartfly.checks.needs import read_needs
from heartfly.checks.queries import Wanted
from heartfly.checks.shown import WATCHED
from heartfly.checks.unjudged import as_left, unjudged_in
from heartfly.notify.silences import Running, in_force, running

_encode = msgspec.json.Encoder().encode


async def page_of(
    api: ApiState, pid: int, wanted: Wanted, *, after: int | None, limit: int, with_secret: bool
) -> bytes:
    """A `CheckPage`."""
    now, kept = api.clock.now(), api.fragments
    async with api.database.read() as read:
        found = await marks(read, pid, wanted, after=after, limit=limit + 1)
        silenced = await _silenced(read, pid, [mark.id for mark in found], now=now)
    page, following = cut(found, limit, lambda mark: cursor_of("checks", mark.id))
    windows = {check_id: spans for check_id, over in silenced.items() if (spans := unjudged_in(over))}
    # What is kept of a check says when it falls due; while it is not judged, that is another time.
    shown = {mark.id: None if mark.id in windows else kept.get(_of(pid, mark, with_secret), mark, now) for mark in page}
    missing = [check_id for check_id, rendered in shown.items() if rendered is None]
    for start in range(0, len(missing), AT_ONCE):
        # A connection is held no longer than it is needed: to render takes longer than to read.
        async with api.database.read() as read:
            rows = await rows_of(read, pid, missing[start : start + AT_ONCE])
            uuids = await uuids_of(read, pid, rows)
            linked = [row.id for row in rows if row.linked]
            needs = await read_needs(read, pid, linked) if linked else {}
            left = await as_left(read, pid, rows, windows) if windows else {}
        for row in rows:
            heard = [uuids[one] for one in (row.heard or "").split(",") if one in uuids]
            out = check_out(
                row,
                heard,
                base_url=api.base_url,
                now=now,
                with_secret=with_secret,
                needs=[one.uuid for one in needs.get(row.id, ())],
            )
            left_so(out, left.get(row.id), now=now)
            mark, rendered = mark_of(row), _encode(out)
            if row.id not in windows:
                kept.put(_of(pid, mark, with_secret), mark, rendered, now=now, turns=_turns(row))
            shown[row.id] = rendered
    # One that was deleted between the two looks is left out.
    items = b",".join(
        [_until(rendered, silenced.get(check_id)) for check_id, rendered in shown.items() if rendered is not None]
    )
    return b'{"items":[%b],"next":%b}' % (items, _encode(following))


async def _silenced(read: AsyncConnection, pid: int, ids: Sequence[int], *, now: datetime) -> dict[int, list[Running]]:
    """By what, of those that are. Of most projects at most times there is none to look for."""
    silent = await in_force(read, pid, now=now)
    if not silent:
        return {}
    over = [(row.id, running(silent, row, now=now)) for row in await named_with_tags(read, pid, ids)]
    return {check_id: them for check_id, them in over if them}


def _until(rendered: bytes, over: Sequence[Running] | None) -> bytes:
    """A silence is no part of a check: what is kept of it says none, and here it is put in, in its last field."""
    return rendered.removesuffix(b"null}") + _encode(over[0].span.to_at) + b"}" if over else rendered


def _of(pid: int, mark: Mark, with_secret: bool) -> tuple[int, int, bool]:  # noqa: FBT001 - a part of a key
    return pid, mark.id, with_secret


def _turns(row: Any) -> list[datetime]:
    """When it would be shown otherwise though nothing was written: it becomes late, or its old address ends."""
    expected_at = row.expected_at if row.status in WATCHED and not row.n_open_runs else None
    return [at for at in (expected_at, row.old_ping_until) if at is not None]
