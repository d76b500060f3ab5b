"""The documents and the reference of the API, for whoever asks, without a word to any other server."""

from __future__ import annotations

import asyncio

from litestar import Response, get

from heartfly.errors import NotFoundError
from heartfly.web.bookshelf import Hit
from heartfly.web.request import FOR_ALL, PageRequest

_A_DAY = "public, max-age=86400"
_LONGEST = 200
_MOST_HITS = 100


@get("/docs", opt=FOR_ALL)
async def contents(request: PageRequest) -> Response[bytes]:
    """Which there are; or, with `?q=`, their headings with these words."""
    shelf = request.web.bookshelf
    asked = request.query_params.get("q", "")[:_LONGEST].strip()
    found: list[Hit] = []
    if asked:
        found = list(await asyncio.to_thread(shelf.find, asked))
    return await request.page(
        "docs.html", shelf=shelf, asked=asked, hits=found[:_MOST_HITS], more=len(found) > _MOST_HITS
    )


@get("/docs/{name:str}", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[bytes]:
    return await _shown(request, request.path_value("name"))


@get("/docs/decisions/{name:str}", opt=FOR_ALL)
async def show_decision(request: PageRequest) -> Response[bytes]:
    return await _shown(request, f"decisions/{request.path_value('name')}")


@get("/docs/images/{name:str}", opt=FOR_ALL)
async def image(request: PageRequest) -> Response[bytes]:
    found = await asyncio.to_thread(request.web.bookshelf.image, request.path_value("name"))
    if found is None:
        raise NotFoundError("there is nothing at this address")
    content, kind = found
    return Response(content, media_type=kind, headers={"Cache-Control": _A_DAY})


async def _shown(request: PageRequest, name: str) -> Response[bytes]:
    shelf = request.web.bookshelf
    document = await asyncio.to_thread(shelf.get, name.removesuffix(".md"))
    if document is None:
        raise NotFoundError("there is no such document; its contents are at /docs")
    return await request.page("document.html", shelf=shelf, document=document, name=name.removesuffix(".md"))
