"""How much a client may ask of a connection: time, bytes, headers, and how many connections there are.

Only the figures and what follows from the machine; connection.py holds clients to them and run.py
shuts down by them. Limits on the meaning of a request (body sizes, rates) are the application's.
"""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """All times are in seconds."""

    receive_deadline_s: float = 10.0
    """From the first byte of a request, or from the accept, to its last byte. Absolute: dripping gains nothing."""

    max_header_bytes: int = 16_384
    """Request line and header fields; also what may come between two pieces of a chunked body."""

    max_headers: int = 100
    max_connections: int | None = None
    """None: 80 % of the open files that the process may have, so that the rest is left for the database."""

    max_per_place: int = 0
    """Connections of one client at one time, by core/places.py; 0: any number."""

    uncounted: Sequence[IPv4Network | IPv6Network] = ()
    """Whose connections are not counted like that: proxies, behind whose address many clients stand."""

    max_pipelined: int = 100
    """Requests of one connection that wait for an answer; beyond it the rest is not read."""

    keep_alive_s: float = 30.0
    send_stall_s: float = 30.0
    """How long a client may leave our answer unread before it is cut off."""

    linger_s: float = 1.0
    """How long we go on reading what a refused client still sends, so that it can read why."""

    drain_s: float = 5.0
    """After stop: how long we still accept, while every answer says `Connection: close`."""

    quiet_s: float = 1.0
    """But no longer than until nobody was connected, and nobody came, for so long."""

    handshake_s: float = 0.2
    """After that: for who has begun to connect as nobody may any more, and is not in our queue yet."""

    last_request_s: float = 1.0
    """After that: for a client accepted at the last moment, whose request is on its way."""

    finish_s: float = 15.0
    """After that: for what is under way, the last moment included."""

    leave_s: float = 1.0
    """After that: for an application to leave when it hears `http.disconnect`, and again when cancelled."""

    def connection_cap(self) -> int:
        if self.max_connections is not None:
            return self.max_connections
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return 50_000 if soft == resource.RLIM_INFINITY else max(16, soft * 8 // 10)

    def counts(self, host: str) -> bool:
        """Whether what this host opens is counted. `host`: as the kernel says it."""
        if not self.max_per_place:
            return False
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return not any(address in network for network in self.uncounted)

    @property
    def sweep_s(self) -> float:
        """How often deadlines are looked at: fine enough that one is at most 5 % late."""
        shortest = min(self.receive_deadline_s, self.keep_alive_s, self.send_stall_s, self.linger_s)
        return min(0.5, max(0.005, shortest / 20))

    @property
    def idle_sweep_s(self) -> float:
        """The same while nobody is connected: whoever connects meanwhile is not late before that has passed."""
        shortest = min(self.receive_deadline_s, self.keep_alive_s, self.send_stall_s, self.linger_s)
        return max(self.sweep_s, min(0.5, shortest - self.sweep_s))

    @property
    def stall_sweep_s(self) -> float:
        """How often it is looked who leaves our answers unread; that takes longer for each connection."""
        return min(1.0, self.send_stall_s / 20)
