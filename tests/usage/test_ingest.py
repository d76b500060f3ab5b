"""Events in: once and only once, whatever is sent again, cut off, mixed or wrong."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typing_extensions import override

from heartfly.clock import SystemClock
from heartfly.core.amounts import Number
from heartfly.core.events import Event
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import dead_letters, dirty_hours, event_conflicts, event_ids, events, usage_names
from heartfly.db.parts import USAGE
from heartfly.usage.apply import Batch, EventApplier, Outcome, Told
from heartfly.usage.ingest import EventIngest, Unreadable
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 28, 13, 30, tzinfo=UTC)
KEEP = timedelta(days=400)
PID = 7


def event(number: int, **changes: Any) -> dict[str, Any]:
    made = {
        "transaction_id": f"t-{number}",
        "customer_id": f"c-{number % 3}",
        "timestamp": (NOW - timedelta(minutes=number)).isoformat(),
        "event_type": "api.request",
        "properties": {"size": Number(number), "region": "eu"},
    }
    return {name: value for name, value in (made | changes).items() if value is not ...}


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
def ingest(usage_db: Database, ids: IdSource, clock: SimClock) -> EventIngest:
    return EventIngest(usage_db, EventApplier(ids), clock, keep=KEEP)


async def take(ingest: EventIngest, *found: Any, pid: int = PID, **given: Any) -> list[Told]:
    return await ingest.take(pid, found, wire="native", **given)


async def outcomes(ingest: EventIngest, *found: Any, **given: Any) -> list[str]:
    return [one.outcome.value for one in await take(ingest, *found, **given)]


async def rows(db: Database, table: sa.Table) -> list[Any]:
    async with db.read() as read:
        return list((await read.execute(sa.select(table).order_by(*table.primary_key.columns))).all())


async def test_an_event_is_kept_as_it_came_and_marks_its_hour(ingest: EventIngest, usage_db: Database) -> None:
    assert ["accepted"] == await outcomes(ingest, event(45))

    (row,) = await rows(usage_db, events)
    names = {name.id: (name.kind, name.text) for name in await rows(usage_db, usage_names)}
    assert (PID, NOW, NOW - timedelta(minutes=45)) == (row.pid, row.received_at, row.at)
    assert ("t-45", '{"region":"eu","size":45}') == (row.transaction_id, row.properties)
    assert (("type", "api.request"), ("subject", "c-0")) == (names[row.type_id], names[row.subject_id])
    (mark,) = await rows(usage_db, dirty_hours)
    assert (datetime(2026, 11, 28, 12, tzinfo=UTC), row.id) == (mark.hour, mark.seq)


@pytest.mark.parametrize("uuid", ["0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-869f-a165-70867728950e"])
async def test_a_transaction_id_is_told_as_it_was_sent_whatever_it_looks_like(
    ingest: EventIngest, usage_db: Database, uuid: str
) -> None:
    sent = [uuid, uuid.upper(), uuid.replace("-", ""), f"{{{uuid}}}", uuid[:-1], f"{uuid[:-1]}g", "é" * 36, "\0x1f"[1:]]

    assert ["accepted"] * len(sent) == await outcomes(ingest, *(event(1, transaction_id=name) for name in sent))
    assert ["duplicate"] * len(sent) == await outcomes(ingest, *(event(1, transaction_id=name) for name in sent))

    assert sent == [row.transaction_id for row in await rows(usage_db, events)]
    async with usage_db.read() as read:
        found = sa.select(events.c.transaction_id).where(events.c.transaction_id.in_([uuid, "x1f"]))
        assert {uuid, "x1f"} == set((await read.execute(found)).scalars())


async def test_what_is_sent_again_is_a_duplicate_and_the_first_one_stays(
    ingest: EventIngest, usage_db: Database, clock: SimClock
) -> None:
    await take(ingest, event(1))
    clock.move_to(NOW + timedelta(days=300))

    assert ["duplicate"] == await outcomes(ingest, event(1))
    assert ["duplicate"] == await outcomes(ingest, event(1, properties={"region": "eu", "size": "1"}))

    assert 1 == len(await rows(usage_db, events))
    assert [] == await rows(usage_db, event_conflicts)


async def test_another_body_under_the_same_id_is_a_conflict_that_is_kept_aside(
    ingest: EventIngest, usage_db: Database
) -> None:
    await take(ingest, event(1))

    assert ["conflict", "conflict"] == await outcomes(ingest, event(1, customer_id="c-9"), event(1, event_type="other"))

    (first,) = await rows(usage_db, events)
    aside = await rows(usage_db, event_conflicts)
    assert [first.id] * 2 == [row.event_id for row in aside]
    assert [("c-9", "api.request"), ("c-1", "other")] == [(row.subject, row.type) for row in aside]
    assert ["t-1", "t-1"] == [row.transaction_id for row in aside]


async def test_within_a_batch_the_first_one_counts(ingest: EventIngest, usage_db: Database) -> None:
    told = await outcomes(ingest, event(1), event(1), event(2), event(1, customer_id="c-9"))

    assert ["accepted", "duplicate", "accepted", "conflict"] == told
    assert ["t-1", "t-2"] == [row.transaction_id for row in await rows(usage_db, events)]


async def test_of_two_requests_in_one_commit_the_first_one_counts(
    ingest: EventIngest, usage_db: Database, ids: IdSource
) -> None:
    def batch(*found: dict[str, Any]) -> Batch:
        made = [one for one in map(ingest.item, found) if isinstance(one, Event)]
        return Batch(PID, "native", NOW, made)

    first, second = batch(event(1), event(2)), batch(event(3), event(2), event(1, customer_id="c-9"))

    told = await usage_db.write(lambda tx: EventApplier(ids).apply(tx, [first, second]))

    assert [["accepted"] * 2, ["accepted", "duplicate", "conflict"]] == [[one.outcome.value for one in b] for b in told]
    assert ["t-1", "t-2", "t-3"] == [row.transaction_id for row in await rows(usage_db, events)]
    assert ["c-9"] == [row.subject for row in await rows(usage_db, event_conflicts)]


async def test_events_are_kept_alike_whether_all_are_new_or_one_was_known(
    ingest: EventIngest, usage_db: Database
) -> None:
    uuid = "0f8fad5b-d9cb-469f-a165-70867728950{:02}"
    new = [event(number, transaction_id=uuid.format(number)) for number in range(40)]
    again = [event(100 + number, transaction_id=uuid.format(40 + number)) for number in range(40)]
    await take(ingest, *new)

    await take(ingest, new[0], *again)

    stored = await rows(usage_db, events)
    assert [one["transaction_id"] for one in [*new, *again]] == [row.transaction_id for row in stored]
    assert [one["timestamp"] for one in [*new, *again]] == [row.at.isoformat() for row in stored]
    assert [(PID, NOW, stored[0].type_id)] * 80 == [(row.pid, row.received_at, row.type_id) for row in stored]
    assert len({row.subject_id for row in stored}) == len({one["customer_id"] for one in new})
    newest = {row.at.replace(minute=0): row.id for row in sorted(stored, key=lambda row: row.id)}
    assert newest == {mark.hour: mark.seq for mark in await rows(usage_db, dirty_hours)}
    assert [row.id for row in stored] == sorted(row.event_id for row in await rows(usage_db, event_ids))


async def test_projects_know_nothing_of_one_another(ingest: EventIngest, usage_db: Database) -> None:
    assert ["accepted"] == await outcomes(ingest, event(1))
    assert ["accepted"] == await outcomes(ingest, event(1, customer_id="c-9"), pid=8)

    assert [7, 8] == [row.pid for row in await rows(usage_db, events)]
    assert {7, 8} == {row.pid for row in await rows(usage_db, usage_names)}


async def test_what_is_wrong_lies_in_the_dead_letter_and_its_neighbours_are_kept(
    ingest: EventIngest, usage_db: Database
) -> None:
    told = await take(
        ingest,
        event(1),
        event(2, timestamp="yesterday"),
        Unreadable('{"transaction_id": ', "is no JSON"),
        [1, "x\0y"],
        event(3, customer_id="\ud800"),
        event(4),
    )

    assert [Outcome.ACCEPTED, *[Outcome.REJECTED] * 4, Outcome.ACCEPTED] == [one.outcome for one in told]
    assert ["timestamp", "", "", "customer_id"] == [one.field for one in told[1:5]]
    letters = await rows(usage_db, dead_letters)
    assert [one.reason for one in told[1:5]] == [row.reason for row in letters]
    assert {("native", "open", NOW)} == {(row.wire, row.state, row.received_at) for row in letters}
    assert '"timestamp":"yesterday"' in letters[0].raw
    assert '{"transaction_id": ' == letters[1].raw
    assert ["t-1", "t-4"] == [row.transaction_id for row in await rows(usage_db, events)]


async def test_what_happened_before_events_are_kept_is_told_apart(ingest: EventIngest) -> None:
    (told,) = await take(ingest, event(1, timestamp=(NOW - KEEP - timedelta(seconds=1)).isoformat()))

    assert (Outcome.REJECTED, "timestamp") == (told.outcome, told.field)
    assert "from when on events are kept" in told.reason


async def test_a_dry_run_tells_the_same_and_stores_nothing(ingest: EventIngest, usage_db: Database) -> None:
    await take(ingest, event(1))
    found = [event(1), event(1, customer_id="c-9"), event(2), event(2), event(2, event_type="x"), event(3, timestamp=1)]

    foretold = await take(ingest, *found, dry_run=True)
    assert 1 == len(await rows(usage_db, events))
    assert [] == await rows(usage_db, dead_letters)

    assert foretold == await take(ingest, *found)
    assert ["duplicate", "conflict", "accepted", "duplicate", "conflict", "rejected"] == [
        one.outcome.value for one in foretold
    ]


async def test_an_empty_batch_is_nothing(ingest: EventIngest, usage_db: Database) -> None:
    assert [] == await take(ingest)
    assert [] == await take(ingest, dry_run=True)
    assert [] == await rows(usage_db, events)


@pytest.mark.parametrize("named", ["t-{:d}", "019adf55-{:04x}-8123-8456-789abcdef012"])
async def test_shuffled_repeated_and_at_one_time_each_counts_once(
    ingest: EventIngest, usage_db: Database, named: str
) -> None:
    draw = random.Random(5)
    sent = [event(number, transaction_id=named.format(number)) for number in range(400)] * 2
    sent += [
        event(number, transaction_id=named.format(number), customer_id="c-9") for number in range(0, 400, 10)
    ]  # fmt: skip
    draw.shuffle(sent)
    batches = [sent[start : start + 40] for start in range(0, len(sent), 40)]

    told = await asyncio.gather(*(outcomes(ingest, *batch) for batch in batches + batches[:5]))

    kept = await rows(usage_db, events)
    assert 400 == len(kept) == len({row.transaction_id for row in kept}) == len(await rows(usage_db, event_ids))
    counts = Counter(one for batch in told for one in batch)
    assert 400 == counts["accepted"]
    assert counts["conflict"] == len(await rows(usage_db, event_conflicts))
    assert 0 == counts["rejected"]


async def test_names_are_kept_once_also_by_a_writer_that_knows_them_by_heart(
    ingest: EventIngest, usage_db: Database, clock: SimClock, ids: IdSource
) -> None:
    for minute in range(4):
        clock.move_to(NOW + timedelta(minutes=minute))
        await take(ingest, *(event(100 * minute + number) for number in range(9)))
    another = EventIngest(usage_db, EventApplier(ids), clock, keep=KEEP)
    await take(another, event(900), event(901, customer_id="new"))

    names = await rows(usage_db, usage_names)
    assert sorted(["api.request", "c-0", "c-1", "c-2", "new"]) == sorted(row.text for row in names)
    assert {row.id for row in names} == {row.type_id for row in await rows(usage_db, events)} | {
        row.subject_id for row in await rows(usage_db, events)
    }


async def test_a_type_and_a_customer_may_have_one_name(ingest: EventIngest, usage_db: Database) -> None:
    await take(ingest, event(1, customer_id="same", event_type="same"))

    (row,) = await rows(usage_db, events)
    assert row.type_id != row.subject_id


async def test_names_of_a_transaction_that_failed_are_not_remembered(
    usage_db: Database, ids: IdSource, clock: SimClock
) -> None:
    class Failing(EventApplier):
        fails = True

        @override
        def apply(self, tx: Tx, batches: Sequence[Batch]) -> list[list[Told]]:
            told = super().apply(tx, batches)
            if self.fails:
                raise RuntimeError("as if the disk were gone")
            return told

    applier = Failing(ids)
    with pytest.raises(RuntimeError):
        await take(EventIngest(usage_db, applier, clock, keep=KEEP), event(1))
    applier.fails = False
    await take(EventIngest(usage_db, applier, clock, keep=KEEP), event(1))

    (row,) = await rows(usage_db, events)
    assert {row.type_id, row.subject_id} == {name.id for name in await rows(usage_db, usage_names)}


async def test_two_nodes_that_take_the_same_events_keep_each_once(
    usage_db: Database, database_url: str, tmp_path: Path, clock: SimClock
) -> None:
    if not usage_db.on_postgres:
        return
    other = Database(url=database_url, data_dir=tmp_path, clock=SystemClock(), node_id=2, part=USAGE)
    other.start()
    nodes = [
        EventIngest(db, EventApplier(IdSource(number)), clock, keep=KEEP)
        for number, db in enumerate((usage_db, other), start=1)
    ]
    found = [[event(number) for number in range(start, start + 20)] for start in range(0, 400, 20)]

    told = await asyncio.gather(*(outcomes(node, *batch) for batch in found for node in nodes))
    await other.stop()

    assert {"accepted": 400, "duplicate": 400} == Counter(one for batch in told for one in batch)
    assert 400 == len(await rows(usage_db, events))
