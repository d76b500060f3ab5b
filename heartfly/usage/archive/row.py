"""A row of an archive: an event as it counted, or one that contradicted it; and what rows come to, whatever their file.

The fingerprint is of rows, in order, and not of the file: the same in each format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from heartfly.core.amounts import Amount, amount, text_of
from heartfly.core.events import read as read_json
from heartfly.errors import StoreError

_MOST_NAMES = 200
"""Of properties of one type that are summed up; what comes on top is in the file, and in no sum."""


class Row(NamedTuple):
    """`against`: the number of the event that it contradicts; None: it is an event itself.

    `known_by`: the fingerprint of its content by which a repeat is told, in hex; empty: none is kept.
    """

    id: int
    against: int | None
    received_at: datetime
    at: datetime
    type: str
    subject: str
    transaction_id: str
    properties: str
    known_by: str


def line_of(row: Row) -> bytes:
    """Its one spelling, without an end. The properties are to the letter."""
    head = {
        "id": row.id,
        "against": row.against,
        "received_at": _spelled(row.received_at),
        "timestamp": _spelled(row.at),
        "event_type": row.type,
        "customer_id": row.subject,
        "transaction_id": row.transaction_id,
        "known_by": row.known_by,
    }
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
    return f'{text[:-1]},"properties":{row.properties}}}'.encode()


def row_of(line: bytes) -> Row:
    """StoreError: it is no line of an archive."""
    # The properties are the last name, so that they need not be read to be kept as they are.
    head, found, properties = line.partition(b',"properties":{')
    try:
        told = json.loads(head + b"}")
        if not found:
            raise ValueError("it has no properties")  # noqa: TRY301 - one reason among others
        return Row(
            told["id"], told["against"], _instant(told["received_at"]), _instant(told["timestamp"]),
            told["event_type"], told["customer_id"], told["transaction_id"], "{" + properties[:-1].decode(),
            told["known_by"],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"a line is none of an archive: {error}") from error


def _spelled(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


class Figures:
    """What rows come to. `sums`: of events alone, by type and property, exact."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._sums: dict[str, dict[str, Amount]] = {}
        self._n: dict[str, int] = {}
        self.n_events = 0
        self.n_conflicts = 0

    def add(self, row: Row, line: bytes) -> None:
        self._digest.update(line + b"\n")
        if row.against is not None:
            self.n_conflicts += 1
            return
        self.n_events += 1
        self._n[row.type] = self._n.get(row.type, 0) + 1
        sums = self._sums.setdefault(row.type, {})
        told = read_json(row.properties)
        for name, value in told.items() if isinstance(told, dict) else ():
            if isinstance(value, str) and (found := amount(value)) is not None:
                if name in sums:
                    sums[name] += found
                elif len(sums) < _MOST_NAMES:
                    sums[name] = found

    @property
    def fingerprint(self) -> bytes:
        return self._digest.digest()

    def sums(self) -> Mapping[str, Any]:
        return {
            type_: {"n": self._n[type_], "sums": {name: text_of(sums[name]) for name in sorted(sums)}}
            for type_, sums in sorted(self._sums.items())
        }
