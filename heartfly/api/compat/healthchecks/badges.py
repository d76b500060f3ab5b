"""Badges: the map of their addresses, and those that they had elsewhere, which stay as they were.

A badge that is made here has the address that it has for everybody. One that moved here keeps its own, of which
`badge_addresses` stores what does not say how many states it knows, nor its format:

    /b/<2|3>/<uuid>.<format>                        b/<uuid>
    /badge/<badge key>/<sig>[-2]/<tag>.<format>     <badge key>/<sig>/<tag>
    /badge/<badge key>/<sig>[-2].<format>           <badge key>/<sig>
    /badge/<half>/<2|3>/<code>.<format>             <half>/<code>, of another Heartfly; the pages show it
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from heartfly.api.compat.healthchecks.asked import Answer, Asked, not_found, told
from heartfly.api.compat.healthchecks.forms import badge_url
from heartfly.api.compat.healthchecks.paths import OF_CHECK, OF_HEARTFLY, OF_TAG
from heartfly.db.models import badge_addresses
from heartfly.errors import NotFoundError
from heartfly.public.badges import ALL, CHECK, TAG, States, subjects
from heartfly.public.drawing import FORMATS, HEADERS, drawn

_KINDS = ("svg", "json", "shields")


def address_in(url: str) -> str | None:
    """What is stored of the address of a badge, wherever it was. None: it is none of theirs."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return None
    # Under a path of its own, a server's addresses have that before them.
    for place, pattern in (("/b/", OF_CHECK), ("/badge/", OF_HEARTFLY), ("/badge/", OF_TAG)):
        start = path.find(place)
        if start >= 0 and (found := pattern.fullmatch(path[start:])):
            return _address(found.groupdict())
    return None


def _address(parts: dict[str, str | None]) -> str:
    if (uuid := parts.get("uuid")) is not None:
        return f"b/{uuid.lower()}"
    if (code := parts.get("code")) is not None:
        return f"{parts['half']}/{code}"
    tag = parts.get("tag")
    return f"{parts['key']}/{parts['sig']}" + ("" if tag is None else f"/{tag}")


async def show_badge(asked: Asked) -> Answer:
    parts = dict(asked.parts)
    states = States.TWO if parts.get("two") or parts.get("states") == "2" else States.THREE
    try:
        badge = await asked.badges.find_at(_address({name: value or None for name, value in parts.items()}))
    except NotFoundError as error:
        raise not_found() from error
    label = (asked.query.get("label") or [""])[0]
    body = drawn(badge, states, kind=parts["format"], label=label)
    return Answer(body=body, media_type=FORMATS[parts["format"]], headers=HEADERS)


async def list_badges(asked: Asked) -> Answer:
    """By tag, and `*` for all: those that moved here as they were, the rest as they are made here.

    Nothing while the project has neither: that it has badges at all is for its administrators to say.
    """
    base_url, pid = asked.api.base_url, asked.caller.pid
    query = sa.select(badge_addresses).where(badge_addresses.c.pid == pid, badge_addresses.c.of != CHECK)
    async with asked.api.database.read() as read:
        key, found = await subjects(read, pid, asked.api.sealer)
        brought = (await read.execute(query.order_by(badge_addresses.c.address))).all()
    by_tag: dict[str, dict[str, str]] = {}
    for _, one in found if key is not None else ():
        if one.of in {ALL, TAG} and key is not None:
            at = f"{base_url}/badge/{key.half}"
            by_tag["*" if one.of == ALL else one.name] = {
                _name(kind, states): f"{at}/{states}/{one.code}.{kind}" for kind in _KINDS for states in (2, 3)
            }
    for row in brought:
        by_tag["*" if row.of == ALL else row.tag] = {
            _name(kind, states): badge_url(base_url, row.address, states=states, kind=kind)
            for kind in _KINDS
            for states in (2, 3)
        }
    return told({"badges": by_tag})


def _name(kind: str, states: int) -> str:
    return kind if states == 2 else f"{kind}3"
