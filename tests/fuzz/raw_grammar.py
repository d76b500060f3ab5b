"""Streams of bytes that somebody might send to an HTTP server, made from a seed: what raw_http.py sends.

Five kinds: honest ones; a request among honest ones that must be refused; honest ones with spoiled bytes; floods; and
noise. Each says how many requests it holds and what is known of its answers. Nothing here talks to a server.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.fuzz.raw_judge import Expected
from tests.server.raw_requests import REFUSED

PING = b"/ping/0b0b0b0b-0000-4000-8000-00000000000b"
_PATHS = (
    b"/",
    b"/plain",
    b"/early",
    b"/chunks",
    b"/whole",
    PING,
    b"/a%20b/%ff",
)
_QUERIES = (b"", b"?", b"?rid=1&ago=2", b"?" + b"q" * 300, b"?a=%00&b=/../")
_NAMES = (
    b"X-Thing",
    b"Accept",
    b"User-Agent",
    b"Cookie",
    b"content-type",
    b"X_y",
    b"Via",
    b"Forwarded",
    b"Range",
    b"TE",
    b"!#$%&'*+-.^_`|~",
)
_VALUES = (
    b"",
    b"a",
    b"text/plain;q=0.5, */*",
    b"\xe4\xf6\xfc",
    b"x" * 200,
    b"a\tb",
    b'"a\\"b"',
    b"bytes=0-1",
    b"trailers, chunked",
)
_HOSTS = (b"a", b"localhost:8000", b"[::1]", b"a.example", b"")
_BODIES = (
    b"",
    b"x",
    b"hello world",
    b"0\r\n\r\n",
    b"GET /within HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\n",
    bytes(range(256)),
    b"y" * 5_000,
)
_DICTIONARY = (
    b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r\n", b"\n\r\n", b"\r\n ", b"\r\n\t", b" ", b"\t", b"\x00",
    b"\x0b", b"\x7f", b"\xff", b"\xc0\xaf", b":", b";", b",", b"//", b"*", b"#", b"?", b"http://a", b"GET ",
    b"CONNECT ", b"0", b"00", b"-1", b"+1", b"0x1", b"1e3", b"18446744073709551616", b"9223372036854775808", b"f" * 16,
    b"7" + b"f" * 15, b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"Upgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"Host: b\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n",
    b"GET /glued HTTP/1.1\r\nHost: a\r\n\r\n",
)  # fmt: skip
_CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_REFUSED = tuple(stream for _, stream in REFUSED.values())
_MOST_AT_ONCE = 12
_WEIGHTS = (30, 20, 42, 3, 5)


@dataclass(frozen=True, slots=True)
class Stream:
    kind: str
    data: bytes
    n_requests: int
    expected: Expected


def stream(drawn: random.Random) -> Stream:
    [make] = drawn.choices((honest, refused, spoiled, flood, noise), _WEIGHTS)
    return make(drawn)


def honest(drawn: random.Random) -> Stream:
    requests = _requests(drawn)
    if drawn.random() < 0.4:
        requests.append(_closing(drawn))
    return Stream("honest", b"".join(requests), len(requests), Expected(len(requests), "nothing"))


def refused(drawn: random.Random) -> Stream:
    """What must be refused, behind some honest requests, and with others glued to it that must not be answered."""
    before = _requests(drawn, most=3) if drawn.random() < 0.5 else []
    broken = drawn.choice((_known, _two_lengths, _length_and_coding, _bad_size, _bad_name))(drawn)
    behind = _requests(drawn, most=4)
    data = b"".join([*before, broken, *behind])
    return Stream("refused", data, len(before) + 1 + len(behind), Expected(len(before), "refusal"))


def spoiled(drawn: random.Random) -> Stream:
    requests = _requests(drawn)
    data = bytearray(b"".join(requests))
    first = len(data)
    for _ in range(drawn.choice((1, 1, 1, 2, 3, 8))):
        at = min(drawn.choice((drawn.randrange(len(data) + 1), _near_a_line(data, drawn))), len(data))
        first = min(first, at)
        drawn.choice(_SPOILERS)(data, at, drawn)
    known, end = 0, 0
    for request in requests:
        end += len(request)
        known += end <= first
    return Stream("spoiled", bytes(data), len(requests), Expected(known, "anything"))


def flood(drawn: random.Random) -> Stream:
    many = int(2 ** drawn.uniform(5, 12))
    data = drawn.choice(
        (
            b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-%d: y\r\n" % many * many + b"\r\n",
            b"GET /" + b"a" * many * 10 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * many * 10 + b"\r\n\r\n",
            _CHUNKED + b"1\r\nx\r\n" * many + b"0\r\n\r\n",
            _CHUNKED + b"1;" + b"e" * many * 10 + b"\r\nx\r\n0\r\n\r\n",
            _CHUNKED + b"0\r\n" + b"T: x\r\n" * many + b"\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (many * 30) + b"z" * many * 30,
            b"\r\n" * many + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
    )  # fmt: skip
    if drawn.random() < 0.3:
        n = drawn.randrange(50, 300)
        return Stream("flood", _request(drawn) * n, n, Expected(0, "anything"))
    return Stream("flood", data, 1, Expected(0, "anything"))


def noise(drawn: random.Random) -> Stream:
    if drawn.random() < 0.5:
        data = drawn.randbytes(drawn.randrange(1, 400))
    else:
        data = b"".join(drawn.choices(_DICTIONARY, k=drawn.randrange(1, 30)))
    return Stream("noise", data, 1, Expected(0, "anything"))


def pieces(data: bytes, drawn: random.Random) -> list[bytes]:
    """Split at places drawn from all there are, mostly few."""
    cuts = drawn.choice((0, 0, 1, 1, 2, 3, 6))
    at = sorted(drawn.randrange(len(data) + 1) for _ in range(cuts))
    return [data[one:other] for one, other in zip([0, *at], [*at, len(data)], strict=True) if one < other]


# --- honest requests ---


def _requests(drawn: random.Random, *, most: int = _MOST_AT_ONCE) -> list[bytes]:
    return [_request(drawn) for _ in range(drawn.randint(1, most))]


def _request(drawn: random.Random) -> bytes:
    """One after which the connection goes on."""
    path = drawn.choice(_PATHS)
    target = path + drawn.choice(_QUERIES)
    if drawn.random() < 0.1:
        target = drawn.choice((b"http://a", b"HTTPS://b:80")) + target
    method = drawn.choice(
        (b"GET", b"GET", b"POST", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE")
    )
    lines = [b"%b %b HTTP/1.1" % (method, target), _cased(b"Host", drawn) + b": " + drawn.choice(_HOSTS)]
    lines += _fields(drawn)
    if drawn.random() < 0.05:
        lines += [b"Connection: Upgrade", b"Upgrade: " + drawn.choice((b"h2c", b"websocket", b"TLS/1.0"))]
    framing, body = _body(drawn) if drawn.random() < 0.5 else ([], b"")
    lines += framing
    if framing and path != b"/early" and drawn.random() < 0.1:
        lines.append(b"Expect: 100-continue")
    head = lines[:1] + drawn.sample(lines[1:], len(lines) - 1)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def _closing(drawn: random.Random) -> bytes:
    if drawn.random() < 0.5:
        return b"GET /whole HTTP/1.0\r\n\r\n"
    return b"POST /chunks HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"


def _fields(drawn: random.Random) -> list[bytes]:
    n = drawn.choice((0, 0, 1, 2, 5))
    return [
        _cased(drawn.choice(_NAMES), drawn) + b":" + drawn.choice((b" ", b"", b"\t ")) + drawn.choice(_VALUES)
        for _ in range(n)
    ]


def _cased(name: bytes, drawn: random.Random) -> bytes:
    return drawn.choice((name, name, name.lower(), name.upper()))


def _body(drawn: random.Random) -> tuple[list[bytes], bytes]:
    body = drawn.choice(_BODIES)
    if drawn.random() < 0.5:
        return [_cased(b"Content-Length", drawn) + b": %b%d" % (drawn.choice((b"", b"", b"000")), len(body))], body
    parts = []
    while body:
        n = drawn.randint(1, len(body))
        note = drawn.choice((b"", b"", b";a=b", b';a="b c"'))
        parts.append(drawn.choice((b"%x", b"%X", b"00%x")) % n + note + b"\r\n" + body[:n] + b"\r\n")
        body = body[n:]
    trailers = drawn.choice((b"", b"", b"X-Trailer: z\r\n", b"Host: b\r\n"))
    return [_cased(b"Transfer-Encoding", drawn) + b": " + drawn.choice((b"chunked", b"Chunked"))], b"".join(
        parts
    ) + b"0\r\n" + trailers + b"\r\n"


# --- requests that can be read in two ways ---


def _known(drawn: random.Random) -> bytes:
    return drawn.choice(_REFUSED)


def _with(drawn: random.Random, *lines: bytes) -> bytes:
    all_lines = [b"Host: a", *_fields(drawn), *lines]
    return b"POST /plain HTTP/1.1\r\n" + b"\r\n".join(drawn.sample(all_lines, len(all_lines))) + b"\r\n\r\n"


def _two_lengths(drawn: random.Random) -> bytes:
    lines = [_cased(b"Content-Length", drawn) + b": %d" % drawn.choice((0, 3, 5, 44, 2**31, 2**63)) for _ in range(2)]
    return _with(drawn, *lines) + b"abc"


def _length_and_coding(drawn: random.Random) -> bytes:
    length = _cased(b"Content-Length", drawn) + b": %d" % drawn.choice((0, 3, 5, 44))
    coding = (
        _cased(b"Transfer-Encoding", drawn)
        + b": "
        + drawn.choice((b"chunked", b"Chunked", b"identity", b"x", b"gzip, chunked"))
    )
    return _with(drawn, length, coding) + b"3\r\nabc\r\n0\r\n\r\n"


def _bad_size(drawn: random.Random) -> bytes:
    good = b"3\r\nabc\r\n" * drawn.randrange(3)
    size = drawn.choice(
        (b"-1", b"+3", b"0x3", b"3 ", b" 3", b"g", b"", b"3\n", b"3\r", b"1" * 17, b"\xb2", b"3;\x00", b"3;a\n")
    )
    return _with(drawn, b"Transfer-Encoding: chunked") + good + size + b"\r\nabc\r\n0\r\n\r\n"


def _bad_name(drawn: random.Random) -> bytes:
    name = drawn.choice(
        (
            b"X\n",
            b"X\r",
            b"X ",
            b"X\t",
            b"X\x00",
            b"Content-Length ",
            b"Content-Length\n",
            b" X",
            b"X\r\n Y",
            b"",
            b"X\xe4",
            b"(X",
        )
    )
    # Not the last: what is refused must be seen before the end of the head.
    return b"POST /plain HTTP/1.1\r\nHost: a\r\n" + name + b": 5\r\nContent-Length: 5\r\n\r\nhello"


# --- spoiling ---


def _near_a_line(data: bytearray, drawn: random.Random) -> int:
    """Ends of lines are where framing is decided."""
    at = data.find(b"\r\n", drawn.randrange(len(data) + 1))
    return max(0, at + drawn.randrange(-2, 4)) if at >= 0 else 0


def _flip(data: bytearray, at: int, drawn: random.Random) -> None:
    if at < len(data):
        data[at] ^= 1 << drawn.randrange(8)


def _replace(data: bytearray, at: int, drawn: random.Random) -> None:
    data[at : at + drawn.randrange(4)] = drawn.choice(_DICTIONARY)


def _insert(data: bytearray, at: int, drawn: random.Random) -> None:
    data[at:at] = drawn.choice(_DICTIONARY)


def _delete(data: bytearray, at: int, drawn: random.Random) -> None:
    del data[at : at + drawn.choice((1, 1, 2, 8, 64))]


def _double(data: bytearray, at: int, drawn: random.Random) -> None:
    data[at:at] = data[at : at + drawn.choice((1, 2, 16, 200))]


def _cut(data: bytearray, at: int, drawn: random.Random) -> None:
    del data[at:]


def _number(data: bytearray, at: int, drawn: random.Random) -> None:
    """The next digit becomes a number that some program cannot hold."""
    found = next((n for n in range(at, min(at + 200, len(data))) if data[n] in b"0123456789"), None)
    if found is not None:
        data[found : found + 1] = drawn.choice(
            (b"9" * 20, b"4294967296", b"-0", b"00", b"0x0", b"1_0", b"\xb9", b"65536")
        )


_SPOILERS: Sequence[Callable[[bytearray, int, random.Random], None]] = (
    _flip, _flip, _replace, _insert, _insert, _delete, _double, _cut, _number,
)  # fmt: skip
