"""Status pages for the world: one page without script, and the same as an Atom feed.

It is the same for everybody, signed in or not, so browsers and proxies may keep it for half a minute. One that is not
published reads as one that never was.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from xml.sax.saxutils import escape

from litestar import Response, get

from heartfly.core.spans import span
from heartfly.core.text import shown
from heartfly.errors import NotFoundError
from heartfly.public.logos import MEDIA_TYPES
from heartfly.public.overview import DAYS, Overview, Trouble, overview, published, published_logo
from heartfly.web.request import FOR_ALL, HTML, PageRequest
from heartfly.web.times import Times

_KEPT = "public, max-age=30"
_LOOK_KEPT = "public, max-age=3600"
"""The page asks for another address when it becomes another."""
OWN_COLOURS = ("#4a48d4", "#a5abff")
"""In light and in dark, as css/tokens.css has them."""
SPANS = (("wide", DAYS), ("slim", 30))
"""How many days have a bar, by the class of what is there on wide or on slim windows only: on a phone 90 are hairs."""
SAID = {
    "up": "Everything is up",
    "late": "Something is late",
    "degraded": "Something does not do its work fully",
    "down": "Something is down",
    "none": "Nothing is watched yet",
}


@get("/status/{slug:str}", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[bytes]:
    its = await _read(request)
    made = await asyncio.to_thread(
        request.web.renderer.now,
        "status.html",
        {
            "its": its, "said": SAID, "t": Times(its.at, its.zone), "heights": heights, "span": span, "spans": SPANS,
        },
    )  # fmt: skip
    headers = _headers(its) | {"Vary": "Accept-Encoding"}
    if request.accepts_gzip:
        return Response(
            gzip.compress(made, 6, mtime=0), media_type=HTML, headers=headers | {"Content-Encoding": "gzip"}
        )
    return Response(made, media_type=HTML, headers=headers)


@get("/status/{slug:str}/atom.xml", opt=FOR_ALL)
async def feed(request: PageRequest) -> Response[bytes]:
    its = await _read(request)
    return Response(
        as_atom(its, f"{request.api.base_url}/status/{its.slug}"),
        media_type="application/atom+xml",
        headers=_headers(its),
    )


@get("/status/{slug:str}/look/{name:str}", opt=FOR_ALL)
async def look(request: PageRequest) -> Response[bytes]:
    """The logo, or the colours as a style sheet: styles within a page are forbidden to it, ours too."""
    slug, name = _slug(request), request.path_value("name")
    if not name.isascii() or not name.isprintable():  # not every database could be asked for it
        raise NotFoundError("there is nothing at this address")
    kind = MEDIA_TYPES.get(name.rpartition(".")[2])
    async with request.api.database.read() as read:
        if kind is not None:
            content = await published_logo(read, slug, name)
            return Response(content, media_type=kind, headers={"Cache-Control": _LOOK_KEPT})
        page = await published(read, slug)
    if name != "colours.css":
        raise NotFoundError("there is nothing at this address")
    return Response(
        colours(page.accent, page.accent_dark), media_type="text/css", headers={"Cache-Control": _LOOK_KEPT}
    )


def colours(accent: str, accent_dark: str) -> bytes:
    """Empty: the house's own."""
    light, dark = accent or OWN_COLOURS[0], accent_dark or OWN_COLOURS[1]
    edge = ".public { border-top: 4px solid var(--accent); }"
    return f":root {{ --accent: light-dark({light}, {dark}); }}\n{edge}\n".encode()


async def _read(request: PageRequest) -> Overview:
    slug, now = _slug(request), request.api.clock.now()
    async with request.api.database.read() as read:
        return await overview(read, await published(read, slug), now=now)


def _slug(request: PageRequest) -> str:
    slug = request.path_value("slug")
    if not slug.isascii() or not slug.isprintable():
        raise NotFoundError("there is nothing at this address")
    return slug


def _headers(its: Overview) -> dict[str, str]:
    return {"Cache-Control": _KEPT} | ({"X-Robots-Tag": "noindex"} if its.noindex else {})


class OfADay(Protocol):
    @property
    def down_s(self) -> int | None: ...


def heights(bars: Sequence[OfADay]) -> dict[str, str]:
    """Three paths in a picture of 4 by 20 units a day: what was up is short, what was down is tall, the rest a line."""
    paths = {"up": "", "down": "", "none": ""}
    for n, bar in enumerate(bars):
        kind, top = ("none", 18) if bar.down_s is None else ("down", 0) if bar.down_s else ("up", 8)
        paths[kind] += f"M{n * 4} {top}h3V20h-3z"
    return paths


def as_atom(its: Overview, address: str) -> bytes:
    updated = max((_changed(one) for one in its.troubles), default=its.at)
    entries = "".join(_entry(one, address) for one in its.troubles)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<title>{_text(its.title)}</title><id>{_text(address)}</id>"
        f'<link rel="self" href="{_text(address)}/atom.xml"/><link rel="alternate" href="{_text(address)}"/>'
        f"<author><name>{_text(its.title)}</name></author><updated>{_iso(updated)}</updated>{entries}</feed>\n"
    ).encode()


def _entry(one: Trouble, address: str) -> str:
    if one.closed_at is None:
        title, said = f"{one.name} is down", f"Down since {_utc(one.opened_at)}."
    else:
        title = f"{one.name} was down for {span(one.closed_at - one.opened_at)}"
        said = f"Down from {_utc(one.opened_at)} to {_utc(one.closed_at)}."
    return (
        f"<entry><title>{_text(title)}</title><id>urn:uuid:{one.id}</id>"
        f'<link rel="alternate" href="{_text(address)}"/><published>{_iso(one.opened_at)}</published>'
        f"<updated>{_iso(_changed(one))}</updated><summary>{said}</summary></entry>"
    )


def _changed(one: Trouble) -> datetime:
    return one.closed_at or one.opened_at


def _text(text: str) -> str:
    return escape(shown(text), {'"': "&quot;"})


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
