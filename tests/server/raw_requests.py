"""Byte streams that two programs might read differently, and what ours must say to each.

`REFUSED`: must be answered with the status, and nothing of it may reach the application. `READ`: a bit
odd but clear; the application gets exactly these requests. After each of them the tests send SMUGGLED.
"""

from __future__ import annotations

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
_POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_GET = b"GET / HTTP/1.1\r\n"


def _lengths(*values: bytes) -> bytes:
    return _POST + b"".join(b"Content-Length: %b\r\n" % value for value in values) + b"\r\nabc"


def _field(line: bytes) -> bytes:
    return _GET + b"Host: a\r\n" + line + b"\r\n\r\n"


REFUSED: dict[str, tuple[int, bytes]] = {
    # Both ways to say where the body ends
    "length then chunked": (400, _POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunked then length": (400, _POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
    "length 0 then chunked": (400, _POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "CHUNKED in capitals with length": (
        400,
        _POST + b"CONTENT-LENGTH: 3\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n",
    ),
    "identity with length": (400, _POST + b"Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc"),
    "length among the trailers": (400, _CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n"),
    # Content-Length
    "two equal lengths": (400, _lengths(b"3", b"3")),
    "two different lengths": (400, _lengths(b"3", b"5")),
    "a list of lengths": (400, _lengths(b"3, 3")),
    "a list of different lengths": (400, _lengths(b"3,5")),
    "length with plus": (400, _lengths(b"+3")),
    "length with minus": (400, _lengths(b"-3")),
    "length in hexadecimal": (400, _lengths(b"0x3")),
    "length with exponent": (400, _lengths(b"3e0")),
    "length with fraction": (400, _lengths(b"3.0")),
    "length with underscore": (400, _lengths(b"1_0")),
    "empty length": (400, _lengths(b"")),
    "length in two words": (400, _lengths(b"3 4")),
    "length in quotes": (400, _lengths(b'"3"')),
    "length beyond 64 bits": (400, _lengths(b"18446744073709551619")),
    "length far beyond 64 bits": (400, _lengths(b"9" * 40)),
    "length in other digits": (400, _lengths("٣".encode())),
    "length with vertical tab": (400, _lengths(b"\x0b3")),
    "length with NUL": (400, _lengths(b"3\x00")),
    # Transfer-Encoding
    "unknown coding": (501, _POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "coding with suffix": (501, _POST + b"Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"),
    "gzip before chunked": (501, _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "identity before chunked": (501, _POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
    "chunked not last": (400, _POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    "chunked twice in a list": (400, _POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "chunked in two fields": (
        400,
        _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "chunked then identity in two fields": (
        400,
        _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    "identity then chunked in two fields": (
        501,
        _POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "empty coding": (400, _POST + b"Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc"),
    "only a comma as coding": (501, _POST + b"Transfer-Encoding: ,\r\n\r\n0\r\n\r\n"),
    "coding with vertical tab": (400, _POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "coding with NUL": (400, _POST + b"Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n"),
    "coding in quotes": (501, _POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n'),
    "coding with parameter": (501, _POST + b"Transfer-Encoding: chunked;x=1\r\n\r\n0\r\n\r\n"),
    "chunked in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "identity in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    "folded coding": (400, _POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    "coding behind a bare CR": (400, _POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "space before the colon of the coding": (400, _POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    # Chunks
    "size is no number": (400, _CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n"),
    "size with 0x": (400, _CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n"),
    "size with plus": (400, _CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n"),
    "size with minus": (400, _CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n"),
    "size with underscore": (400, _CHUNKED + b"0_3\r\nabc\r\n0\r\n\r\n"),
    "size with space before": (400, _CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n"),
    "size with space behind": (400, _CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n"),
    "size with tab behind": (400, _CHUNKED + b"3\t\r\nabc\r\n0\r\n\r\n"),
    "empty size": (400, _CHUNKED + b"\r\nabc\r\n0\r\n\r\n"),
    "size beyond 64 bits": (400, _CHUNKED + b"ffffffffffffffff1\r\nabc\r\n0\r\n\r\n"),
    "size ended by LF": (400, _CHUNKED + b"3\nabc\r\n0\r\n\r\n"),
    "size ended by CR": (400, _CHUNKED + b"3\rabc\r\n0\r\n\r\n"),
    "data ended by LF": (400, _CHUNKED + b"3\r\nabc\n0\r\n\r\n"),
    "data longer than said": (400, _CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n"),
    "data ended by nothing": (400, _CHUNKED + b"3\r\nabc0\r\n\r\n"),
    "extension ended by LF": (400, _CHUNKED + b"3;a=b\nabc\r\n0\r\n\r\n"),
    "extension with bare CR": (400, _CHUNKED + b"3;a=\rb\r\nabc\r\n0\r\n\r\n"),
    "extension with NUL": (400, _CHUNKED + b"3;a\x00=b\r\nabc\r\n0\r\n\r\n"),
    "last chunk ended by LF": (400, _CHUNKED + b"0\n\n"),
    "trailer without colon": (400, _CHUNKED + b"0\r\nwhat\r\n\r\n"),
    "trailer folded": (400, _CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n"),
    "trailer with NUL": (400, _CHUNKED + b"0\r\nX: \x00\r\n\r\n"),
    # Ends of lines
    "LF everywhere": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "LF after the request line": (400, b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    "LF after a field": (400, _GET + b"Host: a\nX: b\r\n\r\n"),
    "LF at the end of the head": (400, _GET + b"Host: a\r\n\n"),
    "CR after the request line": (400, b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    "CR within a value": (400, _field(b"X: a\rb")),
    "CR twice": (400, _GET + b"Host: a\r\r\n\r\n"),
    "LF LF in a value": (400, _field(b"X: a\n\nGET /smuggled HTTP/1.1")),
    # Fields
    "folded value": (400, _field(b"X: a\r\n b")),
    "folded by tab": (400, _field(b"X: a\r\n\tb")),
    "space before the first field": (400, _GET + b" Host: a\r\n\r\n"),
    "space before the colon": (400, _GET + b"Host : a\r\n\r\n"),
    "tab before the colon": (400, _GET + b"Host\t: a\r\n\r\n"),
    "space in a name": (400, _field(b"X Y: b")),
    "NUL in a name": (400, _field(b"X\x00: b")),
    "high byte in a name": (400, _field(b"X\xff: b")),
    "parenthesis in a name": (400, _field(b"X(: b")),
    "slash in a name": (400, _field(b"X/Y: b")),
    "no name": (400, _field(b": b")),
    "no colon": (400, _field(b"what")),
    "NUL in a value": (400, _field(b"X: a\x00b")),
    "delete in a value": (400, _field(b"X: a\x7fb")),
    "escape in a value": (400, _field(b"X: a\x1bb")),
    # Host
    "no host": (400, _GET + b"X: y\r\n\r\n"),
    "no field at all": (400, _GET + b"\r\n"),
    "two hosts": (400, _GET + b"Host: a\r\nHost: b\r\n\r\n"),
    "the same host twice": (400, _GET + b"Host: a\r\nhost: a\r\n\r\n"),
    "two hosts in HTTP/1.0": (400, b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    "host with space": (400, _GET + b"Host: a b\r\n\r\n"),
    "host with path": (400, _GET + b"Host: a/b\r\n\r\n"),
    "host with user": (400, _GET + b"Host: a@b\r\n\r\n"),
    "host with query": (400, _GET + b"Host: a?b\r\n\r\n"),
    "host with high byte": (400, _GET + b"Host: \xff\r\n\r\n"),
    "host with two ports": (400, _GET + b"Host: a:1:2\r\n\r\n"),
    "host with an open bracket": (400, _GET + b"Host: [::1\r\n\r\n"),
    "host with backslash": (400, _GET + b"Host: a\\b\r\n\r\n"),
    # Offers of another protocol: the request is read again without them
    "offer with two hosts": (400, _GET + b"Host: a\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
    "offer with an unknown coding": (
        501,
        _POST + b"Transfer-Encoding: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n0\r\n\r\n",
    ),
    "offer with a target of another scheme": (
        400,
        b"GET ftp://a/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    # Request line
    "HTTP/0.9": (400, b"GET /\r\n"),
    "HTTP/0.9 by name": (400, b"GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    "HTTP/1.2": (400, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    "HTTP/2.0": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/2 by prior knowledge": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/11": (400, b"GET / HTTP/11\r\nHost: a\r\n\r\n"),
    "HTTP/1.10": (400, b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    "http in small letters": (400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    "another protocol": (400, b"GET / HTPP/1.1\r\nHost: a\r\n\r\n"),
    "a stream protocol": (501, b"SOURCE /x ICE/1.0\r\nHost: a\r\n\r\n"),
    "another stream protocol": (501, b"DESCRIBE rtsp://x RTSP/1.0\r\nHost: a\r\n\r\n"),
    "unknown method": (400, b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "method of WebDAV": (501, b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "method in small letters": (400, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "tunnel": (501, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    "star": (400, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "target without slash": (400, b"GET x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "target of another scheme": (400, b"GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "target without host": (400, b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no target": (400, b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    "tab in the target": (400, b"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n"),
    "NUL in the target": (400, b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "high byte in the target": (400, b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CR in the target": (400, b"GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space in the target": (400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space before the method": (400, b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "SSH": (400, b"SSH-2.0-OpenSSH_9.2\r\n"),
    "bytes": (400, bytes(range(128, 256))),
}

READ: dict[str, tuple[list[str], bytes]] = {
    "plain": (["GET /"], _GET + b"Host: a\r\n\r\n"),
    "no host in HTTP/1.0": (["GET /"], b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    "empty host": (["GET /"], _GET + b"Host:\r\n\r\n"),
    "host with port": (["GET /"], _GET + b"Host: a.example:8000\r\n\r\n"),
    "host of IPv6": (["GET /"], _GET + b"Host: [::1]:8000\r\n\r\n"),
    "empty lines before": (["GET /"], b"\r\n\r\n" + _GET + b"Host: a\r\n\r\n"),
    "chunked in capitals": (["POST /"], _POST + b"Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    "leading zeros of a size": (["POST /"], _CHUNKED + b"0003\r\nabc\r\n000\r\n\r\n"),
    "quoted extension": (["POST /"], _CHUNKED + b'3;a="b c"\r\nabc\r\n0\r\n\r\n'),
    "a request that looks like a body": (["POST /"], _POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED),
    "a request that looks like a chunk": (["POST /"], _CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    "body of a GET": (["GET /"], _GET + b"Host: a\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED),
    "offer of a WebSocket": (
        ["GET /"],
        _GET + b"Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ),
    "two requests": (["GET /", "POST /"], _GET + b"Host: a\r\n\r\n" + _POST + b"Content-Length: 1\r\n\r\nx"),
}
