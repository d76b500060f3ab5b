"""Who asks, when a proxy stands between: the right-most hop that is not a trusted proxy itself.

Only what a trusted peer says counts, and of that only the part that trusted hops appended: everything to
the left may have been sent by the client. What cannot be read makes the peer the client. The list of
trusted networks is configuration; what is done with the address (rate limits, records) is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Some proxies append the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
_IPV4_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")


def client_address(scope: Mapping[str, Any], trusted: Sequence[Network]) -> tuple[str, str]:
    """Return the client's address and the scheme it used, from an ASGI scope.

    The address is "" if there is none: a Unix socket without a word from a proxy. Such a peer is a program
    of this machine, so it is believed as soon as any network is trusted.
    """
    peer_text = scope["client"][0] if scope.get("client") else ""
    scheme = str(scope.get("scheme", "http"))
    peer, shown = _peer(peer_text)
    if not trusted or not (not peer_text or _is_trusted(peer, trusted)):
        return shown, scheme
    return _client_of(scope, trusted) or shown, _scheme_of(scope) or scheme


@lru_cache(maxsize=4096)
def _peer(text: str) -> tuple[Address | None, str]:
    """As `_address`, for what the kernel says, and how it is shown: jobs ping from few places.

    What clients write is not remembered.
    """
    peer = _address(text)
    return peer, str(peer) if peer is not None else text


def _client_of(scope: Mapping[str, Any], trusted: Sequence[Network]) -> str | None:
    """Walk the hops from us outward. None: no hop at all, or one that must be read and cannot be."""
    hop: Address | None = None
    for text in reversed(_values(scope, b"x-forwarded-for")):
        hop = _address(text)
        if hop is None:
            return None
        if not _is_trusted(hop, trusted):
            break
    return None if hop is None else str(hop)


def _scheme_of(scope: Mapping[str, Any]) -> str | None:
    """The nearest proxy's word, which is the last; the others may be the client's."""
    said = _values(scope, b"x-forwarded-proto")
    scheme = said[-1].lower() if said else ""
    return scheme if scheme in {"http", "https"} else None


def _values(scope: Mapping[str, Any], wanted: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [
        element.strip() for name, value in headers if name == wanted for element in value.decode("latin-1").split(",")
    ]


def _address(text: str) -> Address | None:
    written = _IPV4_PORT.fullmatch(text) or _BRACKETED.fullmatch(text)
    try:
        found = ip_address(written[1] if written else text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return None  # an interface of some other machine
        return found.ipv4_mapped or found  # ::ffff:192.0.2.1 is what a dual-stack socket calls 192.0.2.1
    return found


def _is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)
