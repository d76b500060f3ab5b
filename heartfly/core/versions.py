"""Versions of meters: which of them counts, and when.

A version is never changed. One that is made later covers what was there, within its own span, and leaves it as it was
outside: so a change from an instant on, or for a time only, is one more version.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from heartfly.core.meters import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """`from_at` None: since ever; `to_at` None: for ever. `archived_at`: from when its meter counts nothing more.

    Of two versions the one with the greater `id` was made later.
    """

    id: int
    meter_id: int
    meter: Meter
    from_at: datetime | None = None
    to_at: datetime | None = None
    archived_at: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return (self.from_at is None or self.from_at <= at) and (self.to_at is None or at < self.to_at)

    def overlaps(self, other: Version) -> bool:
        """There is an instant that both hold."""
        return (self.from_at is None or other.to_at is None or self.from_at < other.to_at) and (
            other.from_at is None or self.to_at is None or other.from_at < self.to_at
        )


@dataclass(frozen=True, slots=True)
class Span:
    """In [from_at, to_at) the version counts."""

    from_at: datetime
    to_at: datetime
    version: Version


def in_force(versions: Iterable[Version], at: datetime) -> Version | None:
    """Of the versions of one meter the one that counts what happens at an instant."""
    holding = [one for one in versions if one.holds(at) and (one.archived_at is None or at < one.archived_at)]
    return max(holding, key=lambda one: one.id, default=None)


def spans(versions: Iterable[Version], from_at: datetime, to_at: datetime) -> Sequence[Span]:
    """Which versions, of any meters, count in [from_at, to_at): by meter, the earliest first, without overlaps."""
    of_meter: dict[int, list[Version]] = {}
    for version in versions:
        of_meter.setdefault(version.meter_id, []).append(version)
    return [span for meter_id in sorted(of_meter) for span in _of_meter(of_meter[meter_id], from_at, to_at)]


def _of_meter(versions: Sequence[Version], from_at: datetime, to_at: datetime) -> list[Span]:
    edges = {from_at, to_at}
    for one in versions:
        edges |= {at for at in (one.from_at, one.to_at, one.archived_at) if at is not None and from_at < at < to_at}
    found: list[Span] = []
    for start, end in pairwise(sorted(edges)):
        version = in_force(versions, start)
        if version is None:
            continue
        goes_on = bool(found) and found[-1].version is version and found[-1].to_at == start
        found.append(Span(found.pop().from_at if goes_on else start, end, version))
    return found
