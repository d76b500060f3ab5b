"""Nothing that can be read in two ways is read at all."""

from __future__ import annotations

import pytest

from tests.server.raw_requests import READ, REFUSED, SMUGGLED
from tests.server.site import running_site

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("case", REFUSED)
async def test_an_ambiguous_request_is_refused_and_the_connection_closed(case: str) -> None:
    status, stream = REFUSED[case]
    async with running_site() as site:
        answer = await site.ask(stream + SMUGGLED)

        head = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert b"HTTP/1.1 %d " % status == head[0][:13]
        assert b"connection: close" in head
        assert 1 == answer.count(b"connection: close")
        assert [] == [body for body in site.seen.bodies if body]
        assert "GET /smuggled" not in site.seen.requests


@pytest.mark.parametrize("case", REFUSED)
async def test_it_is_refused_as_well_when_it_comes_byte_by_byte(case: str) -> None:
    status, stream = REFUSED[case]
    async with running_site() as site:
        client = await site.connect()
        for byte in stream + SMUGGLED:
            await client.send(bytes([byte]))

        assert (await client.rest()).startswith(b"HTTP/1.1 %d " % status)
        assert "GET /smuggled" not in site.seen.requests


@pytest.mark.parametrize("sent", ["at once", "byte by byte"])
@pytest.mark.parametrize("case", READ)
async def test_an_odd_but_clear_request_is_read_as_what_it_is(case: str, sent: str) -> None:
    expected, stream = READ[case]
    end = b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    last = [] if "HTTP/1.0" in case else ["GET /end"]
    async with running_site() as site:
        client = await site.connect()
        for piece in [bytes([byte]) for byte in stream + end] if sent == "byte by byte" else [stream + end]:
            await client.send(piece)
        answer = await client.rest()

        assert len(expected + last) == answer.count(b"HTTP/1.1 200 OK")
        assert expected + last == site.seen.requests


def test_there_are_enough_of_them() -> None:
    assert 100 <= len(REFUSED)
