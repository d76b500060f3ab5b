"""What of a batch can be worked out before its turn: beside the writer, for whom the others wait.

By columns, as the database's driver takes them. Only of batches that nothing is wrong with; the others are looked at
event by event in apply.py, which decides what is new, and both write the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple

from heartfly.core.by_column import EventColumns
from heartfly.core.events import Event
from heartfly.db.types import all_packed, micros

_HOUR = 3_600_000_000


class Ready(NamedTuple):
    """Events of which each has another transaction id, column by column. `hashes`: of those.

    `last_of_hours`: the place of the last event in each hour since EPOCH.
    """

    hashes: Sequence[bytes]
    fingerprints: Sequence[bytes]
    ids: Sequence[Any]
    subjects: Sequence[str]
    ats: Sequence[Any]
    types: Sequence[str]
    properties: Sequence[str]
    last_of_hours: Mapping[int, int]


def hashes_of(transaction_ids: Sequence[str], packed: Sequence[object] = ()) -> list[bytes]:
    """11 bytes that stand for each; for a UUID of version 8 its own 16. `packed`: `all_packed`, for who has it already.

    Of a billion events of one project two have the same by a chance of one to 600 million, and each byte is one of each
    event's. The second would be told as a conflict, and kept aside.

    A UUID of version 8 is one that somebody has put together, and begins with what he wants it to stand by: lines of
    a log with their time (core/access/line_ids.py). Their neighbours lie on the same page, which is written once, where
    hashes go to a page each (decision 51).
    """
    if not any(one[14:15] == "8" for one in transaction_ids):
        return [_hash(one) for one in transaction_ids]
    packed = packed or all_packed(transaction_ids)
    if {*map(type, packed)} == {bytes} and not b"".join(packed)[6::16].translate(None, _VERSION_8):  # type: ignore[arg-type]
        return [*packed]  # type: ignore[list-item]
    return [
        one if isinstance(one, bytes) and one[6] >> 4 == 8 else _hash(text)
        for text, one in zip(transaction_ids, packed, strict=True)
    ]


_VERSION_8 = bytes(range(0x80, 0x90))


def _hash(transaction_id: str) -> bytes:
    return blake2b(transaction_id.encode(), digest_size=16).digest()[:11]


def ready_of(items: Sequence[object] | EventColumns, *, on_postgres: bool) -> Ready | None:
    """None: there is none, or something that is no event, or two have one transaction id."""
    events: Any = items
    if isinstance(items, EventColumns):
        ids, subjects, ats, types = items.ids, items.subjects, items.ats, items.types
        properties, fingerprints = items.properties, items.prints
    elif {*map(type, items)} == {Event}:
        ids, subjects, ats, types, properties, fingerprints = zip(*events, strict=True)
    else:
        return None
    packed = ids if on_postgres else all_packed(ids)
    hashes = hashes_of(ids, () if on_postgres else packed)
    if len({*hashes}) < len(hashes):
        return None
    known = {at: micros(at) for at in set(ats)}
    instants = [known[at] for at in ats]
    hours = dict(zip([at // _HOUR for at in instants], range(len(instants)), strict=True))
    if on_postgres:
        return Ready(hashes, fingerprints, ids, subjects, ats, types, properties, hours)
    return Ready(hashes, fingerprints, packed, subjects, instants, types, properties, hours)


def together(parts: Sequence[Ready | None]) -> Ready | None:
    """None: one is none, or they have a transaction id in common."""
    some = [one for one in parts if one is not None]
    if len(some) < len(parts):
        return None
    if len(some) == 1:
        return some[0]
    *parts_of_columns, _ = zip(*some, strict=True)
    columns = [[*chain.from_iterable(one)] for one in parts_of_columns]
    if len({*columns[0]}) < len(columns[0]):
        return None
    hours: dict[int, int] = {}
    start = 0
    for one in some:
        hours |= {hour: start + place for hour, place in one.last_of_hours.items()}
        start += len(one.hashes)
    return Ready._make([*columns, hours])
