"""What a call to somebody's API leaves, and the event `api.call` that is made of it. All properties are texts.

Amounts are exact: what is no decimal of at most 20 and 18 digits is left out, and named in `unread`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

TYPE = "api.call"
DROPPED = "api.calls_dropped"
UNCHECKED = "api.call_unchecked"
ANONYMOUS = "anonymous"

_MOST_TEXT, _MOST_CUSTOMER, _MOST_ID, _MOST_TAGS, _MOST_KINDS = 512, 256, 128, 20, 40
_START = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_KIND = re.compile(r"[a-z0-9][a-z0-9_]{0,59}", re.ASCII)
_AMOUNT = re.compile(r"-?\d{1,20}(?:\.\d{1,18})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)

_EXACT = Context(prec=100)
"""Python's own rounds to 28 digits."""

Number = int | str | float | Decimal


@dataclass(slots=True)
class Made:
    """`at_ns`: of the epoch, when it began. `status` 0: unknown. `units`: `requests` is 1 if it is not said.

    `more`: further properties, such as what the provider said of its limits. `name`: a transaction id of its own.
    """

    provider: str
    at_ns: int
    model: str = ""
    endpoint: str = ""
    tier: str = ""
    customer: str | None = None
    user: str | None = None
    key: str = ""
    tags: Sequence[str] = ()
    status: int = 0
    error: str = ""
    latency_ns: int | None = None
    request_id: str = ""
    cost: str | None = None
    currency: str = ""
    units: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    name: str = ""

    def add(self, kind: str, amount: Number) -> None:
        """To what is known of this kind."""
        text = exact(amount)
        if text is None or not _KIND.fullmatch(kind) or len(self.units) >= _MOST_KINDS:
            self._cannot_read(kind)
            return
        before = self.units.get(kind)
        self.units[kind] = text if before is None else spelled(_EXACT.add(Decimal(before), Decimal(text)))

    def costs(self, amount: Number, currency: str) -> None:
        """To what was said before, if it is the same currency; another one is not added to it."""
        text = exact(amount)
        if text is None or not _CURRENCY.fullmatch(currency) or self.currency not in {"", currency}:
            self._cannot_read("cost")
            return
        self.cost = text if self.cost is None else spelled(_EXACT.add(Decimal(self.cost), Decimal(text)))
        self.currency = currency

    def _cannot_read(self, what: str) -> None:
        if len(self.unread) < _MOST_KINDS:
            self.unread.append(clean(what, 60))


def exact(amount: object) -> str | None:
    """As a decimal without an exponent; None: it is none, or has too many digits. A float is what it prints as."""
    if isinstance(amount, bool) or not isinstance(amount, int | str | float | Decimal):
        return None
    try:
        found = amount if isinstance(amount, Decimal) else Decimal(str(amount).strip())
    except InvalidOperation:
        return None
    if not found.is_finite() or found.adjusted() > 40:
        return None
    text = spelled(found)
    return text if _AMOUNT.fullmatch(text) else None


def spelled(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def event_of(made: Made, id_: str) -> bytes:
    """As JSON. What is not known is left out."""
    properties: dict[str, str] = {
        "provider": clean(made.provider, _MOST_TEXT) or "unknown",
        "model": clean(made.model, _MOST_TEXT),
        "endpoint": clean(made.endpoint, _MOST_TEXT),
        "tier": clean(made.tier, _MOST_TEXT),
        "user": clean(made.user or "", _MOST_TEXT),
        "key": clean(made.key, _MOST_TEXT),
        "tags": tags_text(made.tags),
        "status": str(made.status) if made.status else "",
        "error": clean(made.error, _MOST_TEXT),
        "latency_ms": "" if made.latency_ns is None else _ms(made.latency_ns),
        "request_id": clean(made.request_id, _MOST_TEXT),
        "cost": made.cost or "",
        "currency": made.currency if made.cost is not None else "",
        "unread": ", ".join(dict.fromkeys(made.unread)),
    }
    properties |= {f"units.{kind}": amount for kind, amount in ({"requests": "1"} | made.units).items()}
    properties |= {name: clean(text, _MOST_TEXT) for name, text in made.more.items()}
    known = {name: text for name, text in properties.items() if text}
    customer = clean(made.customer or "", _MOST_CUSTOMER).strip() or ANONYMOUS
    return _json(made.name or transaction_id(made.provider, made.request_id, id_), customer, made.at_ns, TYPE, known)


def transaction_id(provider: str, request_id: str, otherwise: str) -> str:
    """`provider:request_id`, so that a call that is told of twice counts once; of one that has none, `otherwise`."""
    if not request_id.strip():
        return otherwise
    name = f"{provider}:{request_id}"
    if len(name) <= _MOST_ID and name.isprintable():
        return name
    return f"{clean(provider, 64)}:{hashlib.blake2b(request_id.encode(errors='replace'), digest_size=16).hexdigest()}"


def dropped_event(n: int, id_: str, at_ns: int, source: str) -> bytes:
    """So that what was lost is a figure, too."""
    return _json(id_, ANONYMOUS, at_ns, DROPPED, {"n": str(n)} | ({"source": source} if source else {}))


@dataclass(slots=True)
class Unchecked:
    """A call that went on although nobody could say whether it may: limits could not be asked."""

    provider: str
    at_ns: int
    model: str
    customer: str | None
    why: str


def unchecked_event(one: Unchecked, id_: str) -> bytes:
    properties = {"provider": one.provider, "model": one.model, "why": one.why, "n": "1"}
    known = {name: clean(text, _MOST_TEXT) for name, text in properties.items() if text}
    customer = clean(one.customer or "", _MOST_CUSTOMER).strip() or ANONYMOUS
    return _json(id_, customer, one.at_ns, UNCHECKED, known)


def tags_text(tags: Sequence[str]) -> str:
    """In order, each once: separated by commas, or as a list of JSON where one has a comma in it."""
    found = sorted({text for tag in tags if (text := clean(str(tag), 64).strip())})[:_MOST_TAGS]
    if any("," in tag or tag.startswith("[") for tag in found):
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return ",".join(found)


def clean(text: str, most: int) -> str:
    text = text[:most]
    return text if text.isprintable() else _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _ms(latency_ns: int) -> str:
    """To the microsecond."""
    micros = max(1, latency_ns // 1_000)
    return spelled(Decimal(micros) / 1_000)


def _json(id_: str, customer: str, at_ns: int, type_: str, properties: Mapping[str, Any]) -> bytes:
    at = _START + timedelta(microseconds=at_ns // 1_000)
    event = {
        "transaction_id": id_,
        "customer_id": customer,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "event_type": type_,
        "properties": properties,
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
