"""A real server that calls a real receiver, and one that could never call anybody."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from tests import canaries
from tests.net.forward_proxy import ForwardProxy
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


@pytest.mark.anyio
async def test_with_a_proxy_it_calls_by_that_and_the_log_never_says_how_it_signs_in(server: Server) -> None:
    login, written = f"hf:{canaries.PROXY_PASSWORD}", "hf:canary%40proxy%2Fpw"
    async with HttpReceiver() as receiver, ForwardProxy(login=login) as proxy:
        proxy.names["beats.invalid:80"] = ("127.0.0.1", urlsplit(receiver.url).port or 0)
        server.settings |= {"HEARTBEAT__URL": "http://beats.invalid/hb", "HEARTBEAT__PERIOD_S": "5"}
        server.settings |= {"OUTGOING__PROXY": f"http://{written}@127.0.0.1:{proxy.port}"}
        server.settings |= {"OUTGOING__ONLY_TO": "beats.invalid"}
        await asyncio.to_thread(server.init)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            while not receiver.requests:  # noqa: ASYNC110 - a real process has no event to wait on
                await asyncio.sleep(0.05)  # noqa: TID251 - bounded above
        status = await asyncio.to_thread(server.stop)

    assert (0, "/hb") == (status, receiver.requests[0].target)
    assert {"http://beats.invalid/hb"} == {one.target for one in proxy.asked}
    canaries.assert_none_in((server.folder / "server.log").read_text())


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "ONLY_TO",
            "hooks.example.com",
            "heartbeat.url: leads to beats.invalid: the setting outgoing.only_to does not",
        ),
        ("ONLY_TO", "beats.invalid:80", "outgoing.only_to[0]: Expected a host name"),
        ("PROXY", "http://hf:canary@proxy/pw@127.0.0.1", "outgoing.proxy: Expected http://[user:password@]host:port"),
    ],
)
def test_what_can_never_work_stops_the_start_with_the_name_of_its_setting(
    server: Server, name: str, value: str, says: str
) -> None:
    server.settings |= {"HEARTBEAT__URL": "http://beats.invalid/hb", f"OUTGOING__{name}": value}

    with pytest.raises(AssertionError) as caught:
        server.start()

    said = " ".join(str(caught.value).replace("│", " ").split())
    assert says in said
    assert "Traceback" not in said
    canaries.assert_none_in(said)


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
