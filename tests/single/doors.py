"""What is asked past the frameworks: pings, other services' signals and APIs, probes; and what any request may carry.

Their addresses are matched by hand-written patterns; the tables of those are asked which there are.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import brotli

from heartfly.api.compat.healthchecks.door import ROUTES as HEALTHCHECKS
from heartfly.api.compat.telemetry.rooms import ROOMS
from tests.single import bodies, nasty
from tests.single.site import Case, Site

Route = tuple[str, str]
BOMB = 64 * 1024 * 1024
"""So much comes out of a few KiB."""
_ROOMS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "alertmanager": (("POST", "/ping/{uuid}/alertmanager"),),
    "cronitor": (("GET", "/p/{ping_key}/nightly"), ("GET", "/ping/{ping_key}/nightly?state=run")),
    "kuma": (("GET", "/api/push/{uuid}"),),
    "sentry": (
        ("POST", "/api/1/envelope/?sentry_key={ping_key}"),
        ("POST", "/api/1/cron/nightly/{ping_key}/"),
        ("GET", "/api/1/cron/nightly/{ping_key}/?status=ok"),
    ),
    "opsgenie": (("GET", "/v2/heartbeats/nightly/ping"),),
    "cronhub": (("GET", "/start/{uuid}"), ("GET", "/finish/{uuid}")),
}
_PINGS = (
    ("POST", "/ping/{uuid}"), ("POST", "/ping/{uuid}/{action}"), ("POST", "/ping/{ping_key}/{slug}"),
    ("POST", "/{uuid}"),
)  # fmt: skip
_OTHERS = (
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/nowhere"),
)
_CRONITOR = (
    ("GET", "/api/monitors"), ("PUT", "/api/monitors"), ("GET", "/api/monitors.yaml"), ("PUT", "/api/monitors.yaml"),
    ("GET", "/api/monitors/{monitor}"), ("DELETE", "/api/monitors/{monitor}"),
    ("GET", "/api/monitors/{monitor}/pause"), ("GET", "/api/monitors/{monitor}/pause/{hours}"),
)  # fmt: skip


def routes() -> set[Route]:
    of_healthchecks = {(method, route.template) for route in HEALTHCHECKS for method in route.methods}
    of_rooms = {("ANY", room.name) for room in ROOMS}
    return {*of_healthchecks, *of_rooms, *_PINGS, *_OTHERS, *_CRONITOR}


def cases(site: Site) -> dict[Route, list[Iterator[Case]]]:
    """By route; also of routes of the frameworks, what any request may carry."""
    found: dict[Route, list[Iterator[Case]]] = {route: [_pings(site, *route)] for route in _PINGS}
    found |= {("ANY", name): [_signals(site, name)] for name in _ROOMS}
    found |= {route: [_carried(*route)] for route in _OTHERS}
    for route in HEALTHCHECKS:
        for method in route.methods:
            found[method, route.template] = [_healthchecks(site, method, route.template)]
    found |= {route: [_cronitor(site, *route)] for route in _CRONITOR}
    for of_body in (("POST", "/v1/checks"), ("POST", "/v1/events"), ("POST", "/v1/prices/imports"), *bodies.FOREIGN):
        found.setdefault(of_body, []).append(_packed(*of_body, site))
    found.setdefault(("GET", "/p/{project}/checks"), []).append(_carried("GET", "/p/main/checks", by="page"))
    found.setdefault(("GET", "/v1/checks"), []).append(_carried("GET", "/v1/checks", by="key"))
    return found


# --- what any request may carry


def _carried(method: str, path: str, *, by: str = "nobody") -> Iterator[Case]:
    yield Case("as it is", method, path, by=by)
    long = "x" * 12_000
    for name, headers in {
        "many headers": {f"X-{n}": "1" for n in range(90)},
        "a long header": {"X-Long": long},
        "cookies": {"Cookie": "; ".join(f"c{n}={n}" for n in range(1_500))},
        "half a cookie": {"Cookie": '"' + "\\" * 12_000},
        "spaces in a cookie": {"Cookie": "a=" + " " * 12_000 + "b"},
        "what is accepted": {"Accept": ",".join(f"text/html;q=0.{n}" for n in range(700))},
        "parameters of what is accepted": {"Accept": "text/html" + ";a=b" * 3_000},
        "languages": {"Accept-Language": ",".join(f"de-{n};q=0.{n}" for n in range(900))},
        "encodings": {"Accept-Encoding": "gzip;q=0," * 1_200},
        "a key": {"Authorization": "Bearer " + long},
        "a name": {"Authorization": "Basic " + "QUFB" * 3_000},
        "etags": {"If-None-Match": '"a", ' * 2_400},
        "ranges": {"Range": "bytes=" + "0-0," * 3_000},
        "forwarded": {"X-Forwarded-For": "192.0.2.1, " * 1_000, "Forwarded": "for=192.0.2.1," * 100},
        "a content type": {"Content-Type": "application/json" + "; a=b" * 2_000},
        "last id": {"Last-Event-ID": "9" * 12_000},
    }.items():
        yield Case(name, method, path, headers=headers, by="nobody" if "Authorization" in headers else by)
    yield Case("a long path", method, path + "/a" * 6_000, by=by)
    yield Case("dots", method, path + "/.." * 4_000, by=by)
    yield Case("percent", method, path + "/" + "%2e" * 4_000, by=by)


def packed(raw: bytes) -> Mapping[str, tuple[str, bytes]]:
    """In each encoding that there is, also those that nobody here reads."""
    deflating = zlib.compressobj(9, zlib.DEFLATED, -15)
    return {
        "gzip": ("gzip", gzip.compress(raw)),
        "deflate": ("deflate", zlib.compress(raw, 9)),
        "raw deflate": ("deflate", deflating.compress(raw) + deflating.flush()),
        "brotli": ("br", brotli.compress(raw, quality=5)),
        "gzip twice": ("gzip, gzip", gzip.compress(gzip.compress(raw))),
    }


_bombs: dict[str, tuple[str, bytes]] = {}


def _packed(method: str, template: str, site: Site) -> Iterator[Case]:
    if not _bombs:
        for what, raw in {"spaces": b" " * BOMB, "brackets": b"[" * BOMB}.items():
            _bombs.update({f"{what} by {name}": one for name, one in packed(raw).items()})
        members = gzip.compress(b" ") * 40_000
        _bombs["members of gzip"] = ("gzip", members)
        _bombs["a name of encodings"] = ("gzip," * 2_000, b"x")
    for name, (encoding, body) in _bombs.items():
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        yield Case(f"bomb: {name}", method, site.filled(template), body, headers)


# --- pings and signals


BODIES: Mapping[str, bytes] = {
    "numbers": b" ".join(b"n%d=1e%d" % (n, n * 100_000) for n in range(4_000)),
    "one number": b"rows=1e9999999",
    "a number of JSON": b'{"rows": 1e9999999, "took": 1e-9999999}',
    "deep": b"[" * 500_000,
    "wide": b'{"a":' * 100_000,
    "names": json.dumps({f"n{n}": n for n in range(40_000)}).encode(),
    "signs": b"a=" * 400_000,
    "spaces": b" " * 900_000 + b"=1",
    "lines": b"\n" * 900_000,
    "NUL": b"\0" * 900_000,
    "not UTF-8": b"\xff" * 900_000,
    "digits": b"rows=" + b"9" * 900_000,
}


def _png(width: int, height: int, raw: bytes) -> bytes:
    """Its head says how large it is; what it is made of is packed a thousandfold."""
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    made = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + made


PICTURES: Mapping[str, bytes] = {
    "a picture without end": _png(2**31 - 1, 2**31 - 1, b""),
    "a picture that is a bomb": _png(500, 500, bytes(25_000_000)),
    "many parts of a picture": b"\x89PNG\r\n\x1a\n"
    + (b"\0\0\0\0tEXt" + struct.pack(">I", zlib.crc32(b"tEXt"))) * 2_600,
    "many segments": b"\xff\xd8" + b"\xff\xe1\0\x02" * 7_900,
}


def _in_query(method: str, path: str, names: Sequence[str], *, by: str) -> Iterator[Case]:
    for name in names:
        for what, text in {**nasty.IN_QUERIES, **nasty.LONG_IN_QUERIES}.items():
            value = quote(text.encode("utf-8", "surrogatepass"), safe="")[: nasty.LINE]
            yield Case(f"?{name}={what}", method, f"{path}?{name}={value}", by=by)


def _in_path(
    site: Site, method: str, template: str, named: Mapping[str, str], names: Sequence[str], *, by: str
) -> Iterator[Case]:
    """`named`: what else stands in it."""
    for name in names:
        if f"{{{name}}}" in template:
            for what, text in {**nasty.NUMBERS, **nasty.LONG_IN_QUERIES}.items():
                value = quote(text, safe="")[: nasty.LINE]
                yield Case(f"{name}: {what}", method, site.filled(template, **{**named, name: value}), by=by)


def _pings(site: Site, method: str, template: str) -> Iterator[Case]:
    of_key = site.ids | {"action": "fail", "slug": "nightly"}
    path = site.filled(template, **of_key)
    for name, body in BODIES.items():
        yield Case(f"body: {name}", method, path, body, by="nobody")
    yield Case("as it is", method, path, by="nobody")
    yield from _in_query(method, path, ("rid", "ago", "took", "host", "create"), by="nobody")
    yield from _in_path(site, method, template, of_key, ("action", "slug", "uuid", "ping_key"), by="nobody")


_ENVELOPE = "{}\n" + json.dumps({"type": "check_in"}) + "\n"
_CHECK_IN: Mapping[str, Any] = {
    "check_in_id": "5d0c4c3e9a591b0c0302aa017f1f2b0e", "monitor_slug": "nightly", "status": "ok", "duration": 1.5,
    "monitor_config": {
        "schedule": {"type": "crontab", "value": "30 2 * * *"}, "checkin_margin": 5, "max_runtime": 30,
        "timezone": "Europe/Berlin", "failure_issue_threshold": 2, "recovery_threshold": 2,
    },
}  # fmt: skip
_ALERTS = {"alerts": [{"status": "firing", "labels": {"alertname": "x"}, "startsAt": bodies.AT}], "status": "firing"}


def _signals(site: Site, room: str) -> Iterator[Case]:
    from tests.single.corpus import in_json  # noqa: PLC0415 - it knows this module

    names = ("state", "series", "metric", "host", "msg", "status_code", "duration", "stamp", "status", "ping",
             "check_in_id", "monitor_config", "try")  # fmt: skip
    for method, template in _ROOMS[room]:
        path = site.filled(template)
        mark = "&" if "?" in path else "?"
        for name in names:
            for what, text in {**nasty.NUMBERS, **nasty.TIMES, **nasty.LONG_IN_QUERIES}.items():
                yield Case(f"{name}={what}", method, f"{path}{mark}{name}={quote(text)[:11_000]}", by="nobody")
        metrics = "&".join(f"metric=count:{n}" for n in range(700))
        yield Case("metrics", method, f"{path}{mark}{metrics}", by="nobody")
        if method != "POST":
            continue
        for name, body in BODIES.items():
            yield Case(f"body: {name}", method, path, body, by="nobody")
        for name, (encoding, body) in _bombs.items():
            yield Case(f"bomb: {name}", method, path, body, {"Content-Encoding": encoding}, "nobody")
        whole: Any = _CHECK_IN if room == "sentry" else _ALERTS
        before = _ENVELOPE if "envelope" in path else ""
        for name, make in in_json(whole):
            yield Case(name, method, path, partial(_behind, before.encode(), make), by="nobody")
        items = (json.dumps({"type": "check_in"}) + "\n" + json.dumps(_CHECK_IN) + "\n") * 2_000
        yield Case("many items", method, path, b"{}\n" + items.encode(), by="nobody")
        yield Case("many heads", method, path, b"{}\n" * 300_000, by="nobody")


def _behind(before: bytes, make: Callable[[], bytes]) -> bytes:
    return before + make()


# --- Healthchecks' and Cronitor's own API


def _healthchecks(site: Site, method: str, template: str) -> Iterator[Case]:
    from tests.single.corpus import in_json  # noqa: PLC0415 - it knows this module

    named = {"version": "3", "check": site.ids["ping_uuid"], "n": "1", "key": "x" * 20, "badge": "x.svg", "states": "2",
             "project": "p"}  # fmt: skip
    path = site.filled(template, **named)
    yield Case("as it is", method, path, b"{}" if method == "POST" else b"", by="hc")
    yield from _in_query(method, path, ("slug", "tag", "seconds", "start", "end", "label"), by="hc")
    yield from _in_path(site, method, template, named, ("check", "n", "badge", "key"), by="hc")
    tags = "&".join(f"tag=t{n}" for n in range(1_500))
    yield Case("tags", method, f"{path}?{tags}", by="hc")
    if method == "POST" and template.endswith(("checks", "{check}")):
        for what, make in in_json(bodies.HC_CHECK):
            yield Case(what, method, path, make, by="hc")
        for what, (encoding, body) in _bombs.items():
            yield Case(f"bomb: {what}", method, path, body, {"Content-Encoding": encoding}, "hc")


_YAML: Mapping[str, bytes] = {
    "aliases": b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(ord("b"), ord("j"))
    ),
    "deep": b"".join(b" " * n + b"a:\n" for n in range(1_000)),
    "flow": b"a: " + b"[" * 400_000,
    "many": b"".join(b"m%d:\n  schedule: 0 0 * * *\n" % n for n in range(25_000)),
    "colons": b"a: " * 250_000,
    "quotes": b'a: "' + b"\\x41" * 200_000 + b'"',
    "half a quote": b"a: '" + b"''" * 400_000,
    "a block": b"a: |\n" + b" x\n" * 250_000,
    "folded": b"a: >\n" + b" x\n\n" * 200_000,
    "comments": b"#\n" * 400_000,
    "tabs": b"a:\t" * 250_000,
    "dashes": b"- " * 400_000,
    "merges": b"<<: *a\n" * 100_000,
    "a number": b"jobs:\n  x:\n    schedule: 0 0 * * *\n    grace_seconds: 1e9999999\n",
}  # fmt: skip


def _cronitor(site: Site, method: str, template: str) -> Iterator[Case]:
    from tests.single.corpus import in_json  # noqa: PLC0415 - it knows this module

    named = {"monitor": "nightly", "hours": "1"}
    path = site.filled(template, **named)
    yield Case("as it is", method, path, b'{"monitors": []}' if method == "PUT" else b"", by="key")
    for name in ("page", "pageSize", "type", "tag", "group", "state", "search", "sort", "env"):
        for what, text in {**nasty.IN_QUERIES, **nasty.LONG_IN_QUERIES}.items():
            value = quote(text.encode("utf-8", "surrogatepass"), safe="")[: nasty.LINE]
            yield Case(f"?{name}={what}", method, f"{path}?{name}={value}", by="key")
    for name in named:
        if f"{{{name}}}" in template:
            for what, text in {**nasty.NUMBERS, **nasty.LONG_IN_QUERIES}.items():
                value = quote(text, safe="")[: nasty.LINE]
                yield Case(f"{name}: {what}", method, site.filled(template, **named | {name: value}), by="key")
    if method != "PUT":
        return
    for what, make in in_json({"monitors": [bodies.MONITOR]}):
        yield Case(what, method, path, make, by="key")
    for what, body in _YAML.items():
        yield Case(f"YAML: {what}", method, path, body, {"Content-Type": "application/yaml"})
