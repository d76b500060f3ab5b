"""Calls about what was: pings, what they said, flips. Newest first, and bounded, as this API has no pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from heartfly.api.compat.healthchecks.asked import Answer, Asked, SaidNoError, not_found, told
from heartfly.api.compat.healthchecks.forms import GOOD, flip_form, ping_form
from heartfly.api.compat.healthchecks.reading import find
from heartfly.checks import queries
from heartfly.db.models import flips
from heartfly.errors import NotFoundError

MOST_PINGS = 1000
MOST_FLIPS = 5000
_YEAR_S = 31_536_000
_LATEST = 10_000_000_000
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


async def list_pings(asked: Asked) -> Answer:
    async with asked.api.database.read() as read:
        check = await find(read, asked)
        rows = await queries.pings_of(read, check.pid, check.id, before=None, limit=MOST_PINGS)
    check_url = f"{asked.api.base_url}/api/v{asked.version}/checks/{check.ping_uuid}"
    return told({"pings": [ping_form(row, check_url=check_url) for row in rows]})


async def ping_body(asked: Asked) -> Answer:
    """The bytes as they came, cut to what is kept."""
    async with asked.api.database.read() as read:
        check = await find(read, asked)
        n = asked.parts["n"]
        try:
            body = await queries.ping_body(read, check.pid, check.id, int(n) if _NUMBER.fullmatch(n) else 0)
        except NotFoundError as error:
            raise not_found() from error
    return Answer(body=body, headers={"Content-Security-Policy": "sandbox", "Content-Disposition": "inline"})


async def list_flips(asked: Asked) -> Answer:
    """Between `start`, inclusive, and `end`, or in the last `seconds`. From up to degraded is none to them."""
    from_at, to_at = _span(asked)
    async with asked.api.database.read() as read:
        check = await find(read, asked)
        query = sa.select(flips).where(flips.c.pid == check.pid, flips.c.check_id == check.id)
        query = query.where(sa.not_(sa.and_(flips.c.from_status.in_(GOOD), flips.c.to_status.in_(GOOD))))
        if from_at is not None:
            query = query.where(flips.c.at >= from_at)
        if to_at is not None:
            query = query.where(flips.c.at < to_at)
        rows = (await read.execute(query.order_by(flips.c.flip_no.desc()).limit(MOST_FLIPS))).all()
    return told({"flips": [flip_form(row) for row in rows]})


def _span(asked: Asked) -> tuple[datetime | None, datetime | None]:
    """SaidNoError, without a word, as there."""
    seconds = _whole(asked.query.get("seconds"), _YEAR_S)
    start, end = (_whole(asked.query.get(name), _LATEST) for name in ("start", "end"))
    from_at = None if start is None else datetime.fromtimestamp(start, UTC)
    if seconds is not None:
        lately = asked.api.clock.now() - timedelta(seconds=seconds)
        from_at = lately if from_at is None else max(from_at, lately)
    return from_at, None if end is None else datetime.fromtimestamp(end, UTC)


def _whole(given: Sequence[str] | None, most: int) -> int | None:
    if given is None:
        return None
    if not _NUMBER.fullmatch(given[-1]) or int(given[-1]) > most:
        raise SaidNoError(Answer(status=400))
    return int(given[-1])
