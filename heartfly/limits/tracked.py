"""Calls that were only tracked count as well: with their events, in the same transaction, once.

An event that names a reservation ends it, if nobody has; one whose reservation was committed is counted already, but
for the cost that its caller did not tell. What an event says of a call is read in core/limits/tracked.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from heartfly.core.events import Event
from heartfly.core.limits.tracked import Made, made_of
from heartfly.db.changes import Tx
from heartfly.db.models import limit_told
from heartfly.db.prepared import Prepared
from heartfly.db.types import micros
from heartfly.limits.apply import LimitApplier
from heartfly.limits.batch import COMMITTED, HELD, Batch, Units
from heartfly.limits.names import number_of


class TrackedCalls:
    """Is told of the calls that are new, by whoever writes their events, under `usage.apply.hold_events`."""

    def __init__(self, applier: LimitApplier) -> None:
        self._applier = applier

    def __call__(self, tx: Tx, pid: int, calls: Sequence[Event], *, now: datetime) -> None:
        made = [(event, made_of(event.subject, event.properties)) for event in calls]
        _TELL.run(tx, _newest(pid, made))
        numbers = [number_of(one.reservation) for _, one in made if one.reservation]
        batch = self._applier.opened(
            tx, pid, now, numbers=[n for n in numbers if n is not None], calls=[one.call for _, one in made]
        )
        if batch is None:
            return
        for event, one in made:
            applied = batch.rules.holding(one.call)
            units = self._applier.pricing.priced(tx, pid, one.call, one.units, applied, at=event.at, tier=one.tier)
            _count(batch, event, one, units)
        batch.write(tx)


def _count(batch: Batch, event: Event, made: Made, units: Units) -> None:
    number = number_of(made.reservation)
    known = None if number is None else batch.by_number.get(number)
    if known is not None and known.state == COMMITTED:
        batch.complete(known, units, at_us=micros(event.at))
        return
    if known is not None and known.state == HELD:
        batch.settle(known, units, COMMITTED)
        return
    batch.ledger.count(batch.rules.holding(made.call), units, at_us=micros(event.at))


def _newest(pid: int, made: Sequence[tuple[Event, Made]]) -> list[Mapping[str, Any]]:
    """What each provider said last in this batch, for each of its models."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for event, one in sorted(made, key=lambda pair: pair[0].at):
        if one.told and one.call.provider:
            key = (one.call.provider, one.call.model)
            found[key] = {"pid": pid, "provider": key[0], "model": key[1], "at": event.at, "told": dict(one.told)}
    return [found[key] for key in sorted(found)]


def _tell(tx: Tx) -> Any:
    insert = tx.insert(limit_told)
    return insert.on_conflict_do_update(
        index_elements=["pid", "provider", "model"],
        set_={"at": insert.excluded.at, "told": insert.excluded.told},
        where=limit_told.c.at <= insert.excluded.at,
    )


_TELL = Prepared(_tell)
