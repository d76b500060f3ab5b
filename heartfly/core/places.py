"""What counts as one place on the net, where something is bounded for each place."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

_HOST_BITS = 64
"""Of an IPv6 address: whoever has one has a whole /64 (RFC 6177), and may take a new address of it for each request."""


def place_of(address: str) -> str:
    """An IPv4 address, or the /64 that an IPv6 address lies in; what is neither stays as it is."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> _HOST_BITS << _HOST_BITS)}/{128 - _HOST_BITS}"
