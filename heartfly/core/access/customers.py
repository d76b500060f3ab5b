"""Whose a request was, as a line of a log tells it: by a field, an API key, a segment of the path, a table of names.

Keys are secrets: of one that is in no table only the beginning is kept, and never more than half.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from heartfly.core.access.request import MAX_FIELD, Request, clean
from heartfly.core.events import MAX_SUBJECT

ANONYMOUS = "anonymous"
SHOWN_OF_KEY = 8
_BEARER = re.compile(r"\Abearer\s+", re.IGNORECASE)
_FIELD, _KEY, _PATH, _HOST, _USER = "field", "key", "path", "host", "user"


class CustomerRuleError(ValueError):
    """A rule, or a line of the table, that cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`n`: which segment of the path, from 1."""

    kind: str
    name: str = ""
    n: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """`prefixes`: the longest first."""

    names: Mapping[str, str] = field(default_factory=dict)
    prefixes: Sequence[tuple[str, str]] = ()

    def customer(self, value: str) -> str | None:
        found = self.names.get(value)
        if found is None and self.prefixes:
            found = next((customer for start, customer in self.prefixes if value.startswith(start)), None)
        return found


@dataclass(frozen=True, slots=True)
class Customers:
    """The first rule that finds something says it."""

    rules: Sequence[Rule] = ()
    table: Table = field(default_factory=Table)

    def whose(self, request: Request) -> tuple[str, str | None]:
        """The customer, `anonymous` if nobody is named, and the beginning of the key that was used, if one was."""
        customer = shown = None
        for rule in self.rules:
            value = _value(rule, request)
            if value is None:
                continue
            told = value
            if rule.kind == _KEY:
                told = beginning_of(value)
                shown = shown or told
            if customer is None:
                customer = self.table.customer(value) or told
        return (customer or ANONYMOUS), shown


def _value(rule: Rule, request: Request) -> str | None:
    match rule.kind:
        case "field" | "key":
            text = request.fields.get(rule.name)
        case "path":
            segments = (request.path or "").split("/")[1:]
            text = segments[rule.n - 1] if rule.n <= len(segments) else None
        case "host":
            text = request.host
        case _:
            text = request.user
    if text is None:
        return None
    text = clean(_BEARER.sub("", text.strip()).strip(), MAX_FIELD if rule.kind == _KEY else MAX_SUBJECT)
    return text if text and text != "-" else None


def beginning_of(key: str) -> str:
    """What may be shown of a key."""
    return key[: min(SHOWN_OF_KEY, len(key) // 2)] + "…"


def rule_of(text: str) -> Rule:
    """`field:NAME`, `key:NAME`, `path:N`, `host` or `user`. CustomerRuleError."""
    kind, _, name = text.partition(":")
    if kind in {_FIELD, _KEY} and name:
        return Rule(kind, name.removeprefix("$"))
    if kind == _PATH and name.isdecimal() and name.isascii() and 0 < int(name[:4]) <= 100:
        return Rule(kind, n=int(name[:4]))
    if kind in {_HOST, _USER} and not name:
        return Rule(kind)
    raise CustomerRuleError(f"{text} is none of field:NAME, key:NAME, path:N, host, user")


def table_of(lines: Iterable[str]) -> Table:
    """CSV: what is found, and whose it is. What ends in `*` is how others begin. CustomerRuleError names the line."""
    names: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    for n, row in enumerate(csv.reader(lines), 1):
        if not row or row[0].startswith("#"):
            continue
        if len(row) != 2 or not row[0].strip() or not (customer := clean(row[1].strip(), MAX_SUBJECT)):
            raise CustomerRuleError(f"line {n} is not VALUE,CUSTOMER")
        value = row[0].strip()
        if value.endswith("*"):
            prefixes[value[:-1]] = customer
        else:
            names[value] = customer
    return Table(names, sorted(prefixes.items(), key=lambda one: -len(one[0])))
