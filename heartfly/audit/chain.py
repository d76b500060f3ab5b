"""What holds the audit together: hashes that only who has the chain's key can make. Values in, values out.

    entry      what it says, in one spelling for both databases  → its hash
    clasp      its number, when, the clasp before, its entries' hashes → its hash
    redaction  an entry, what it said in its clasp, what it says now → a mark
    gone       a project that was deleted with its entries → a mark

A clasp holds hashes and never what was said: an entry may lose names, or go with its project, and the clasp stays as it
is. The marks tell those two from anything else that happens to an entry. Who reads and writes all that is not here.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from struct import Struct
from typing import Any

from sqlalchemy import Row

from heartfly.db.types import micros, one_spelling

FIRST = bytes(32)
"""In place of a clasp before the first one."""

_SAYS = ("pid", "id", "at", "actor", "action", "object", "before", "after", "ip")
"""All that an entry says, by its columns."""
_of = attrgetter(*_SAYS)
_ITEM = Struct(">qq32s")


@dataclass(frozen=True, slots=True)
class Held:
    """One entry, as a clasp holds it. `said`: the hash of what it said then."""

    pid: int
    id: int
    said: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """A clasp, as the next one is over it."""

    number: int
    hash: bytes


def packed(entries: Iterable[Held]) -> bytes:
    return b"".join(_ITEM.pack(one.pid, one.id, one.said) for one in entries)


def count_of(entries: bytes) -> int:
    return len(entries) // _ITEM.size


def unpacked(entries: bytes) -> Iterator[Held]:
    """A piece that is left over at the end is left out: the clasp's hash tells that it is there."""
    whole = len(entries) - len(entries) % _ITEM.size
    return (Held(*fields) for fields in _ITEM.iter_unpack(entries[:whole]))


class ChainKey:
    """Each kind of hash begins with its own word, so that none passes for one of another kind."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of_entry(self, row: Row[Any], **instead: Any) -> bytes:
        """Of a row of the audit; `instead`: what it will say in some of its columns."""
        told = dict(zip(_SAYS, _of(row), strict=True)) | instead
        facts = [micros(value) if isinstance(value, datetime) else one_spelling(value) for value in told.values()]
        return self._hash("entry", json.dumps(facts, sort_keys=True, separators=(",", ":")).encode())

    def of_clasp(self, number: int, at: datetime, before: bytes, entries: bytes) -> bytes:
        return self._hash("clasp", b"%d %d " % (number, micros(at)), before, entries)

    def of_redaction(self, held: Held, now: bytes) -> bytes:
        """`now`: the hash of what the entry says since names went from it."""
        return self._hash("redaction", packed([held]), now)

    def of_gone(self, pid: int) -> bytes:
        return self._hash("gone", b"%d" % pid)

    def _hash(self, kind: str, *parts: bytes) -> bytes:
        return hmac.digest(self._secret, b"\n".join((kind.encode(), *parts)), "sha256")
