"""What the operator's settings make of the address rules: networks opened, ports, our own hosts, what is listed.

Asked twice: by urls.py when someone sets up a channel, for a friendly early answer, and
by connect.py for the socket, which is the answer that counts.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from heartfly.net.addresses import Network, canonical, forbidden_reason, is_opened

DEFAULT_PORTS = frozenset({80, 443})
_MEANS_ITSELF = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
"""Whoever looks these up: RFC 6761, 6.3, and what most systems have in their file of hosts."""
NOT_LISTED = "the setting outgoing.only_to does not list it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The only places that requests may go to; empty: any. It narrows what the other rules let through.

    `names` as urls.py spells hosts; `endings` are `.example.org`, for names below that one and not for itself.
    """

    names: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()
    networks: Sequence[Network] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.endings or self.networks)

    def has_name(self, host: str) -> bool:
        return host in self.names or host.endswith(self.endings)

    def has_address(self, ip: str) -> bool:
        """An IPv4 address inside an IPv6 one is listed as either."""
        return is_opened(ip, self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`own_hosts` are `host` (any port) or `host:port`, in lower case, as in our base URL.

    `by_proxy`: a forward proxy looks names up and connects, so of a name it is never known where it leads.
    """

    allow: Sequence[Network] = ()
    ports: Container[int] = DEFAULT_PORTS
    own_hosts: Container[str] = ()
    only_to: Listed = field(default_factory=Listed)
    by_proxy: bool = False

    def refusal(self, ip: str, port: int, *, name: str = "") -> str | None:
        """Say why a socket may not connect to ip and port, or None: it may. `name`: what led to the address, if any."""
        if reason := forbidden_reason(ip, self.allow):
            return f"the address is {reason}; the setting outgoing.allow_private can open it"
        if self.is_own(canonical(ip), port):
            return "that is Heartfly itself"
        # What the operator opened by hand is meant: internal receivers live on any port.
        if port not in self.ports and not is_opened(ip, self.allow):
            return f"port {port} is not open for requests to the internet"
        if self.only_to and not (name and self.only_to.has_name(name)) and not self.only_to.has_address(ip):
            return NOT_LISTED
        return None

    def leaves_out(self, host: str, *, is_literal: bool) -> bool:
        """Whether the list has no place for a host, whatever the name leads to."""
        if not self.only_to:
            return False
        if is_literal:
            return not self.only_to.has_address(host)
        may_lead_in = bool(self.only_to.networks) and not self.by_proxy
        return not self.only_to.has_name(host) and not may_lead_in

    def refusal_of_unknown(self, name: str, port: int) -> str | None:
        """Say why a proxy may not be asked for a name that we cannot resolve, or None: it may."""
        if name in _MEANS_ITSELF or name.endswith(".localhost"):
            return "the name means the proxy's own machine"
        return None if port in self.ports else f"port {port} is not open for requests to the internet"

    def is_own(self, host: str, port: int) -> bool:
        bracketed = f"[{host}]" if ":" in host else host
        return bracketed in self.own_hosts or f"{bracketed}:{port}" in self.own_hosts
