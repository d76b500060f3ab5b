"""A real server that calls a real receiver, and one that could never call anybody."""

from __future__ import annotations

import asyncio

import pytest

from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, free_port

pytestmark = pytest.mark.e2e


@pytest.mark.anyio
async def test_a_server_in_order_calls_soon_after_its_start(server: Server) -> None:
    async with HttpReceiver() as receiver:
        secret = "/hb/5f0c-canary-heartbeat"
        server.settings |= {"HEARTBEAT__URL": receiver.url + secret, "HEARTBEAT__PERIOD_S": "5"}
        await asyncio.to_thread(server.init)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            while not receiver.requests:  # noqa: ASYNC110 - a real process has no event to wait on
                await asyncio.sleep(0.05)  # noqa: TID251 - bounded above
        status = await asyncio.to_thread(server.stop)

    assert (0, secret) == (status, receiver.requests[0].target)
    assert "canary" not in (server.folder / "server.log").read_text()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.org/x", "heartbeat.url: Expected http://… or https://…"),
        ("http://user:pw@example.org/x", "heartbeat.url: must not carry a user name"),
        ("http://127.0.0.1:{port}/ping/x", "heartbeat.url: leads to Heartfly itself"),
    ],
)
def test_an_address_that_can_never_be_called_stops_the_start(server: Server, url: str, says: str) -> None:
    server.port = free_port()
    server.settings["HEARTBEAT__URL"] = url.format(port=server.port)

    with pytest.raises(AssertionError) as caught:
        server.start()

    said = " ".join(str(caught.value).replace("│", " ").split())
    assert says in said
    assert "Traceback" not in said
