"""The forward proxy that the operator set: where it is, how we sign in to it, and what is asked of it.

What it answers is read in tunnel.py, what may be asked for at all is judged in by_proxy.py.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote

from heartfly.errors import InvalidValueError
from heartfly.net.urls import parse_target

_EXPECTED = "Expected http://[user:password@]host:port, or https://…"
_SHAPE = re.compile(r"(?P<scheme>https?)://(?:(?P<login>.*)@)?(?P<place>[^@/?#]+:\d+)/?", re.DOTALL | re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """`by_tls`: the connection to the proxy itself is encrypted. `login`: the header's value; empty: there is none."""

    host: str
    port: int
    by_tls: bool = False
    login: bytes = field(default=b"", repr=False)

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"Proxy-Authorization", self.login),) if self.login else ()

    def connect_request(self, host: str, port: int) -> bytes:
        """Ask for a tunnel (RFC 9110, 9.3.6)."""
        place = authority(host, port)
        lines = (b"CONNECT %s HTTP/1.1" % place, b"Host: " + place, *(b"%s: %s" % header for header in self.headers))
        return b"\r\n".join((*lines, b"", b""))


def authority(host: str, port: int) -> bytes:
    return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode("ascii")


def parse_proxy(text: str) -> Proxy:
    """InvalidValueError for the field `proxy`, which never repeats what may be a password."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise InvalidValueError("proxy", _EXPECTED)
    try:
        target = parse_target(f"http://{shape['place']}/", field="proxy")
    except InvalidValueError as error:
        raise InvalidValueError("proxy", f"{_EXPECTED}; what stands there {error.message}") from error
    by_tls = shape["scheme"].lower() == "https"
    return Proxy(host=target.host, port=target.port, by_tls=by_tls, login=_login(shape["login"]))


def secrets_in(text: str) -> tuple[str, ...]:
    """What of the setting must never be written anywhere: as it stands there, decoded, and as it is sent."""
    shape = _SHAPE.fullmatch(text)
    if shape is None or not shape["login"]:
        return ()
    user, _, password = shape["login"].partition(":")
    # A token often stands where the name does, alone.
    raw = password or user
    sent = _login(shape["login"]).decode("ascii").partition(" ")[2]
    return tuple(sorted({raw, unquote(raw), sent}))


def _login(user_info: str | None) -> bytes:
    if not user_info:
        return b""
    user, _, password = (unquote(part) for part in user_info.partition(":"))
    if ":" in user:
        raise InvalidValueError("proxy", "Expected a user name without a colon, which would end it (RFC 7617)")
    if _CONTROL.search(user + password):
        raise InvalidValueError("proxy", "Expected a user name and password without control characters")
    return b"Basic " + b64encode(f"{user}:{password}".encode())
