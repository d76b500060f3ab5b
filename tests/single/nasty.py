"""What costs most where somebody reads it without a bound: numbers, texts, JSON and times, each for a reason.

The values stand alone; corpus.py puts them where a route takes something.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

MILLION = 900_000
"""So many characters that a body is still below its MiB."""
LINE = 12_000
"""So many that a request line is still below its 16 KiB."""


def texts(n: int) -> Mapping[str, str]:
    """Of about `n` characters each: what makes a regex, a parser or Unicode's tables go back and forth."""
    return {
        "a word": "a" * n,
        "digits": "9" * n,
        "places": "0." + "0" * n + "1",
        "spaces, and then something": " " * n + "x",
        "something, and spaces": "x" + " " * n + "x",
        "what grows eighteenfold in NFKC": "\ufdfa" * (n // 3),
        "marks that are to be put in order": "a" + "\u0315\u0300" * (n // 4),
        "what begins an expression": "(" * n,
        "what ends none": "a" * (n - 1) + "!",
        "an expression": "a*" * (n // 2) + "a",
        "a glob": "*a" * (n // 2),
        "a template": "$NAME" * (n // 5),
        "braces": "{a}" * (n // 3),
        "a list": "1," * (n // 2) + "1",
        "ranges": "1-9," * (n // 4) + "1",
        "an address": "a." * (n // 4) + "@" + "b." * (n // 4) + "c",
        "half of an address": "@" * n,
        "a path": "/a" * (n // 2),
        "colons": "a:" * (n // 2),
        "lines": "a\n" * (n // 2),
        "words": "a " * (n // 2),
        "signs": "-" * n,
        "quotation marks": '"\\' * (n // 2),
        "percent": "%41" * (n // 3),
        "figures of another script": "\u0663" * (n // 2),
    }


TEXTS = texts(MILLION)
SHORT_TEXTS = texts(2_000)
NUMBERS: Mapping[str, str] = {
    "nine bytes": "1e9999999",
    "a huge exponent": "1e999999999",
    "a tiny exponent": "1e-999999999",
    "a long exponent": "1e" + "9" * 300,
    "twenty digits": "9" * 20,
    "four thousand digits": "9" * 4_000,
    "a float's largest": "1.7976931348623157e308",
    "less than nothing": "-9223372036854775808",
    "2**63": "9223372036854775808",
    "one": "1",
}
"""As JSON and as text."""
LONG_NUMBERS = {"a million digits": "9" * MILLION, "a million places": "0." + "0" * MILLION + "1"}
TIMES = {
    "the first year": "0001-01-01T00:00:00Z",
    "the last year": "9999-12-31T23:59:59Z",
    "the first day": "0001-01-01",
    "the last day": "9999-12-31",
    "before Unix": "1900-01-01T00:00:00+23:59",
    "many places": "2026-11-01T00:00:00." + "1" * 2_000 + "Z",
    "a month": "9999-12",
}
WORDS = {
    "all of cron": "*/1,*/2,*/3,*/5,*/7 */1,*/2,*/3 */1,*/2,1-31 */1,*/2 0-7",
    "cron that is rare": "0 0 29 2 1",
    "cron that never is": "0 0 30 2 *",
    "cron of years": "0 0 29 2 * 2099",
    "a calendar that is rare": "Mon *-02-29 00:00:00",
    "a calendar of the last day": "9999-12-31 23:59:59",
    "a calendar of every second": "*-*-* *:*:00/1",
    "a zone": "../../../../etc/localtime",
    "a zone of a long name": "America/Argentina/ComodRivadavia",
    "a regex": "(a+)+(a|aa)+$",
    "all": "*",
    "nothing": "",
    "zero": "\0",
    "half a pair": "\ud800",
}
SHAPES = {
    "deep": "[" * 32 + "]" * 32,
    "too deep": "[" * 400_000,
    "wide": "[" + "0," * 400_000 + "0]",
    "many texts": "[" + '"a",' * 200_000 + '"a"]',
    "many lists": "[" + "[]," * 250_000 + "[]]",
    "many objects": "[" + "{}," * 250_000 + "{}]",
    "nested objects": "[" + ('{"a":' * 20 + "0" + "}" * 20 + ",") * 7_000 + "0]",
    "many names": "{" + ",".join(f'"{n}":0' for n in range(80_000)) + "}",
    "one name, often": "{" + '"a":0,' * 150_000 + '"a":0}',
    "a name without end": '{"' + "a" * MILLION + '":0}',
    "escapes": '"' + "\\u0000" * 150_000 + '"',
}


@cache
def of_json() -> Mapping[str, str]:
    """Each as it stands in JSON."""
    short = TIMES | WORDS | dict(SHORT_TEXTS)
    found = {f"number: {name}": text for name, text in NUMBERS.items()}
    found |= {f"text: {name}": json.dumps(text) for name, text in {**NUMBERS, **short}.items()}
    found |= {"null": "null", "false": "false", "deep": SHAPES["deep"]}
    found |= {f"long: {name}": json.dumps(text, ensure_ascii=False) for name, text in TEXTS.items()}
    return found | {f"long: {name}": text for name, text in {**LONG_NUMBERS, **SHAPES}.items()}


IN_QUERIES: Mapping[str, str] = {**NUMBERS, **TIMES, **WORDS, **texts(290)}
LONG_IN_QUERIES = {name: text[:LINE] for name, text in texts(LINE).items() if text[:LINE].isascii()}

RANGES: Mapping[str, tuple[tuple[str, str], ...]] = {
    f"{first} to {last} by {size}": (
        ("from", first), ("to", last), ("since", first), ("until", last), ("window", size), ("step", size),
        ("windowSize", size.upper()), ("limit", most), ("granularity", size), *more,
    )
    for first, last in (
        ("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"),
        ("2000-01-01T00:00:00Z", "2026-12-31T00:00:00Z"),
        ("1970-01-01", "2199-12-31"),
        ("2026-10-01T00:00:00Z", "2026-12-01T00:00:00Z"),
    )
    for size in ("second", "minute", "hour", "day", "month", "none")
    for most, more in (
        ("10000", (("group_by", "region"), ("groupBy", "region"), ("by", "customer"), ("heat", "p95"), ("keys", "1"))),
        ("500", (("group_by", "customer"), ("order", "latency"), ("by", "model"), ("log", "1"), ("zone", "Asia/Aden"))),
    )
}  # fmt: skip
"""All names that some route has for a time, of which each route is sent its own."""
NAMES_OF_PAGES = (
    "actor", "action", "object", "since", "until", "before", "after", "label", "name", "currency", "amount", "table",
    "range", "test", "q", "done", "gate", "kind", "state", "token", "next", "type", "line", "group", "view", "status",
    "tag", "find", "app", "month", "all", "cursor", "invited", "by", "from", "to", "step", "heat", "log", "keys",
    "endpoint", "customer", "method", "key", "source", "provider", "model", "severity", "at", "id", "subject",
    "event_type", "transaction_id", "moved", "field", "archived", "saved", "product", "unit", "tz", "refresh",
    "window", "group_by", "filter", "what", "order", "max_run", "grace", "example", "n", "zone",
)  # fmt: skip
FORM_TEXTS = {f"{name}, long": text for name, text in texts(8_000).items()} | {
    "a form of one text": "a" * 60_000,
    "digits, long": "9" * 60_000,
    "spaces, long": " " * 20_000 + "x",
    "lines, long": "a\n" * 10_000,
    "marks": "a" + "\u0315\u0300" * 5_000,
}
FORMS = {
    "a thousand fields": "&".join(f"n{n}=1" for n in range(1_090)).encode(),
    "too many fields": b"a=1&" * 16_000,
    "ampersands": b"&" * 65_000,
    "percent": b"a=" + b"%41" * 20_000,
    "broken percent": b"%" * 65_000,
}


def _parts(n: int, head: bytes, body: bytes = b"") -> bytes:
    return (
        b"".join(b"--b\r\n" + head.replace(b"N", b"%d" % i) + b"\r\n\r\n" + body + b"\r\n" for i in range(n))
        + b"--b--\r\n"
    )


_KIND = "multipart/form-data; boundary=b"
MULTIPART: Mapping[str, tuple[str, bytes]] = {
    "a thousand parts": (_KIND, _parts(1_000, b'Content-Disposition: form-data; name="nN"')),
    "files": (_KIND, _parts(900, b'Content-Disposition: form-data; name="nN"; filename="f"')),
    "headers of a part": (_KIND, _parts(1, b"\r\n".join([b"a: b"] * 10_000))),
    "a header without end": (_KIND, _parts(1, b'Content-Disposition: form-data; name="' + b"a" * 60_000 + b'"')),
    "parameters": (_KIND, _parts(1, b"Content-Disposition: form-data" + b"; a=b" * 10_000)),
    "half quotes": (_KIND, _parts(1, b'Content-Disposition: form-data; name="' + b'\\"' * 30_000)),
    "boundaries": (_KIND, b"--b\r\n" * 12_000),
    "nearly boundaries": (_KIND, b"--b\r\n\r\n" + b"\r\n--" * 15_000),
    "a boundary without end": ("multipart/form-data; boundary=" + "b" * 10_000, b"--" + b"b" * 10_000 + b"\r\n"),
    "Punycode": (
        _KIND,
        _parts(
            1,
            b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=punycode',
            b"a" * 25_000 + b"-" + b"a" * 25_000,
        ),
    ),
    "a charset": (
        _KIND,
        _parts(
            1, b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=idna', b"xn--" * 10_000
        ),
    ),
}


def file_of(content: bytes, head: bytes) -> tuple[str, bytes]:
    """As the one part of a form."""
    return _KIND, _parts(1, head, content)
