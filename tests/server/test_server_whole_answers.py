"""An answer in one message: what reaches the client is the same as of one in two."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from typing import Any

import pytest

from tests.server.site import LIMIT_S, running_site

pytestmark = pytest.mark.anyio

WHOLE = "heartfly.response.whole"
ANSWER = {"type": WHOLE, "status": 200, "fields": b"x: 1\r\ncontent-length: 2\r\n", "body": b"OK"}
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def whole(scope: Any, _: Any, send: Any) -> None:
    assert WHOLE in scope["extensions"]
    await send(ANSWER)


async def in_two(_: Any, __: Any, send: Any) -> None:
    fields = [(b"x", b"1"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"OK"})


@pytest.mark.parametrize(
    ("requests", "end"),
    [
        (LAST, b"\r\nconnection: close\r\n\r\nOK"),
        (b"GET / HTTP/1.0\r\n\r\n", b"\r\nconnection: close\r\n\r\nOK"),
        (LAST.replace(b"GET", b"HEAD"), b"\r\nconnection: close\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + LAST, b"\r\nconnection: close\r\n\r\nOK"),
    ],
)
async def test_it_reads_like_one_in_two(requests: bytes, end: bytes) -> None:
    said = []
    for app in (whole, in_two):
        async with running_site(app) as site:
            said.append(re.sub(rb"date: [^\r]+", b"date: now", await site.ask(requests)))

    assert said[1] == said[0]
    assert said[0].startswith(b"HTTP/1.1 200 OK\r\ndate: now\r\nx: 1\r\ncontent-length: 2\r\n")
    assert said[0].endswith(end)


async def test_after_an_answer_there_is_no_other() -> None:
    async def twice(_: Any, __: Any, send: Any) -> None:
        await send(ANSWER)
        await send(ANSWER)

    async with running_site(twice) as site:
        answer = await site.ask(LAST)

    assert 1 == answer.count(b"HTTP/1.1 ")


async def test_who_has_left_is_not_answered() -> None:
    entered, ended = asyncio.Event(), asyncio.Event()

    async def late(_: Any, receive: Any, send: Any) -> None:
        entered.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        await send(ANSWER)
        ended.set()

    async with running_site(late) as site:
        client = await site.connect()
        async with asyncio.timeout(LIMIT_S):
            await client.send(LAST)
            await entered.wait()
            # A reset: an end of file alone could come from a client that still wants its answer.
            at_once = struct.pack("ii", 1, 0)
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            client.hang_up()
            await ended.wait()
