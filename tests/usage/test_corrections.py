"""An event that was wrong is voided or amended: figures are as if it had come so, and what it was is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.core.amounts import Number
from heartfly.db.models import dirty_hours, event_corrections, events, usage_audit, usage_days, windows
from heartfly.db.snapshots import snapshot
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage.close_day import Closer, days_to_close
from heartfly.usage.correction_preview import Step, amendment_of, foresee_step, void_of
from heartfly.usage.correction_queries import Known, known_event
from heartfly.usage.corrections import Amended, amend, undo, void
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of, within
from tests.usage.oracle import Sent, answers

pytestmark = pytest.mark.anyio

MIDNIGHT = datetime(2026, 11, 28, tzinfo=UTC)
FROM, TO = MIDNIGHT - 2 * HOUR, MIDNIGHT + 2 * HOUR
ANN = Actor("user:ann@example.org", "192.0.2.7")
UTC_ZONE = ZoneInfo("UTC")


async def voided(plant: Plant, sent: Sent, *, reason: str = "sent twice by the crawler") -> bool:
    at = plant.clock.now()
    return await plant.usage.write(lambda tx: void(tx, PID, sent.name, reason=reason, actor=ANN, at=at, ids=plant.ids))


async def amended(plant: Plant, sent: Sent, **fields: Any) -> bool:
    at = plant.clock.now()
    return await plant.usage.write(
        lambda tx: amend(
            tx, PID, sent.name, Amended(fields),
            reason="wrong export", oldest=at - timedelta(days=400), actor=ANN, at=at, ids=plant.ids,
        )
    )  # fmt: skip


async def undone(plant: Plant, sent: Sent) -> str:
    at = plant.clock.now()
    return await plant.usage.write(lambda tx: undo(tx, PID, sent.name, actor=ANN, at=at, ids=plant.ids))


async def known(plant: Plant, sent: Sent) -> Known:
    async with plant.usage.read() as read:
        return await known_event(read, PID, sent.name)


async def filled(plant: Plant, n: int = 120) -> list[Sent]:
    await plant.all_meters()
    sent = events_of(n, seed=31, from_at=FROM, to_at=TO)
    await plant.send(*sent)
    await plant.fold()
    return sent


def told(plant: Plant) -> Any:
    return plant.told(FROM - 50 * HOUR, NOW + HOUR)


def by(one: Sent, **changes: Any) -> Sent:
    return replace(one, **changes)


async def test_a_voided_event_counts_in_no_figure_and_counts_again_when_that_is_undone(plant: Plant) -> None:
    sent = await filled(plant)
    before = await plant.rows()

    for one in sent[:7]:
        assert await voided(plant, one)
    await plant.fold()
    assert answers(sent[7:]) == told(plant) != answers(sent)

    assert ["void"] * 7 == [await undone(plant, one) for one in sent[:7]]
    await plant.fold()
    assert before == await plant.rows()


async def test_what_was_voided_is_kept_with_who_when_and_why(plant: Plant) -> None:
    sent = await filled(plant, 3)
    was = (await known(plant, sent[0])).event
    plant.clock.move_to(NOW + timedelta(minutes=5))

    await voided(plant, sent[0], reason="a test of ours")
    now = await known(plant, sent[0])

    assert (False, was) == (now.counts, now.event)
    (one,) = now.corrections
    assert ("void", ANN.name, "a test of ours", NOW + timedelta(minutes=5), was, None, None) == (
        one.kind, one.made_by, one.reason, one.made_at, one.before, one.after, one.undone_at,
    )  # fmt: skip
    await undone(plant, sent[0])
    again = await known(plant, sent[0])
    assert (True, was, ANN.name) == (again.counts, again.event, again.corrections[0].undone_by)


async def test_a_voided_event_that_is_sent_again_stays_void(plant: Plant) -> None:
    sent = await filled(plant, 3)
    await voided(plant, sent[0])

    (again,) = await plant.ingest.take(PID, [sent[0].wire()], wire="native")
    assert ("duplicate", False) == (again.outcome, await voided(plant, sent[0]))
    await plant.fold()
    assert answers(sent[1:]) == told(plant)


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({"customer_id": "c-9"}, {"subject": "c-9"}),
        ({"timestamp": (FROM + 3 * HOUR).isoformat()}, {"at": FROM + 3 * HOUR}),
        ({"event_type": "job"}, {"type": "job"}),
        (
            {"properties": {"user": "u-77", "endpoint": "GET:/c", "size": Number("0.000000000000000003")}},
            {"user": "u-77", "endpoint": "GET:/c", "size": "0.000000000000000003"},
        ),
        ({"properties": {"user": "u-1", "size": Number("5")}, "customer_id": "c-0"},
         {"user": "u-1", "size": "5", "endpoint": None, "subject": "c-0"}),
    ],
)  # fmt: skip
async def test_an_amended_event_counts_as_if_it_had_come_so(
    plant: Plant, fields: dict[str, Any], changes: dict[str, Any]
) -> None:
    sent = await filled(plant, 60)
    before = await plant.rows()
    some = [one for one in sent if one.type == "api"][:5]

    assert [True] * 5 == [await amended(plant, one, **fields) for one in some]
    await plant.fold()
    assert answers([by(one, **changes) if one in some else one for one in sent]) == told(plant)
    assert [False] * 5 == [await amended(plant, one, **fields) for one in some]

    for one in some:
        await undone(plant, one)
    await plant.fold()
    assert before == await plant.rows()


@pytest.mark.parametrize("at", [MIDNIGHT - HOUR, MIDNIGHT + HOUR])
async def test_a_correction_is_foreseen_as_it_comes_to_pass(plant: Plant, at: datetime) -> None:
    """A day's figures of the two customers, to the digit; of which one event goes and comes, to that day or another."""
    sent = await filled(plant)
    one = next(each for each in sent if (each.type, each.size) == ("api", "12") and each.at < MIDNIGHT)
    moved = by(one, subject="c-9", at=at, number=-1)
    with snapshot(plant.usage.place) as connection:
        gone = void_of(connection, PID, one.name)
        wanted = Amended({"customer_id": moved.subject, "timestamp": at.isoformat()})
        came = amendment_of(connection, PID, one.name, wanted, oldest=FROM, at=NOW)

    after = [each for each in sent if each is not one]
    assert gone is not None
    assert differing(one, sent, after) == foreseen(plant, gone)
    assert differing(one, sent, after) | differing(moved, sent, [*after, moved]) == foreseen(plant, came)


Differing = dict[tuple[date, str, str], list[Decimal | None]]
"""By day, meter and customer: before and after."""


def differing(of: Sent, before: list[Sent], after: list[Sent]) -> Differing:
    """What the figures of its day come to that an event is in: of each meter, for its customer."""
    midnight = of.at.replace(hour=0, minute=0)
    told = [answers(within(some, midnight, midnight + 24 * HOUR)) for some in (before, after)]
    return {
        (midnight.date(), key[0], key[1]): [one.get(key) for one in told] for key in answers([of]) if key[2] is None
    }


def foreseen(plant: Plant, step: Step) -> Differing:
    return {
        (one.day, one.meter, one.name): [None if text is None else Decimal(text) for text in (one.before, one.after)]
        for one in foresee_step(plant.usage.place, PID, step, "UTC")
    }


async def test_corrections_lie_upon_each_other_and_are_undone_from_above(plant: Plant) -> None:
    sent = await filled(plant, 5)
    one = sent[0]
    await amended(plant, one, customer_id="c-8")
    await amended(plant, one, customer_id="c-9")
    await voided(plant, one)

    assert ["void", "amend", "amend"] == [each.kind for each in (await known(plant, one)).corrections]
    seen = []
    for _ in range(3):
        await undone(plant, one)
        seen.append((await known(plant, one)).event.subject)
    assert ["c-9", "c-8", one.subject] == seen
    with pytest.raises(ConflictError, match="no correction"):
        await undone(plant, one)
    kept = (await known(plant, one)).corrections
    assert [(None, "c-9"), ("c-9", "c-8"), ("c-8", one.subject)] == [
        (each.after and each.after.subject, each.before.subject) for each in kept
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, ""),
        ({"transaction_id": "t-2"}, "transaction_id"),
        ({"customer_id": ""}, "customer_id"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": (NOW + timedelta(hours=24, seconds=1)).isoformat()}, "timestamp"),
        ({"timestamp": (NOW - timedelta(days=401)).isoformat()}, "timestamp"),
        ({"event_type": 5}, "event_type"),
        ({"properties": {"a\0": "1"}}, "properties"),
        ({"properties": []}, "properties"),
    ],
)
async def test_what_no_event_could_be_is_refused_and_names_the_field(
    plant: Plant, fields: dict[str, Any], field: str
) -> None:
    await plant.send(*(sent := events_of(1, seed=1, from_at=FROM, to_at=TO)))
    with pytest.raises(InvalidValueError) as raised:
        await amended(plant, sent[0], **fields)
    assert field == raised.value.field
    assert () == (await known(plant, sent[0])).corrections or [] == (await known(plant, sent[0])).corrections


async def test_what_cannot_be_corrected_is_refused(plant: Plant) -> None:
    sent = await filled(plant, 2)
    stranger = by(sent[0], number=99)
    for act in (voided(plant, stranger), amended(plant, stranger, customer_id="x"), undone(plant, stranger)):
        with pytest.raises(NotFoundError):
            await act
    with pytest.raises(InvalidValueError, match="reason"):
        await voided(plant, sent[0], reason=" ")
    await voided(plant, sent[0])
    with pytest.raises(ConflictError, match="void; undo that first"):
        await amended(plant, sent[0], customer_id="x")


async def test_a_day_that_is_sealed_stays_what_it_was(plant: Plant) -> None:
    sent = await filled(plant, 20)
    await voided(plant, sent[3])
    await plant.fold()
    await plant.usage.write(lambda tx: tx.conn.execute(sa.update(windows).values(sealed_at=NOW)))
    for act in (voided(plant, sent[0]), amended(plant, sent[1], customer_id="x"), undone(plant, sent[3])):
        with pytest.raises(ConflictError, match="sealed"):
            await act


async def test_a_closed_day_is_amended_by_what_was_corrected_in_it(plant: Plant) -> None:
    day = date(2026, 11, 27)
    midnight = datetime(2026, 11, 27, tzinfo=UTC)
    await plant.all_meters()
    sent = events_of(20, seed=5, from_at=midnight, to_at=midnight + 3 * HOUR)
    await plant.send(*sent)
    closer = Closer(plant.usage, plant.folder, plant.clock, plant.ids)
    assert "final" == (await closer.close(PID, day, UTC_ZONE)).state

    for one in sent:
        await voided(plant, one)
    await plant.fold()
    # Also when nothing is left in it, and it is older than the project's job.
    assert [day] == await days_to_close(plant.usage, PID, UTC_ZONE, since=NOW.date(), today=NOW.date())
    closed = await closer.close(PID, day, UTC_ZONE)
    assert ("amended", 0, {}) == (closed.state, closed.figures["events_raw"], told(plant))

    for one in sent:
        await undone(plant, one)
    back = await closer.close(PID, day, UTC_ZONE)
    assert ("amended", 20, answers(within(sent, midnight, midnight + 24 * HOUR))) == (
        back.state, back.figures["events_raw"], told(plant),
    )  # fmt: skip


async def test_the_change_its_mark_and_its_entry_are_one_transaction(plant: Plant) -> None:
    sent = await filled(plant, 4)

    async def state() -> tuple[int, ...]:
        tables = (events, event_corrections, dirty_hours, usage_audit)
        async with plant.usage.read() as read:
            return tuple(
                [(await read.execute(sa.select(sa.func.count()).select_from(one))).scalar_one() for one in tables]
            )

    assert (4, 0, 0, 0) == await state()
    at = plant.clock.now()

    def work(tx: Any) -> None:
        void(tx, PID, "t-0", reason="x", actor=ANN, at=at, ids=plant.ids)
        raise ConflictError("and then the power went")

    with pytest.raises(ConflictError, match="power"):
        await plant.usage.write(work)
    assert (4, 0, 0, 0) == await state()
    await voided(plant, sent[0])
    assert (3, 1, 1, 1) == await state()
    async with plant.usage.read() as read:
        assert [] == (await read.execute(sa.select(usage_days.c.day))).all()
