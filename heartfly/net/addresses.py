"""Which addresses an outgoing request may reach; pure.

Our own copy of the IANA special-purpose registries, because `ipaddress` differs between
Python versions (of 36 forbidden addresses `is_private` misses 16 on 3.11.7, 12 on 3.13.0).
It judges the address of a socket, never the text of a URL; connect.py brings it that address.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from heartfly.errors import InvalidValueError

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def _table(*rows: tuple[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ip_network(block), name) for block, name in rows)


# Blocks that no receiver of the public internet has. Three finer ones inside 192.0.0.0/24 and
# 2001::/23 are globally reachable anycast (PCP, TURN, AMT): nobody receives notifications there.
_FORBIDDEN_V4 = _table(
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a provider"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    # Public by number, but inside Azure it answers each machine with that machine's own secrets.
    ("168.63.129.16/32", "cloud platform"),
)
# Inside 2000::/3 only; everything else in IPv6 is forbidden without being listed.
_FORBIDDEN_V6 = _table(
    ("2001::/32", "Teredo tunnel"),
    ("2001::/23", "reserved for protocols"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4 tunnel"),
    ("3fff::/20", "documentation"),
)
_GLOBAL_V6 = IPv6Network("2000::/3")
# These two carry an IPv4 address that is what is really reached, so it alone is judged. The local
# NAT64 prefix 64:ff9b:1::/48 is not among them: where the IPv4 part sits in it is each network's choice.
_V4_IN_V6 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))

_PRIVATE: tuple[Network, ...] = tuple(
    ip_network(block)
    for block in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


def forbidden_reason(sockaddr_ip: str, allowed: Sequence[Network]) -> str | None:
    """Say why no request may go to this address, or None: it may.

    An IPv4 address inside an IPv6 one is judged as what it is; tunnels (6to4, Teredo) are
    refused whatever they carry. An address with a scope (`fe80::1%eth0`) is never allowed.
    """
    try:
        address = ip_address(sockaddr_ip)
    except ValueError:
        return "not an IP address"
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "an address of one network interface only"
    if contains(allowed, address):
        return None
    if isinstance(address, IPv4Address):
        return _found(_FORBIDDEN_V4, address)
    if (carried := _carried_v4(address)) is not None:
        return forbidden_reason(str(carried), allowed)
    if address not in _GLOBAL_V6:
        return "outside the public IPv6 space (2000::/3)"
    return _found(_FORBIDDEN_V6, address) or _isatap_reason(address, allowed)


def parse_allow_private(value: bool | list[str]) -> tuple[Network, ...]:  # noqa: FBT001 - the shape of the setting
    """Return the networks that the setting `outgoing.allow_private` opens.

    True opens every private network, loopback and link-local; a list opens exactly what it names.
    """
    if isinstance(value, bool):
        return _PRIVATE if value else ()
    return tuple(_network(index, text) for index, text in enumerate(value))


def is_opened(sockaddr_ip: str, allowed: Sequence[Network]) -> bool:
    """Whether the operator named this address, or the IPv4 address inside it, in the allow-list."""
    address = ip_address(sockaddr_ip)
    return contains(allowed, address) or contains(allowed, ip_address(canonical(sockaddr_ip)))


def canonical(sockaddr_ip: str) -> str:
    """Return the one spelling of an address; of an IPv4 address inside an IPv6 one, that of the IPv4 address."""
    address = ip_address(sockaddr_ip)
    carried = _carried_v4(address) if isinstance(address, IPv6Address) else None
    return str(carried or address)


def contains(networks: Iterable[Network], address: Address) -> bool:
    return any(address in network for network in networks)


def _network(index: int, text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise InvalidValueError(f"outgoing.allow_private[{index}]", f"is not a network: {error}") from error


def _found(table: Iterable[tuple[Network, str]], address: Address) -> str | None:
    return next((f"{name} ({block})" for block, name in table if address in block), None)


def _carried_v4(address: IPv6Address) -> IPv4Address | None:
    return IPv4Address(int(address) & 0xFFFF_FFFF) if contains(_V4_IN_V6, address) else None


def _isatap_reason(address: IPv6Address, allowed: Sequence[Network]) -> str | None:
    # RFC 5214: an interface identifier of 0000:5efe or 0200:5efe, then the IPv4 address of the tunnel's end.
    if (int(address) >> 32) & 0xFCFF_FFFF != 0x0000_5EFE:
        return None
    inside = forbidden_reason(str(IPv4Address(int(address) & 0xFFFF_FFFF)), allowed)
    return f"ISATAP tunnel to {inside}" if inside else None
