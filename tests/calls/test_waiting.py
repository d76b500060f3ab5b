"""What is not folded yet is read once for all that is asked together, and never taken for what it was before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import CLI
from heartfly.calls import waiting as under_test
from heartfly.calls.asked import Filters
from heartfly.calls.figures import figures
from heartfly.calls.known import share
from heartfly.calls.waiting import Waiting
from heartfly.core.calls import Dimension
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.corrections import void
from tests.calls.bill import FROM, HOUR, TO, Bill, Told, by_key, expected, make_bill, readings
from tests.calls.oracle import TARIFFS, Call, brute_force, calls_of
from tests.usage.factory import NOW, PID

pytestmark = pytest.mark.anyio

D = Dimension
Question = tuple[Sequence[Dimension], Filters, datetime, datetime]
ODD = timedelta(minutes=17, seconds=3, microseconds=1)
QUESTIONS: Sequence[Question] = [
    ((), {}, FROM, TO),
    ((D.PROVIDER,), {}, FROM, TO),
    ((D.PROVIDER, D.MODEL), {}, FROM + ODD, TO - ODD),
    ((D.STATUS,), {D.PROVIDER: ["openai"], D.STATUS: ["2xx", "429"]}, FROM, TO),
    ((D.CUSTOMER,), {D.PROVIDER: ["openai"]}, FROM + 5 * HOUR, TO),
    ((D.TAG,), {}, FROM, TO - 3 * HOUR),
    ((D.USER,), {D.PROVIDER: ["openai", "mapbox"]}, FROM, TO),
]


@pytest.fixture
async def bill(usage_db: Database, ids: IdSource) -> Bill:
    made = make_bill(usage_db, ids)
    await made.price(*TARIFFS)
    return made


async def told(read: AsyncConnection, question: Question) -> dict[tuple[str, ...], Told]:
    by, filters, from_at, to_at = question
    return dict(by_key(await figures(read, PID, from_at, to_at, by=by, filters=filters, now=NOW), by))


async def total(read: AsyncConnection) -> Told | None:
    return (await told(read, QUESTIONS[0])).get(())


def wanted(calls: Sequence[Call]) -> Told:
    return expected(brute_force(calls, TARIFFS, [], FROM, TO)[()])


async def test_what_is_asked_in_one_transaction_is_read_once_and_is_what_each_question_finds_alone(bill: Bill) -> None:
    await bill.call(*calls_of(300, seed=31, from_at=FROM, to_at=TO))
    alone = []
    for question in QUESTIONS:
        with readings() as said_alone:
            async with bill.usage.read() as read:
                found = await told(read, question)
        alone.append((found, len(said_alone)))

    with readings() as said:
        async with bill.usage.read() as read:
            together = [await told(read, question) for question in QUESTIONS]

    assert [found for found, _ in alone] == together
    assert all(together)
    assert alone[0][1] == len(said)  # the first one is of all of that time
    assert all(n > 0 for _, n in alone)


async def test_what_one_transaction_has_read_serves_another_that_sees_the_same(bill: Bill) -> None:
    calls = calls_of(80, seed=32, from_at=FROM, to_at=TO)
    await bill.call(*calls)
    waiting = Waiting(PID)
    for is_first in (True, False, False):
        with readings() as said:
            async with bill.usage.read() as read:
                share(read, PID, waiting)
                assert wanted(calls) == await total(read)
        assert is_first == bool(said)


async def test_what_came_went_or_is_priced_otherwise_since_is_in_the_next_answer(bill: Bill) -> None:
    calls = calls_of(60, seed=33, from_at=FROM, to_at=TO)
    await bill.call(*calls[:40])
    waiting = Waiting(PID)

    async def asked() -> Told | None:
        async with bill.usage.read() as read:
            share(read, PID, waiting)
            return await total(read)

    assert wanted(calls[:40]) == await asked()
    await bill.call(*calls[40:])
    assert wanted(calls) == await asked()
    await bill.usage.write(lambda tx: void(tx, PID, calls[0].name, reason="test", actor=CLI, at=NOW, ids=bill.ids))
    assert wanted(calls[1:]) == await asked()
    await bill.price()
    unpriced = await asked()
    assert unpriced == expected(brute_force(calls[1:], [], [], FROM, TO)[()])
    assert unpriced != wanted(calls[1:])


async def test_a_transaction_that_is_older_still_finds_what_was_there_when_it_began(bill: Bill) -> None:
    calls = calls_of(60, seed=34, from_at=FROM, to_at=TO)
    await bill.call(*calls[:40])
    waiting = Waiting(PID)
    async with bill.usage.read() as older:
        share(older, PID, waiting)
        assert (await older.execute(sa.text("SELECT count(*) FROM events"))).scalar_one() == 40  # its state is this
        await bill.call(*calls[40:])
        async with bill.usage.read() as newer:
            share(newer, PID, waiting)

            assert wanted(calls) == await total(newer)
            assert wanted(calls[:40]) == await total(older)
            assert wanted(calls) == await total(newer)


async def test_no_more_is_kept_than_may_be_and_answers_stay_what_they_are(
    bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "MOST", 50)
    calls = calls_of(90, seed=35, from_at=FROM, to_at=TO)
    await bill.call(*calls)
    async with bill.usage.read() as read:
        for n in range(0, 34, 3):
            span = FROM + n * HOUR, FROM + (n + 3) * HOUR
            some = brute_force(calls, TARIFFS, [], *span)
            assert {key: expected(sums) for key, sums in some.items()} == await told(read, ((), {}, *span))
        assert wanted(calls) == await total(read)


async def test_what_is_folded_and_what_is_not_make_one_sum(bill: Bill) -> None:
    calls = calls_of(120, seed=36, from_at=FROM, to_at=TO)
    await bill.call(*calls[:60])
    await bill.fold()
    await bill.call(*calls[60:])
    async with bill.usage.read() as read:
        for by in ((), (D.MODEL,), (D.TAG, D.PROVIDER), (D.CUSTOMER,)):
            some = brute_force(calls, TARIFFS, [one.value for one in by], FROM, TO)
            found = await told(read, (by, {}, FROM, TO))
            assert {key: expected(sums) for key, sums in some.items()} == found
