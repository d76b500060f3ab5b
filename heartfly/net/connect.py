"""Connects to an address that was checked, and to no other.

The name is resolved once, each address is judged, and the socket goes to that very address:
nothing between the check and the connection can change it (DNS rebinding). What then goes
over the connection is wire.py's; TLS verifies the name there.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from heartfly.errors import ForbiddenAddressError
from heartfly.net.failures import RequestFailed
from heartfly.net.resolver import Resolve
from heartfly.net.rules import Rules
from heartfly.net.wire import Wire

_MAX_ADDRESSES = 4


class Connector:
    def __init__(
        self, rules: Rules, resolve: Resolve, *, lookup_limit_s: float = 3.0, connect_limit_s: float = 4.0
    ) -> None:
        """Each address has its own limit: one that swallows packets must leave time for the next."""
        self._rules = rules
        self._resolve = resolve
        self._lookup_limit_s = lookup_limit_s
        self._connect_limit_s = connect_limit_s

    async def connect(self, host: str, port: int) -> Wire:
        """Return a connection that is yet to be opened."""
        return Wire(await self.dial(host, port), host=host)

    async def dial(self, host: str, port: int) -> socket.socket:
        ips = await self._allowed_addresses(host, port)
        trouble: Exception | None = None
        for ip in ips[:_MAX_ADDRESSES]:
            try:
                return await self._connect(host, ip, port)
            except OSError as error:
                trouble = error
        raise RequestFailed(f"{host}: {_connect_words(trouble)}") from trouble

    async def refusals(self, host: str, port: int) -> dict[str, str | None]:
        """Where the host leads, and of each address why it may not be used, or None. There is at least one."""
        name = "" if _is_address(host) else host
        return {ip: self._rules.refusal(ip, port, name=name) for ip in await self._look_up(host, port)}

    async def _allowed_addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the answers that may be used. The others are dropped, for a name with one stale record works."""
        refusals = await self.refusals(host, port)
        allowed = [ip for ip, refusal in refusals.items() if refusal is None]
        if not allowed:
            raise ForbiddenAddressError(f"{host}: {next(iter(refusals.values()))}")
        return allowed

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        if _is_address(host):
            return [host]
        try:
            async with asyncio.timeout(self._lookup_limit_s):
                answers = await self._resolve(host, port)
        except TimeoutError as error:
            message = f"{host}: the name servers did not answer within {self._lookup_limit_s:g} s"
            raise RequestFailed(message) from error
        except OSError as error:
            raise RequestFailed(f"{host}: the name could not be resolved") from error
        if not answers:
            raise RequestFailed(f"{host}: the name has no address")
        return answers

    async def _connect(self, host: str, ip: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setblocking(False)  # noqa: FBT003 - the socket module's signature
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self._connect_limit_s):
                await asyncio.get_running_loop().sock_connect(sock, (ip, port))
            # Where the kernel really went: it takes 0.0.0.0, for one, to mean 127.0.0.1.
            self._judge(host, sock.getpeername()[0], port)
        except BaseException:
            sock.close()
            raise
        return sock

    def _judge(self, host: str, ip: str, port: int) -> None:
        if refusal := self._rules.refusal(ip, port, name="" if _is_address(host) else host):
            raise ForbiddenAddressError(f"{host}: {refusal}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _connect_words(error: Exception | None) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, TimeoutError):
        return "no connection within the time limit"
    return f"no connection ({getattr(error, 'strerror', None) or 'no reason given'})"
