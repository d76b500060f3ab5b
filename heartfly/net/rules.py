"""What the operator's settings make of the address rules: networks opened, ports, our own hosts.

Asked twice: by urls.py when someone sets up a channel, for a friendly early answer, and
by connect.py for the socket, which is the answer that counts.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from heartfly.net.addresses import Network, canonical, forbidden_reason, is_opened

DEFAULT_PORTS = frozenset({80, 443})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`own_hosts` are `host` (any port) or `host:port`, in lower case, as in our base URL."""

    allow: Sequence[Network] = ()
    ports: Container[int] = DEFAULT_PORTS
    own_hosts: Container[str] = ()

    def refusal(self, ip: str, port: int) -> str | None:
        """Say why a socket may not connect to ip and port, or None: it may."""
        if reason := forbidden_reason(ip, self.allow):
            return f"the address is {reason}; the setting outgoing.allow_private can open it"
        if self.is_own(canonical(ip), port):
            return "that is Heartfly itself"
        # What the operator opened by hand is meant: internal receivers live on any port.
        if port not in self.ports and not is_opened(ip, self.allow):
            return f"port {port} is not open for requests to the internet"
        return None

    def is_own(self, host: str, port: int) -> bool:
        bracketed = f"[{host}]" if ":" in host else host
        return bracketed in self.own_hosts or f"{bracketed}:{port}" in self.own_hosts
