"""A set of events comes in together or not at all: told before, exact after, and as it was when it is reverted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.core.amounts import text_of
from heartfly.core.events import Event, Rejected, event_of
from heartfly.db.database import Database
from heartfly.db.models import backfill_events, backfills, event_conflicts, event_corrections, event_ids, events
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage.apply import Told
from heartfly.usage.backfill_preview import Foreseen, foresee
from heartfly.usage.backfills import Wanted, close_set, fill, open_set, revert_set
from heartfly.usage.customers import create_customer
from heartfly.usage.erasure import erase_customer
from heartfly.usage.seal import remove_old
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of
from tests.usage.oracle import Answer, Sent, answers
from tests.usage.test_corrections import ANN, FROM, TO, amended, filled, known, told, undone, voided
from tests.world import SEALER

pytestmark = pytest.mark.anyio

OLDEST = NOW - timedelta(days=400)


async def opened(plant: Plant, *, replaces: bool = True, name: str = "the export of Friday", **narrowed: Any) -> str:
    asked: dict[str, Any] = {"name": name, "from_at": FROM, "to_at": TO, "replaces": replaces}
    wanted = Wanted(**asked | narrowed)
    return await plant.usage.write(
        lambda tx: open_set(tx, PID, wanted, oldest=OLDEST, actor=ANN, at=plant.clock.now(), ids=plant.ids)
    )


async def sent_into(plant: Plant, public_id: str, found: Sequence[Sent]) -> list[Told]:
    items: list[Event | Rejected] = [event_of(one.wire(), now=NOW, oldest=OLDEST) for one in found]
    return await plant.usage.write(
        lambda tx: fill(tx, PID, public_id, items, actor=ANN, at=plant.clock.now(), ids=plant.ids)
    )


async def closed(plant: Plant, public_id: str, *, empty: bool = False) -> dict[str, int]:
    counts = await plant.usage.write(
        lambda tx: close_set(tx, PID, public_id, empty=empty, actor=ANN, at=plant.clock.now(), ids=plant.ids)
    )
    return {name: n for name, n in counts.items() if n}


async def reverted(plant: Plant, public_id: str) -> bool:
    return await plant.usage.write(
        lambda tx: revert_set(tx, PID, public_id, oldest=OLDEST, actor=ANN, at=plant.clock.now(), ids=plant.ids)
    )


def foreseen(plant: Plant, public_id: str) -> Foreseen:
    return foresee(plant.usage.place, PID, public_id, "UTC")


def anew(n: int, *, seed: int, first: int = 1_000) -> list[Sent]:
    """Events that nobody has heard of."""
    return [replace(one, number=one.number + first) for one in events_of(n, seed=seed, from_at=FROM, to_at=TO)]


async def rows_of(plant: Plant, *tables: sa.Table) -> list[Any]:
    async with plant.usage.read() as read:
        return [(await read.execute(sa.select(one).order_by(*one.primary_key.columns))).all() for one in tables]


@pytest.mark.parametrize("replaces", [False, True])
async def test_a_set_adds_or_replaces_and_reverting_it_puts_all_back(plant: Plant, *, replaces: bool) -> None:
    sent, other = await filled(plant), anew(90, seed=32)
    before, raw = await plant.rows(), await rows_of(plant, events, event_ids)
    one = await opened(plant, replaces=replaces)
    assert {"accepted"} == {each.outcome.value for each in await sent_into(plant, one, other)}
    await plant.fold()
    assert before == await plant.rows()

    assert {"added": 90} | ({"replaced": len(sent)} if replaces else {}) == await closed(plant, one)
    await plant.fold()
    assert answers(other if replaces else [*sent, *other]) == told(plant)

    assert await reverted(plant, one)
    assert raw == await rows_of(plant, events, event_ids)
    await plant.fold()
    assert before == await plant.rows()
    assert not await reverted(plant, one)


async def test_the_same_ids_with_right_figures_take_the_place_of_the_wrong_ones(plant: Plant) -> None:
    sent = await filled(plant, 60)
    right = [replace(one, size="7.25", user="u-x") if one.number % 3 == 0 else one for one in sent[:50]]
    one = await opened(plant)
    await sent_into(plant, one, right)

    assert {"same": 33, "changed": 17, "replaced": 10} == await closed(plant, one)
    await plant.fold()
    assert answers(right) == told(plant)
    changed = await known(plant, right[0])
    (why,) = changed.corrections
    assert ("amend", "the export of Friday", one, ANN.name) == (why.kind, why.reason, why.backfill, why.made_by)
    gone = await known(plant, sent[55])
    assert (False, "replace") == (gone.counts, gone.corrections[0].kind)
    with pytest.raises(ConflictError, match="only the backfill as a whole"):
        await undone(plant, right[0])
    with pytest.raises(ConflictError, match="a backfill has replaced it"):
        await voided(plant, sent[55])


async def test_only_the_types_and_customers_of_a_set_are_replaced_and_taken(plant: Plant) -> None:
    sent = await filled(plant)
    customer = await plant.usage.write(
        lambda tx: create_customer(tx, PID, name="A", wanted=["c-1", "c-2"], actor=ANN, at=NOW, ids=plant.ids)
    )
    one = await opened(plant, event_types=["api"], customers=[customer[0], "c-3"])
    mine = [each for each in anew(60, seed=33) if each.type == "api" and each.subject in {"c-1", "c-2", "c-3"}]
    strange = [
        replace(mine[0], number=1, type="job"),
        replace(mine[0], number=2, subject="c-4"),
        replace(mine[0], number=3, at=TO),
        replace(mine[0], number=4, at=FROM - timedelta(microseconds=1)),
    ]

    fate = await sent_into(plant, one, [*mine, *strange])
    assert ["event_type", "customer_id", "timestamp", "timestamp"] == [each.field for each in fate[-4:]]
    await closed(plant, one)
    await plant.fold()
    stays = [each for each in sent if each.type != "api" or each.subject not in {"c-1", "c-2", "c-3"}]
    assert answers([*stays, *mine]) == told(plant)


async def test_what_is_not_the_set_s_to_change_does_not_come_in(plant: Plant) -> None:
    sent = await filled(plant, 20)
    outside = Sent(500, FROM - HOUR, "c-1", "api", None, "3", "u")
    await plant.send(outside)
    await voided(plant, sent[0])
    one = await opened(plant)
    sent_in = [sent[0], replace(sent[0], number=500), *sent[1:]]
    await sent_into(plant, one, sent_in)

    assert {"duplicate": 1, "conflict": 1, "same": 19} == await closed(plant, one)
    await plant.fold()
    assert answers([outside, *sent[1:]]) == told(plant)


async def test_sent_again_closed_again_and_reverted_again_changes_nothing(plant: Plant) -> None:
    await filled(plant, 10)
    other = anew(20, seed=34)
    one = await opened(plant)
    await sent_into(plant, one, other)
    again = await sent_into(plant, one, [*other[:2], replace(other[2], size="9999"), *anew(1, seed=1, first=9_000) * 2])
    assert ["duplicate", "duplicate", "conflict", "accepted", "duplicate"] == [each.outcome.value for each in again]

    counts = await closed(plant, one)
    raw = await rows_of(plant, events, event_ids, event_corrections, backfills)
    assert (counts, raw) == (
        await closed(plant, one),
        await rows_of(plant, events, event_ids, event_corrections, backfills),
    )
    with pytest.raises(ConflictError, match="is closed"):
        await sent_into(plant, one, other)
    await reverted(plant, one)
    with pytest.raises(ConflictError, match="reverted"):
        await closed(plant, one)


async def test_an_open_set_that_is_given_up_counts_nothing(plant: Plant) -> None:
    await filled(plant, 10)
    before = await plant.rows()
    one = await opened(plant)
    await sent_into(plant, one, anew(5, seed=35))
    assert await reverted(plant, one)
    await plant.fold()
    assert before == await plant.rows()


async def test_what_contradicted_events_of_a_set_that_was_reverted_goes_when_they_would_have(plant: Plant) -> None:
    async def ours() -> None:
        return None

    one = await opened(plant, replaces=False)
    (new,) = anew(1, seed=35)
    await sent_into(plant, one, [new])
    await closed(plant, one)
    await plant.ingest.take(PID, [new.wire() | {"customer_id": "another"}], wire="native")
    await reverted(plant, one)
    keep, zone, of_set = timedelta(days=400), ZoneInfo("UTC"), (event_conflicts, backfill_events)

    plant.clock.move_to(new.at + keep)
    await remove_old(plant.usage, PID, zone, keep=keep, now=plant.clock.now(), fence=ours)
    assert [1, 1] == [len(rows) for rows in await rows_of(plant, *of_set)]
    plant.clock.move_to(new.at + keep + timedelta(hours=2))
    await remove_old(plant.usage, PID, zone, keep=keep, now=plant.clock.now(), fence=ours)
    assert [0, 0] == [len(rows) for rows in await rows_of(plant, *of_set)]


async def test_of_a_customer_who_is_erased_nothing_that_contradicted_a_reverted_set_stays(
    plant: Plant, db: Database
) -> None:
    (new,) = anew(1, seed=35)
    uuid = await plant.usage.write(
        lambda tx: create_customer(tx, PID, name="His", wanted=[new.subject], actor=ANN, at=NOW, ids=plant.ids)
    )
    one = await opened(plant, replaces=False)
    await sent_into(plant, one, [new])
    await closed(plant, one)
    await plant.ingest.take(PID, [new.wire() | {"customer_id": "another"}], wire="native")
    await reverted(plant, one)

    await erase_customer(plant.usage, db, PID, uuid[0], rev=None, actor=ANN, at=NOW, ids=plant.ids, sealer=SEALER)

    assert [[], []] == await rows_of(plant, event_conflicts, backfill_events)


async def test_sets_lie_upon_each_other_and_what_one_dropped_another_brings_back(plant: Plant) -> None:
    sent = await filled(plant, 30)
    wrong, right = await opened(plant), await opened(plant, name="and once more")
    await sent_into(plant, wrong, sent[:10])
    assert {"same": 10, "replaced": 20} == await closed(plant, wrong)
    await sent_into(plant, right, sent[:25])
    assert {"same": 10, "again": 15} == await closed(plant, right)
    await plant.fold()
    assert answers(sent[:25]) == told(plant)

    with pytest.raises(ConflictError, match="again by another backfill"):
        await reverted(plant, wrong)
    await voided(plant, sent[20])
    with pytest.raises(ConflictError, match=r"'t-20' was voided or amended since"):
        await reverted(plant, right)
    await undone(plant, sent[20])
    await reverted(plant, right)
    await plant.fold()
    assert answers(sent[:10]) == told(plant)
    await reverted(plant, wrong)
    await plant.fold()
    assert answers(sent) == told(plant)


async def test_a_set_upon_a_set_is_reverted_first(plant: Plant) -> None:
    sent = await filled(plant, 12)
    first, second = await opened(plant), await opened(plant)
    await sent_into(plant, first, [replace(one, size="1.5") for one in sent])
    await closed(plant, first)
    await sent_into(plant, second, [replace(one, size="2.5") for one in sent])
    assert {"changed": 12} == await closed(plant, second)
    with pytest.raises(ConflictError, match="changed by another backfill since"):
        await reverted(plant, first)


async def test_an_empty_set_takes_away_only_when_that_is_meant(plant: Plant) -> None:
    sent = await filled(plant, 8)
    one = await opened(plant)
    with pytest.raises(ConflictError, match="holds no events"):
        await closed(plant, one)
    await plant.fold()
    assert answers(sent) == told(plant)
    assert {"replaced": 8} == await closed(plant, one, empty=True)
    await plant.fold()
    assert {} == told(plant)


@pytest.mark.parametrize("replaces", [False, True])
async def test_the_preview_says_to_the_digit_what_closing_comes_to(plant: Plant, *, replaces: bool) -> None:
    await plant.usage.write(
        lambda tx: create_customer(tx, PID, name="Acme", wanted=["c-1", "c-2"], actor=ANN, at=NOW, ids=plant.ids)
    )
    sent = await filled(plant, 80)
    await amended(plant, sent[0], customer_id="c-3")
    await plant.fold()
    other = [*(replace(one, size="0.000000000000000007") for one in sent[5:30]), *anew(30, seed=36)]
    one = await opened(plant, replaces=replaces)
    await sent_into(plant, one, other)

    ahead = foreseen(plant, one)
    before = by_day(plant)
    counts = await closed(plant, one)
    await plant.fold()
    after = by_day(plant)

    assert counts == {name: n for name, n in ahead.counts.items() if n}
    expected = {key: (before.get(key), after.get(key)) for key in before.keys() | after.keys()}
    assert {key: both for key, both in expected.items() if both[0] != both[1]} == {
        (str(each.day), each.meter, each.name): (each.before, each.after)
        for each in ahead.changes
        if each.before != each.after and each.meter not in {"users", "latest"}
    }
    assert {"Acme", "c-3"} <= {each.name for each in ahead.changes}
    assert (counts, []) == ({n: c for n, c in foreseen(plant, one).counts.items() if c}, foreseen(plant, one).changes)


def by_day(plant: Plant) -> dict[tuple[str, str, str], str]:
    """What the rollups come to, by day, meter and customer; c-1 and c-2 are one."""
    found: dict[tuple[str, str, str], str] = {}
    day = datetime(2026, 11, 27, tzinfo=NOW.tzinfo)
    while day < NOW:
        answer: Answer = plant.told(day, day + 24 * HOUR)
        acme: dict[str, list[Any]] = {}
        for (meter, subject, group), value in answer.items():
            if group is not None or meter in {"users", "latest"}:
                continue
            if subject in {"c-1", "c-2"}:
                acme.setdefault(meter, []).append(value)
            else:
                found[str(day.date()), meter, subject] = exact(value)
        for meter, values in acme.items():
            found[str(day.date()), meter, "Acme"] = exact(max(values) if meter == "peak" else added(values))
        day += 24 * HOUR
    return found


def added(values: list[Decimal]) -> Decimal:
    whole = Decimal(0)
    for value in values:
        whole = Context(prec=100).add(whole, value)
    return whole


def exact(value: Any) -> str:
    return text_of(int(Context(prec=100).scaleb(value, 18)))


async def test_a_set_that_is_none_is_refused_and_names_the_field(plant: Plant) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"name": " "}, "name"),
        ({"from_at": OLDEST - HOUR}, "from"),
        ({"to_at": FROM}, "to"),
        ({"to_at": NOW + timedelta(hours=25)}, "to"),
        ({"event_types": ["a", "x" * 129]}, "event_types[1]"),
        ({"customers": ["\0"]}, "customers[0]"),
        ({"customers": ["c"] * 101}, "customers"),
    ]
    for changes, field in wrong:
        with pytest.raises(InvalidValueError) as raised:
            await opened(plant, **changes)
        assert field == raised.value.field
    for public_id in ("x", "0b7f4f36-1d29-4a6d-9b1e-000000000000"):
        with pytest.raises(NotFoundError):
            await closed(plant, public_id)


async def test_whatever_is_done_in_whatever_order_the_figures_are_those_of_what_counts(plant: Plant) -> None:
    """Voids, amendments and sets at random, and all of it taken back: compared with brute force after each."""
    draw = random.Random(41)
    sent = await filled(plant, 60)
    start = await plant.rows()
    counting = {one.number: one for one in sent}
    back: list[tuple[str, Any, dict[int, Sent]]] = []
    for step in range(12):
        had = dict(counting)
        match draw.choice(["void", "amend", "set", "undo"]):
            case "void" if counting:
                one = counting.pop(draw.choice(sorted(counting)))
                await voided(plant, one)
                back.append(("event", one, had))
            case "amend" if counting:
                one = counting[draw.choice(sorted(counting))]
                to = f"c-{draw.randrange(9)}"
                if await amended(plant, one, customer_id=to):
                    back.append(("event", one, had))
                counting[one.number] = replace(one, subject=to)
            case "set":
                replaces = draw.random() < 0.5
                public_id = await opened(plant, replaces=replaces)
                some = [replace(counting[n], size="3.5") for n in draw.sample(sorted(counting), len(counting) // 2)]
                new = anew(5, seed=step, first=10_000 + step * 100)
                await sent_into(plant, public_id, [*some, *new])
                await closed(plant, public_id)
                counting = ({} if replaces else counting) | {each.number: each for each in new}
                if replaces:
                    counting |= {each.number: each for each in some}
                back.append(("set", public_id, had))
            case _ if back:
                counting = await take_back(plant, back)
            case _:
                pass
    await plant.fold()
    assert answers(counting.values()) == told(plant)
    while back:
        counting = await take_back(plant, back)
    await plant.fold()
    assert start == await plant.rows()


async def take_back(plant: Plant, back: list[tuple[str, Any, dict[int, Sent]]]) -> dict[int, Sent]:
    kind, what, had = back.pop()
    await (undone(plant, what) if kind == "event" else reverted(plant, what))
    return had
