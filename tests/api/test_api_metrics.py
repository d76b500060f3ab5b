"""Who may read `/metrics`: this machine, and with a token whoever shows it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from heartfly.api.metrics import MetricsDoor
from heartfly.instruments import Instruments, gauge
from heartfly.server.forwarded import client_address

pytestmark = pytest.mark.anyio
TOKEN = "0f9d3c5e7a1b2846"
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
OFFICE = ip_network("198.51.100.0/24")


async def ask(
    client: str = "127.0.0.1",
    *,
    token: str = "",
    headers: dict[str, str] | None = None,
    method: str = "GET",
    allow: Any = LOOPBACK,
    trusted: Any = (),
) -> tuple[int, dict[bytes, bytes], bytes]:
    async def gauges() -> list[Any]:
        return [gauge("heartfly_ready", "Whether it is.", 1)]

    instruments = Instruments()
    instruments.pings.add("ok")
    door = MetricsDoor(
        instruments, gauges=gauges, token=token, allow=allow,
        client_address=lambda scope: client_address(scope, trusted), proxied=bool(trusted),
    )  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    given = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"method": method, "path": "/metrics", "headers": given, "client": (client, 1) if client else None}
    await door(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


async def test_this_machine_reads_them_without_a_token() -> None:
    status, headers, body = await ask()

    assert (200, b"text/plain; version=0.0.4; charset=utf-8") == (status, headers[b"content-type"])
    assert b'heartfly_pings_total{outcome="ok"} 1\n' in body
    assert b"heartfly_ready 1\n" in body
    assert b"no-store" == headers[b"cache-control"]


@pytest.mark.parametrize(
    ("client", "asked", "status"),
    [
        ("::1", {}, 200),
        ("", {}, 200),  # a Unix socket
        ("192.0.2.7", {}, 403),
        ("nonsense", {}, 403),
        # A proxy of this machine speaks for somebody else.
        ("127.0.0.1", {"headers": {"X-Forwarded-For": "192.0.2.7"}}, 403),
        ("127.0.0.1", {"headers": {"X-Forwarded-For": "127.0.0.1"}}, 403),
        ("127.0.0.1", {"headers": {"Forwarded": "for=127.0.0.1"}}, 403),
        ("127.0.0.1", {"headers": {"X-Real-IP": "127.0.0.1"}}, 403),
        # Once it is trusted, the client that it names counts.
        ("127.0.0.1", {"headers": {"X-Forwarded-For": "192.0.2.7"}, "trusted": LOOPBACK}, 403),
        ("127.0.0.1", {"headers": {"X-Forwarded-For": "198.51.100.9"}, "trusted": LOOPBACK, "allow": (OFFICE,)}, 200),
        ("198.51.100.9", {"allow": (OFFICE,)}, 200),
        ("127.0.0.1", {"allow": ()}, 403),
    ],
)
async def test_without_a_token_the_address_decides(client: str, asked: dict[str, Any], status: int) -> None:
    found, _, body = await ask(client, **asked)

    assert status == found
    assert (status == 200) == (b"heartfly_pings_total" in body)


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer ", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        (None, 401),
    ],
)
async def test_with_a_token_whoever_shows_it_reads_them_and_nobody_else(shown: str | None, status: int) -> None:
    for client in ("127.0.0.1", "192.0.2.7"):
        found, headers, body = await ask(client, token=TOKEN, headers={} if shown is None else {"Authorization": shown})

        assert status == found
        assert (status == 401) == (b"www-authenticate" in headers)
        assert TOKEN.encode() not in body


async def test_only_questions_are_answered() -> None:
    head, headers, nothing = await ask(method="HEAD")
    post, refused, _ = await ask(method="POST")

    assert (200, b"") == (head, nothing)
    assert int(headers[b"content-length"]) > 0
    assert (405, b"GET, HEAD") == (post, refused[b"allow"])
