"""The event that a request is: its type, and the names and values of its properties (decision 26).

Its transaction id is decided in line_ids.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from json.encoder import encode_basestring

from heartfly.core.access.customers import Customers
from heartfly.core.access.request import Request
from heartfly.core.paths import Rules

TYPE = "http.request"
_FIRST_RULES = "1"
"""Of a route that says nothing of its rules."""
_quoted: Callable[[str], str] = encode_basestring


class Ips(StrEnum):
    """What is kept of an address: `truncate` the first 24 bits of IPv4 and 48 of IPv6; `hash` by a secret of yours."""

    KEEP = "keep"
    TRUNCATE = "truncate"
    HASH = "hash"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Shape:
    """How requests become events. `source`: who wrote the log; `secret`: for hashes of addresses."""

    rules: Rules = field(default_factory=Rules)
    customers: Customers = field(default_factory=Customers)
    ips: Ips = Ips.TRUNCATE
    secret: str = ""
    source: str = ""


def event_text(request: Request, transaction_id: str, shape: Shape) -> tuple[str, str, str | None]:
    """As JSON; its customer and its route beside it. What is not known is left out."""
    rest, customer, route = behind_id(request, shape)
    return with_id(transaction_id, rest), customer, route


def with_id(transaction_id: str, rest: str) -> str:
    return f'{{"transaction_id":"{transaction_id}"{rest}'


def behind_id(request: Request, shape: Shape) -> tuple[str, str, str | None]:
    """The event behind its transaction id, its customer and its route."""
    at, method, path, status, ip, _, host, agent, latency, upstream, n_in, n_out, request_id, _ = request
    customer, key = shape.customers.whose(request)
    route = shape.rules.normal(path) if path is not None else None
    # Written out, as this is most of what a line costs: a loop over names and values takes twice as long. Names are in
    # order, so that the server need not put them so (spelled.py).
    text = ""
    if host:
        text += f',"host":{_quoted(host)}'
    if ip is not None:
        text += ip_told(ip, shape.ips, shape.secret)
    if key:
        text += f',"key":{_quoted(key)}'
    if latency is not None:
        text += f',"latency_ms":{latency}'
    if method is not None:
        text += f',"method":{_quoted(method)}'
    if route is not None and path is not None:
        text += f',"path":{_quoted(path)}'
    if n_in is not None:
        text += f',"request_bytes":{n_in}'
    if request_id:
        text += f',"request_id":{_quoted(request_id)}'
    if n_out is not None:
        text += f',"response_bytes":{n_out}'
    if route is not None and path is not None:
        text += f',"route":{_quoted(route)}{rules_told(shape.rules)}'
    if shape.source:
        text += f',"source":{_quoted(shape.source)}'
    if status is not None:
        text += f',"status":{status},"status_class":"{status // 100}xx"'
    if upstream is not None:
        text += f',"upstream_ms":{upstream}'
    if agent:
        text += agent_told(agent)
    return f'{head_of(customer, at)}"properties":{{{text[1:]}}}}}', customer, route


def head_of(customer: str, at: datetime) -> str:
    """What stands between the transaction id and the properties."""
    return f',"customer_id":{_quoted(customer)},"timestamp":"{rfc3339(at)}","event_type":"{TYPE}",'


def rules_told(rules: Rules) -> str:
    return "" if rules.version == _FIRST_RULES else f',"rules":"{rules.version}"'


def ip_told(ip: str, ips: Ips, secret: str) -> str:
    if ips is Ips.TRUNCATE:
        # There are far fewer networks than addresses, so these are remembered.
        network, _, last = ip.rpartition(".")
        if last in LAST_BYTES and (told := network_told(network)):
            return told
    return _ip_told(ip, ips, secret)


LAST_BYTES = frozenset(map(str, range(256)))


@lru_cache(16_384)
def network_told(three: str) -> str:
    """Empty: these are not the first three bytes of an address."""
    found = _FOUR.fullmatch(f"{three}.0")
    return "" if found is None else f',"ip":"{found[1]}.0"'


@lru_cache(16_384)
def _ip_told(ip: str, ips: Ips, secret: str) -> str:
    kept = ip_as(ip, ips, secret)
    return "" if kept is None else f',"ip":{_quoted(kept)}'


@lru_cache(16_384)
def agent_told(agent: str) -> str:
    return f',"user_agent":{_quoted(agent)}'


@lru_cache(4_096)
def rfc3339(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_FOUR = re.compile(rf"({_BYTE}\.{_BYTE}\.{_BYTE})\.{_BYTE}")


@lru_cache(16_384)
def ip_as(ip: str, ips: Ips, secret: str = "") -> str | None:
    """What is kept of it; None: nothing, as of what is no address, unless all is kept."""
    if ips is Ips.KEEP:
        return ip
    if ips is Ips.DROP:
        return None
    if ips is Ips.TRUNCATE and (found_four := _FOUR.fullmatch(ip)) is not None:
        return f"{found_four[1]}.0"  # most addresses, in a twentieth of the time
    try:
        found = ip_address(ip.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    found = found if mapped is None else mapped
    if ips is Ips.HASH:
        key = hashlib.blake2b(secret.encode()).digest()
        return hashlib.blake2b(found.packed, digest_size=8, key=key).hexdigest()
    return str(ip_network((found, 24 if found.version == 4 else 48), strict=False).network_address)
