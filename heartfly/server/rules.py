"""What makes a request head unacceptable beyond what the parser (llhttp, strict) refuses itself.

Every rule here closes a gap through which two programs could read one byte stream as different
requests, or is one by which RFC 9112 tells a server to refuse. Pure: values in, a refusal out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus

from heartfly.server.refusals import RefusedRequestError

# Fields whose number or value says where a request ends, or for whom it is. Content-Length is llhttp's.
WATCHED = frozenset({b"expect", b"host", b"transfer-encoding"})

# llhttp knows some 45 more, and protocols of their own with them (RTSP, ICE).
METHODS = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"TRACE"})

Fields = Sequence[tuple[bytes, bytes]]

# RFC 3986 `host [":" port]`, loosely: the application compares names, we only keep other bytes out.
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(:[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://[^/?]+", re.IGNORECASE)


@lru_cache(maxsize=1024)
def is_plain_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def expects_continue(version: str, watched: Fields) -> bool:
    """Check the watched fields of a head, and say whether the client waits to be asked for the body."""
    if version not in {"1.0", "1.1"}:
        status = HTTPStatus.BAD_REQUEST if version == "0.9" else HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        raise RefusedRequestError(status, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    _check_hosts(version, [value for name, value in watched if name == b"host"])
    _check_transfer_coding(version, [value for name, value in watched if name == b"transfer-encoding"])
    # A client of HTTP/1.0 does not know interim answers (RFC 9110, 10.1.1).
    return version == "1.1" and any(name == b"expect" and value.lower() == b"100-continue" for name, value in watched)


def origin_form(target: bytes) -> bytes:
    """Return path and query of a request target; `http://host/path` is read as `/path`."""
    target = target.partition(b"#")[0]
    if target.startswith(b"/"):
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "the request target must be a path")
    rest = target[absolute.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _check_hosts(version: str, hosts: Sequence[bytes]) -> None:
    if len(hosts) > 1:
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "more than one Host")
    if not hosts and version == "1.1":
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "Host is missing")
    if hosts and not is_plain_host(hosts[0]):
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "Host is not a host name")


def _check_transfer_coding(version: str, codings: Sequence[bytes]) -> None:
    if codings and version == "1.0":
        # RFC 9112, 6.1: such framing is faulty, whatever the value says.
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "Transfer-Encoding in HTTP/1.0")
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        raise RefusedRequestError(HTTPStatus.NOT_IMPLEMENTED, "the only transfer coding known here is chunked")
