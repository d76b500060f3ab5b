"""Badges: list their addresses; make the key that they are addressed by, and remove it. What one says is for all."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import delete, get, post

from heartfly.accounts.guards import ADMINISTERS
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.public import badge_keys
from heartfly.public.badges import CHECK, States, Subject, subjects


class BadgeUrls(msgspec.Struct):
    svg: str
    json: str
    shields: str
    """For Shields' endpoint badge."""


class BadgeOut(msgspec.Struct, kw_only=True):
    """Of the whole project (`all`), of the checks with a tag, or of one check. `name`: the tag, or its name."""

    of: Literal["all", "tag", "check"]
    name: str
    check: str | None
    """The id of the check that it is of; null: it is of more."""
    two_states: BadgeUrls
    """Up or down."""
    three_states: BadgeUrls
    """Up, late or down."""


class BadgePage(msgspec.Struct):
    items: list[BadgeOut]
    next: str | None


class BadgeKeyOut(msgspec.Struct):
    """What became of the key; `key`: what stands in every address."""

    key: str


SHAPES = (BadgePage, BadgeKeyOut)


@get("/badges", summary="List badges", responses=told_as(422), tags=["badges"])
async def list_badges(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> BadgePage:
    """The project's and those of its tags (on the first page), then its checks'. None while there is no badge key."""
    after = place(cursor, "badges", 1)
    async with request.api.database.read() as read:
        key, found = await subjects(
            read, request.caller.pid, request.api.sealer, after=after[0] if after else None, limit=limit + 1
        )
    if key is None:
        return BadgePage([], None)
    wide = [one for _, one in found if one.of != CHECK]
    page, following = cut(found[len(wide) :], limit, lambda row: cursor_of("badges", row[0]))
    told = [*wide, *(one for _, one in page)]
    return BadgePage([_out(request.api.base_url, key.half, one) for one in told], following)


@post("/badges/key", summary="Make a badge key", responses=told_as(), tags=["badges"], opt=ADMINISTERS, status_code=200)
async def make_badge_key(request: ApiRequest) -> BadgeKeyOut:
    """A new one: badges at addresses with the key before it, if there was one, are gone at once."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    half = await request.administer(
        lambda tx: badge_keys.make_badge_key(tx, pid, actor=request.actor, at=at, ids=api.ids, sealer=api.sealer)
    )
    return BadgeKeyOut(half)


@delete("/badges/key", summary="Remove the badge key", responses=told_as(409), tags=["badges"], opt=ADMINISTERS)
async def remove_badge_key(request: ApiRequest) -> None:
    """The project has no badges any more."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await request.administer(lambda tx: badge_keys.remove_badge_key(tx, pid, actor=request.actor, at=at, ids=api.ids))


def _out(base_url: str, half: str, one: Subject) -> BadgeOut:
    def urls(states: States) -> BadgeUrls:
        at = f"{base_url}/badge/{half}/{states.value}/{one.code}"
        return BadgeUrls(f"{at}.svg", f"{at}.json", f"{at}.shields")

    return BadgeOut(
        of=one.of,
        name=one.label,
        check=one.name if one.of == CHECK else None,
        two_states=urls(States.TWO),
        three_states=urls(States.THREE),
    )
