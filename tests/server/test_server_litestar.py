"""The framework's own idea of ASGI, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx  # noqa: TID251 - the client of these tests
import pytest
from litestar import Litestar, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import ServerSentEvent

from tests.server.site import LIMIT_S, running_site

pytestmark = pytest.mark.anyio


async def test_routes_bodies_and_streams_work_and_an_end_of_a_stream_is_noticed() -> None:
    ended = asyncio.Event()

    @get("/square/{n:int}", sync_to_thread=False)
    def square(n: FromPath[int]) -> dict[str, int]:
        return {"square": n * n}

    @post("/sum", sync_to_thread=False)
    def total(data: JSONBody[list[int]]) -> int:
        return sum(data)

    @get("/live")
    async def live() -> ServerSentEvent:
        async def events() -> AsyncIterator[str]:
            try:
                yield "first"
                await asyncio.Event().wait()
            finally:
                ended.set()

        return ServerSentEvent(events())

    app = Litestar([square, total, live], openapi_config=None)
    async with running_site(app) as site, httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}") as client:
        assert {"square": 49} == (await client.get("/square/7")).json()
        assert "6" == (await client.post("/sum", json=[1, 2, 3])).text
        assert 404 == (await client.get("/nowhere")).status_code
        async with client.stream("GET", "/live") as stream:
            lines = stream.aiter_lines()
            assert "data: first" == await anext(lines)
        async with asyncio.timeout(LIMIT_S):
            await ended.wait()
