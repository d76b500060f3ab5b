"""The setting `outgoing.only_to` as it is written: names, names below a domain, networks. What it means is rules.py's.

A name is read by the parser that reads URLs, so that both are spelled alike when they are compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from heartfly.errors import InvalidValueError
from heartfly.net.addresses import Network, canonical
from heartfly.net.rules import Listed
from heartfly.net.urls import parse_target

_WANTED = "Expected a host name, *.domain, an address or a network"
_NETWORK = re.compile(r"[0-9.]+/.*|[0-9a-f.]*:[0-9a-f.]*:.*", re.IGNORECASE)
_PORT = re.compile(r"[^:/]+:\d+")
_BELOW = "*."


def parse_only_to(texts: Sequence[str]) -> Listed:
    """InvalidValueError names the entry that is none, as `only_to[2]`."""
    names: set[str] = set()
    endings: list[str] = []
    networks: list[Network] = []
    for i, text in enumerate(texts):
        field = f"only_to[{i}]"
        found = _network(text, field)
        if found is not None:
            networks.append(found)
        elif text.startswith(_BELOW):
            endings.append(f".{_name(text.removeprefix(_BELOW), field)}")
        else:
            names.add(_name(text, field))
    return Listed(names=frozenset(names), endings=tuple(endings), networks=tuple(networks))


def _network(text: str, field: str) -> Network | None:
    """None: it is a name."""
    try:
        found = ip_network(text)
    except ValueError as error:
        if _NETWORK.fullmatch(text):
            raise InvalidValueError(field, str(error)) from error
        return None
    if isinstance(found, IPv6Network) and found.network_address.scope_id is not None:
        raise InvalidValueError(field, "an address of one network interface cannot be reached")
    return _carried(found)


def _carried(network: Network) -> Network:
    """Of IPv4 addresses written as IPv6 ones the IPv4 network: as such they are reached, and judged."""
    if isinstance(network, IPv4Network) or network.prefixlen < 96:
        return network
    first = canonical(str(network.network_address))
    return network if ":" in first else ip_network(f"{first}/{network.prefixlen - 96}")


def _name(text: str, field: str) -> str:
    if "://" in text:
        raise InvalidValueError(field, f"{_WANTED}, and no URL")
    if _PORT.fullmatch(text):
        raise InvalidValueError(field, f"{_WANTED}, without a port: outgoing.allowed_ports says which are open")
    if "*" in text:
        raise InvalidValueError(field, "Expected * at the beginning only, as in *.example.org")
    try:
        target = parse_target(f"http://{text}/", field=field)
    except InvalidValueError as error:
        raise InvalidValueError(field, f"{_WANTED}, got {text!r}") from error
    if target.is_literal or target.path != b"/" or ":" in text:
        raise InvalidValueError(field, f"{_WANTED}, got {text!r}")
    return target.host
