"""Which URLs may be asked for: the syntax, before anything is resolved.

One parser (httpx's) reads a URL both here and when the request is sent, so that the host
that was judged is the host that is asked. Where it leads is judged by the socket, in connect.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import httpx  # noqa: TID251 - the URL must be read by the parser that sends it

from heartfly.errors import InvalidValueError
from heartfly.net.addresses import canonical
from heartfly.net.rules import DEFAULT_PORTS, NOT_LISTED, Rules

_MAX_LENGTH = 2048
_SHAPE = re.compile(r"(?P<scheme>[^:/?#\s]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# The resolver reads `127.1`, `2130706433` and `0x7f.1` as addresses, so a name may not end like one.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL taken apart: `host` is an ASCII name, or an address in its one spelling without brackets.

    `netloc` and `path`, which has the query, as they are sent.
    """

    scheme: str
    netloc: bytes
    path: bytes
    host: str
    port: int
    is_literal: bool


def check_url(url: str, *, field: str, rules: Rules | None = None) -> str:
    """Return the URL without surrounding space, or raise InvalidValueError with the rule it breaks.

    Without `rules` (the operator's settings are not known here) an address that would need the
    allow-list passes: the connection decides.
    """
    url = url.strip()
    target = parse_target(url, field=field)
    if refusal := _unknown_rules(target) if rules is None else _refusal(target, rules):
        raise InvalidValueError(field, refusal)
    return url


def check_listed(url: str, *, field: str, rules: Rules) -> None:
    """Raise InvalidValueError if the list of where requests may go has no place for the URL's host."""
    target = parse_target(url, field=field)
    if rules.leaves_out(target.host, is_literal=target.is_literal):
        raise InvalidValueError(field, f"leads to {target.host}: {NOT_LISTED}")


def parse_target(url: str, *, field: str) -> Target:
    """Take the URL apart, or raise InvalidValueError. The message never repeats path or query."""
    return _parsed(url, field)


@lru_cache(maxsize=512)
def _parsed(url: str, field: str) -> Target:
    """Remembered: to read one takes as long as to send a request, and alerts of a storm have few."""
    if broken := _broken_rule(url):
        raise InvalidValueError(field, broken)
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise InvalidValueError(field, "is not a URL that can be read") from error
    # A trailing dot means the same name; kept, it would not match the certificate.
    host = parsed.raw_host.decode("ascii")
    if host.endswith("."):
        host = host[:-1]
        parsed = parsed.copy_with(host=host)
    port = parsed.port if parsed.port is not None else {"http": 80, "https": 443}[parsed.scheme]
    literal = _literal(host)
    if literal is None and not _is_name(host):
        raise InvalidValueError(field, "needs a host name, or an address in its usual form")
    if not 0 < port < 65536:
        raise InvalidValueError(field, "has a port that does not exist")
    return Target(
        scheme=parsed.scheme,
        netloc=parsed.netloc,
        path=parsed.raw_path,
        host=literal or host,
        port=port,
        is_literal=literal is not None,
    )


def _broken_rule(url: str) -> str | None:
    if len(url) > _MAX_LENGTH:
        return f"is longer than {_MAX_LENGTH} characters"
    if not url.isprintable() or "\\" in url or any(map(str.isspace, url)):
        return "contains a space, a backslash or a control character"
    shape = _SHAPE.fullmatch(url)
    if shape is None or shape["scheme"].lower() not in {"http", "https"}:
        return "must start with http:// or https://"
    if "@" in shape["authority"]:
        return "must not carry a user name or password before the host"
    if "#" in shape["rest"]:
        return "must not have a fragment (#…): it would never be sent"
    return None


def _literal(host: str) -> str | None:
    try:
        return None if "%" in host else canonical(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    labels = host.split(".")
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and _NUMBER.fullmatch(labels[-1]) is None


def _refusal(target: Target, rules: Rules) -> str | None:
    if rules.is_own(target.host, target.port):
        return "leads to Heartfly itself"
    if target.is_literal:
        return rules.refusal(target.host, target.port)
    if rules.leaves_out(target.host, is_literal=False):
        return f"leads to {target.host}: {NOT_LISTED}"
    # A name on another port may lead to a network that the operator opened; nobody knows before it is resolved.
    if target.port not in rules.ports and not rules.allow:
        return f"uses port {target.port}, which is not open for requests to the internet"
    return None


def _unknown_rules(target: Target) -> str | None:
    if target.port in DEFAULT_PORTS or target.host == "localhost":
        return None
    if target.is_literal and Rules().refusal(target.host, 80):
        return None
    return f"uses port {target.port}: only 80 and 443 are open for requests to the internet"


def own_hosts(base_url: str, host: str, port: int) -> frozenset[str]:
    """Our own addresses, which no channel may call: an alert that pings its own check would never end."""
    url = urlsplit(base_url)
    public = f"{url.hostname or ''}:{url.port or (443 if url.scheme == 'https' else 80)}"
    return frozenset({public.lower(), f"{host}:{port}".lower(), f"127.0.0.1:{port}", f"[::1]:{port}"})
