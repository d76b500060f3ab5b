"""Archived days of usage: which there are, whether their files are as they were written, and to put one back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError, StoreError
from heartfly.usage.archive import queries
from heartfly.usage.archive.restore import restore, verify
from heartfly.usage.audit import carry_or_wait

_DAY = date(1970, 1, 1)
_MOST_ROWS = 10**12


class OfTypeOut(msgspec.Struct, kw_only=True):
    """`sums`: exact, of each property that is an amount, 200 at most."""

    n: int
    sums: dict[str, str]


class ArchiveOut(msgspec.Struct, kw_only=True):
    """A file, with what is in it. A day has more than one where something came after the first was written."""

    day: str
    part: int
    file: str
    """Below the archive's directory."""
    format: str
    from_at: Instant
    to_at: Instant
    n_events: int
    n_conflicts: int
    n_bytes: int
    by_type: dict[str, OfTypeOut]
    fingerprint: str
    """SHA-256 of its rows, whatever the format."""
    checksum: str
    """SHA-256 of the file."""
    written_at: Instant
    let_go_at: Instant | None
    """Since when its events are in the file alone; null: the job is at it."""
    restored_until: Instant | None
    """They were put back, and stay until then."""


class ArchivePage(msgspec.Struct):
    items: list[ArchiveOut]
    next: str | None


class LookedAtOut(msgspec.Struct, kw_only=True):
    file: str
    n_events: int
    is_whole: bool
    wrong: str
    """Why not; empty when it is."""


class VerifiedOut(msgspec.Struct, kw_only=True):
    day: str
    is_whole: bool
    files: list[LookedAtOut]


class RestoreIn(msgspec.Struct, forbid_unknown_fields=True):
    after: int = 0
    """The `done` of the answer before; 0 begins."""


class RestoredOut(msgspec.Struct, kw_only=True):
    """Up to 50,000 rows at once: ask again with `after` until `is_over`."""

    day: str
    n: int
    """Rows in the day's files: events, and what contradicted them."""
    done: int
    is_over: bool
    n_restored: int
    """Events that this request has put back; those that were here already are not among them."""
    n_erased: int
    """Those of customers who were erased since: they stay away."""


SHAPES = (ArchivePage, VerifiedOut, RestoredOut)


@get("/usage/archives", summary="List archived days, newest first", responses=told_as(422), tags=["usage"])
async def list_archives(
    request: ApiRequest,
    *,
    from_day: Annotated[date | None, QueryParameter(name="from", description="From this day on (2026-03-01).")] = None,
    to_day: Annotated[date | None, QueryParameter(name="to", description="Before this day (2026-04-01).")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ArchivePage:
    """A row for each file. Days whose events are in the database alone are not among them."""
    async with request.api.usage.read() as read:
        rows = await queries.list_archives(
            read, request.caller.pid, from_day=from_day, to_day=to_day, before=_named(cursor), limit=limit + 1
        )
    page, following = cut(rows, limit, lambda row: cursor_of("archives", (row.day - _DAY).days, row.part))
    return ArchivePage([_out(row) for row in page], following)


@post(
    "/usage/archives/{day:str}/verify", summary="Look whether a day's files are as they were written",
    responses=told_as(404), tags=["usage"], status_code=200,
)  # fmt: skip
async def verify_archive(request: ApiRequest, day: FromPath[str]) -> VerifiedOut:
    """Reads each of them to its end. Nothing is changed."""
    api = request.api
    found = await verify(api.usage, request.caller.pid, _day(day), api.settings.archive_dir)
    files = [
        LookedAtOut(file=one.part.file, n_events=one.part.n_events, is_whole=not one.wrong, wrong=one.wrong)
        for one in found
    ]
    return VerifiedOut(day=day, is_whole=all(one.is_whole for one in files), files=files)


@post(
    "/usage/archives/{day:str}/restore", summary="Put a day's events back", responses=told_as(404, 409, 422),
    tags=["usage"], status_code=200,
)  # fmt: skip
async def restore_archive(request: ApiRequest, day: FromPath[str], data: JSONBody[RestoreIn]) -> RestoredOut:
    """What the day came to stays as it is. Its events stay for `archive.restored_days`, and go again then.

    Safe as often as you like: what is here is not put back twice. 409: a file is away, or not as it was written.
    """
    api, pid = request.api, request.caller.pid
    if not 0 <= data.after <= _MOST_ROWS:
        raise InvalidValueError("after", "must be the `done` of the answer before, or 0")
    try:
        told = await restore(
            api.usage, pid, _day(day), api.settings.archive_dir,
            after=data.after, stay=timedelta(days=api.settings.archive.restored_days),
            actor=request.actor, now=api.clock.now(), ids=api.ids,
        )  # fmt: skip
    except StoreError as error:
        raise ConflictError(str(error)) from error
    await carry_or_wait(api.usage, api.database)
    return RestoredOut(
        day=day, n=told.n, done=told.done, is_over=told.is_over, n_restored=told.back, n_erased=told.erased
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotFoundError("there is no such day") from None


def _named(cursor: str | None) -> tuple[date, int] | None:
    named = place(cursor, "archives", 2)
    if named is None:
        return None
    try:
        return _DAY + timedelta(days=named[0]), named[1]
    except OverflowError:
        raise InvalidValueError("cursor", "must be the `next` of a page of this list") from None


def _out(row: Any) -> ArchiveOut:
    by_type: Mapping[str, Any] = row.sums
    return ArchiveOut(
        day=row.day.isoformat(),
        part=row.part,
        file=f"{row.pid}/{row.file}",
        format=row.format,
        from_at=row.from_at,
        to_at=row.to_at,
        n_events=row.n_events,
        n_conflicts=row.n_conflicts,
        n_bytes=row.n_bytes,
        by_type={name: OfTypeOut(n=one["n"], sums=one["sums"]) for name, one in by_type.items()},
        fingerprint=bytes(row.fingerprint).hex(),
        checksum=bytes(row.checksum).hex(),
        written_at=row.written_at,
        let_go_at=row.let_go_at,
        restored_until=row.restored_until,
    )
