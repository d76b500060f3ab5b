"""Mails that come by STARTTLS, and who holds a place without sending one."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import trustme

from heartfly.clock import SystemClock
from heartfly.errors import SettingsError
from tests.one_database import on_sqlite
from tests.server.identity import Identity
from tests.server.test_smtp import DOMAIN, SENDER, listening
from tests.world import World, make_world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One loop: the listener is aiosmtpd's, and what it does on others is not ours."""
    return "asyncio"


@pytest.fixture
async def world(db: Any, ids: Any) -> World:
    return await make_world(db, ids, SystemClock().now())


@pytest.fixture
async def check(world: World) -> str:
    """Its ping UUID."""
    return str((await world.check(SystemClock().now())).ping_uuid)


@on_sqlite
async def test_a_mail_may_come_by_tls_with_a_certificate_that_is_renewed_without_a_restart(
    world: World, check: str, tmp_path: Path
) -> None:
    its = Identity(tmp_path)
    async with listening(world, connections=1, **its.settings) as post:
        post.tls = its.trust
        assert "250" == await post.send(f"{check}@{DOMAIN}")  # with one place: TLS takes no second one
        its.renew()
        with pytest.raises(ssl.SSLCertVerificationError):
            await post.send(f"{check}@{DOMAIN}")
        post.tls = its.trust
        assert "250" == await post.send(f"{check}@{DOMAIN}")
        its.key.write_bytes(b"half")
        assert "250" == await post.send(f"{check}@{DOMAIN}")
        post.tls = None
        assert "250" == await post.send(f"{check}@{DOMAIN}")
    assert ["success"] * 4 == await post.kinds(check)


@on_sqlite
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda its: its.key.unlink(), "No such file"), (lambda its: its.key.write_bytes(b"x"), "smtp.key"),
        (lambda its: its.key.write_bytes(trustme.CA().issue_cert("x").private_key_pem.bytes()), "not that of"),
    ],
)  # fmt: skip
async def test_a_certificate_that_cannot_be_used_is_told_at_the_start(
    world: World, tmp_path: Path, spoil: Callable[[Identity], None], why: str
) -> None:
    its = Identity(tmp_path)
    spoil(its)

    with pytest.raises(SettingsError, match=f"smtp.certificate, smtp.key: .*{why}|{why}"):
        async with listening(world, **its.settings):
            pass


def held(port: int, *says: bytes) -> list[bytes]:
    """What one is told who says this, and then waits until he is hung up on. TimeoutError: nobody did."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        answers = client.makefile("rb")
        told = [answers.readline()]
        for line in says:
            client.sendall(line)
            told.append(answers.readline() if line.endswith(b"\n") else b"")
        with contextlib.suppress(ConnectionError):
            answers.read()
        return told


@on_sqlite
@pytest.mark.parametrize(
    "says", [(), (b"HELO x\r\n", b"NOOP\r\n"), (b"HELO x\r\n", f"MAIL FROM:<{SENDER}>\r\n".encode())]
)
async def test_who_holds_a_place_loses_it(world: World, check: str, says: tuple[bytes, ...]) -> None:
    async with listening(world, connections=1, longest_s=0.3) as post:
        told = await anyio.to_thread.run_sync(held, post.listener.port, *says)

        assert [b"220", *[b"250"] * len(says)] == [each[:3] for each in told]
        assert "250" == await post.send(f"{check}@{DOMAIN}")


@on_sqlite
@pytest.mark.parametrize("says", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\x05hello"])
async def test_who_stops_within_the_handshake_loses_his_place(
    world: World, check: str, tmp_path: Path, says: bytes
) -> None:
    async with listening(world, connections=1, longest_s=0.5, **Identity(tmp_path).settings) as post:
        told = await anyio.to_thread.run_sync(held, post.listener.port, b"STARTTLS\r\n", says)

        assert [b"220", b"220"] == [each[:3] for each in told[:2]]
        assert "250" == await post.send(f"{check}@{DOMAIN}")
