"""The table `[server]`: where a node listens, what the outside calls it, and what it does."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import force_setattr

from heartfly.config.section import Network, Seconds, Section, networks_in
from heartfly.core.node_roles import ALL, NodeRole

_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII)  # small: RFC 6454, 6.2
_CONTACT = re.compile(r"(?:mailto:[^@\s]+@[^@\s]+|tel:\+?[0-9().-]+|https://\S+)", re.ASCII)  # RFC 9116


class Server(Section, frozen=True):
    """The listening socket, and what the outside calls it."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    base_url: str = ""
    """Without a slash at the end. Empty: made of host and port; read it through `public_url`."""
    trusted_proxies: tuple[str, ...] = ()
    receive_deadline_s: Seconds = 10.0
    max_connections: Annotated[int, msgspec.Meta(ge=0)] = 0
    """0: 80 % of the file descriptors that this process may open."""
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 5.0
    finish_s: Seconds = 15.0
    roles: tuple[NodeRole, ...] = ALL
    """What this node does. On SQLite, which has one node, all of it."""
    cors_origins: tuple[str, ...] = ()
    security_contact: str = ""  # empty: there is no /.well-known/security.txt here

    def __post_init__(self) -> None:
        if not self.roles:
            raise ValueError("roles: Expected at least one of " + ", ".join(ALL))
        force_setattr(self, "roles", tuple(role for role in ALL if role in self.roles))
        list(networks_in("trusted_proxies", self.trusted_proxies))
        for i, origin in enumerate(self.cors_origins):
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"cors_origins[{i}]: Expected http(s)://host[:port], as a browser spells it, or *")
        if self.security_contact and not _CONTACT.fullmatch(self.security_contact):
            raise ValueError("security_contact: Expected mailto:…, tel:… or https://… without spaces")
        if not self.base_url:
            return
        url = urlsplit(self.base_url)
        extra = url.query or url.fragment or url.username
        if url.scheme not in {"http", "https"} or not url.hostname or extra:
            raise ValueError("base_url: Expected http(s)://host[:port][/path] and nothing more")
        force_setattr(self, "base_url", self.base_url.rstrip("/"))

    @property
    def proxy_networks(self) -> tuple[Network, ...]:
        return tuple(networks_in("trusted_proxies", self.trusted_proxies))

    @property
    def public_url(self) -> str:
        """What every link and ping address begins with."""
        if self.base_url:
            return self.base_url
        # An address that means "all interfaces" is none that a browser or curl could be sent to.
        host = "localhost" if self.host in {"", "0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
