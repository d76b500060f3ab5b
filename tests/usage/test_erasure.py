"""What is left of a customer who was erased, where his events were corrected, replaced, or came in by a set."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from heartfly.db.database import Database
from heartfly.db.models import event_conflicts, event_corrections, event_ids, events
from heartfly.usage.apply import Outcome
from heartfly.usage.customers import create_customer
from heartfly.usage.erasure import erase_customer
from heartfly.usage.seal import remove_old
from tests.usage.factory import NOW, PID, Plant
from tests.usage.oracle import Sent
from tests.usage.test_backfills import anew, closed, opened, reverted, rows_of, sent_into
from tests.usage.test_corrections import ANN, amended, voided
from tests.world import SEALER

pytestmark = pytest.mark.anyio


async def erased(plant: Plant, main: Database, subject: str) -> int:
    public_id, _ = await plant.usage.write(
        lambda tx: create_customer(tx, PID, name="His", wanted=[subject], actor=ANN, at=NOW, ids=plant.ids)
    )
    return await erase_customer(
        plant.usage, main, PID, public_id, rev=None, actor=ANN, at=NOW, ids=plant.ids, sealer=SEALER
    )


async def sent_again(plant: Plant, one: Sent) -> Outcome:
    (told,) = await plant.ingest.take(PID, [one.wire()], wire="native")
    return told.outcome


async def test_what_contradicted_an_event_that_did_not_count_any_more_goes_with_it(plant: Plant, db: Database) -> None:
    (one,) = anew(1, seed=35)
    await plant.send(one, replace(one, subject="another"))
    await voided(plant, one)

    assert 0 == await erased(plant, db, one.subject)

    assert [[], []] == await rows_of(plant, event_conflicts, event_corrections)


async def test_his_event_does_not_come_back_when_the_set_that_it_came_in_by_is_reverted(
    plant: Plant, db: Database
) -> None:
    (one,) = anew(1, seed=35)
    of_set = await opened(plant, replaces=False)
    await sent_into(plant, of_set, [one])
    await closed(plant, of_set)
    await amended(plant, one, customer_id="his")
    assert 1 == await erased(plant, db, "his")

    assert await reverted(plant, of_set)

    assert Outcome.CONFLICT == await sent_again(plant, replace(one, subject="his"))
    assert [0, 1] == [len(rows) for rows in await rows_of(plant, events, event_ids)]


async def test_what_is_sent_once_more_and_contradicts_what_was_his_is_kept_as_long_as_events_are(
    plant: Plant, db: Database
) -> None:
    async def ours() -> None:
        return None

    (one,) = anew(1, seed=35)
    await plant.send(one)
    await erased(plant, db, one.subject)
    assert Outcome.CONFLICT == await sent_again(plant, replace(one, size="7.25"))
    keep = timedelta(days=400)

    left = []
    for later in (timedelta(), timedelta(hours=2)):
        plant.clock.move_to(NOW + keep + later)
        await remove_old(plant.usage, PID, ZoneInfo("UTC"), keep=keep, now=plant.clock.now(), fence=ours)
        left.append([len(rows) for rows in await rows_of(plant, event_conflicts, event_ids)])

    assert [[1, 1], [0, 1]] == left
