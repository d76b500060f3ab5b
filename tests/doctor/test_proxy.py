"""What the doctor says of the forward proxy: a real one, one that is not there, and one of which nothing may show."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from heartfly.clock import SystemClock
from heartfly.config import Data, Settings
from heartfly.config.outgoing import Outgoing
from heartfly.doctor import proxy
from heartfly.doctor.examine import examine
from heartfly.doctor.finding import Level
from heartfly.net.http import RequestFailed, reach_proxy
from tests import canaries
from tests.net.forward_proxy import ForwardProxy
from tests.net.sender import Names, client_side, server_side

pytestmark = pytest.mark.anyio


def signed_in(port: int, scheme: str = "http") -> Outgoing:
    return Outgoing(proxy=f"{scheme}://hf:canary%40proxy%2Fpw@127.0.0.1:{port}")


async def test_without_a_proxy_nothing_is_wrong() -> None:
    found = await proxy.look(Outgoing())

    assert (Level.OK, "") == (found.level, found.advice)
    assert "straight" in found.found


async def test_a_proxy_that_can_be_reached_is_asked_for_nothing() -> None:
    async with ForwardProxy(login="another:login") as running:
        found = await proxy.look(signed_in(running.port))
        await running.wait_until_alone()

    assert (Level.OK, f"127.0.0.1:{running.port} can be reached") == (found.level, found.found)
    assert ([], 1) == (running.asked, running.connections)


async def test_a_proxy_that_is_not_there_is_an_error_with_what_to_do_and_no_password() -> None:
    async with ForwardProxy() as gone:
        pass
    found = await proxy.look(signed_in(gone.port))

    assert (Level.ERROR, f"127.0.0.1:{gone.port} cannot be reached: the connection was refused") == (
        found.level,
        found.found,
    )
    assert "outgoing.proxy" in found.advice
    canaries.assert_none_in(repr(found))


async def test_a_proxy_that_speaks_no_tls_is_an_error_where_tls_is_asked_for() -> None:
    async with ForwardProxy() as plain:
        found = await proxy.look(signed_in(plain.port, "https"))

    assert Level.ERROR is found.level
    assert "cannot be reached: " in found.found


async def test_the_certificate_of_a_proxy_is_verified() -> None:
    authority = trustme.CA()
    own, names = server_side(authority.issue_cert("proxy.example")), Names(proxy_example=["127.0.0.1"])
    async with ForwardProxy(tls=own) as running:
        known = running.known(host="proxy.example")
        await reach_proxy(known, resolver=names, tls=client_side(authority))
        with pytest.raises(RequestFailed, match=r"proxy\.example: TLS: the certificate was refused"):
            await reach_proxy(known, resolver=names, tls=client_side(trustme.CA()))
        await running.wait_until_alone()

    assert [] == running.asked


async def test_it_is_among_all_that_is_looked_at(tmp_path: Path) -> None:
    settings = Settings(data=Data(dir=tmp_path / "data"), outgoing=signed_in(1))

    told = {one.name: one for one in await examine(settings, mail_settings=None, clock=SystemClock())}

    assert Level.ERROR is told["proxy"].level
