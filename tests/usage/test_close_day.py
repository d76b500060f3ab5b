"""A day is final when its rollups have been proved, to the last digit, by other means than they were made with."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.db.models import aliases, customers, events, proofs, rollups, unique_values, usage_days, windows
from heartfly.errors import StoreError
from heartfly.usage.answers import answer
from heartfly.usage.close_day import Closed, Closer, days_to_close, projects_with_usage
from heartfly.usage.compare import compare
from heartfly.usage.meter_queries import find_meter
from heartfly.usage.meters import mark_hours
from heartfly.usage.question import Question
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of
from tests.usage.oracle import DEFINITIONS, Sent, answers

pytestmark = pytest.mark.anyio

BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
DAY = date(2026, 11, 27)
FROM = datetime(2026, 11, 26, 23, tzinfo=UTC)
TO = FROM + 24 * HOUR


async def close(plant: Plant, day: date = DAY, zone: ZoneInfo = BERLIN) -> Closed:
    return await Closer(plant.usage, plant.folder, plant.clock, plant.ids).close(PID, day, zone)


async def row(plant: Plant, day: date = DAY) -> Any:
    async with plant.usage.read() as read:
        query = sa.select(usage_days).where(usage_days.c.day == day)
        return (await read.execute(query)).one()


async def filled(plant: Plant, n: int = 200) -> list[Sent]:
    await plant.all_meters()
    sent = events_of(n, seed=21, from_at=FROM, to_at=TO)
    await plant.send(*sent)
    return sent


async def closed_day(plant: Plant, n: int = 200) -> list[Sent]:
    """As `filled`, and closed."""

    async def make() -> list[Sent]:
        sent = await filled(plant, n)
        await close(plant)
        return sent

    return await plant.once((__name__, n), make)


async def test_a_day_that_agrees_is_final_with_its_figures(plant: Plant) -> None:
    sent = await filled(plant)
    await plant.send(sent[0])
    closed = await close(plant)

    assert ("final", "", False) == (closed.state, closed.mismatch, closed.changed)
    expected = {"events_raw": 200, "events_rolled": 200, "late": 200, "customers": 5, "reconciled": 1}
    assert expected.items() <= closed.figures.items()
    assert (
        answers(sent)
        == plant.told(FROM, TO)
        == plant.told(FROM, FROM + HOUR, tier="day")
        | {key: value for key, value in answers(sent).items() if key[0] == "users"}
    )
    assert "final" == (await row(plant)).state


async def test_what_came_on_the_day_is_told_with_it(plant: Plant) -> None:
    sent = events_of(5, seed=22, from_at=NOW - HOUR, to_at=NOW)
    await plant.send(*sent, sent[0], sent[1])
    await plant.ingest.take(PID, [sent[0].wire() | {"customer_id": "other"}, 5], wire="native")
    closed = await close(plant, date(2026, 11, 28))

    expected = {"duplicates": 2, "conflicts": 1, "rejected": 1, "events_received": 9, "late": 0, "events_raw": 5}
    assert expected.items() <= closed.figures.items()


async def test_a_day_closed_again_is_the_same(plant: Plant) -> None:
    await filled(plant)
    first = await close(plant)
    before = await plant.rows()

    assert first == await close(plant)
    assert before == await plant.rows()


async def test_an_event_that_comes_after_makes_the_day_provisional_and_then_amended(plant: Plant) -> None:
    sent = await closed_day(plant)
    late = Sent(999, FROM + HOUR, "c-1", "api", None, "12.5", "u-1")
    await plant.send(late)
    await plant.fold()
    assert "provisional" == (await row(plant)).state

    closed = await close(plant)
    assert ("amended", True, 201) == (closed.state, closed.changed, closed.figures["events_raw"])
    assert answers([*sent, late]) == plant.told(FROM, TO)
    again = await close(plant)
    assert ("amended", False) == (again.state, again.changed)


@pytest.mark.parametrize("tier", ["hour", "day"])
async def test_a_sum_that_was_changed_is_found(plant: Plant, tier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_day(plant)
    of_sum = (rollups.c.version_id == plant.meters["sum"], rollups.c.tier == tier, rollups.c.cube == 0)
    changed = sa.update(rollups).where(*of_sum).values(sum=123)
    await plant.usage.write(lambda tx: tx.conn.execute(changed))
    closed = await _as_it_is(plant, monkeypatch)

    assert ("provisional", 0) == (closed.state, closed.figures["reconciled"])
    assert "meter sum, customer c-" in closed.mismatch
    where = "the hour from 2026-11-2" if tier == "hour" else "the day: expected "
    assert where in closed.mismatch
    assert re.search(r"expected \S+ of \d+ events? .*by its events\), seen 0.000000000000000123 of", closed.mismatch)
    assert "provisional" == (await row(plant)).state


async def test_an_event_that_is_gone_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_day(plant)
    await plant.usage.write(lambda tx: tx.conn.execute(sa.delete(events).where(events.c.transaction_id == "t-8")))
    closed = await _as_it_is(plant, monkeypatch)

    assert "provisional" == closed.state
    assert "199 events, and 200 in the rollup" in closed.mismatch
    assert "other events" in closed.mismatch


async def test_another_event_in_the_place_of_one_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = await closed_day(plant)
    other = next(one for one in sent if one.type == "other")
    swapped = sa.update(events).where(events.c.transaction_id == other.name).values(transaction_id="x")
    await plant.usage.write(lambda tx: tx.conn.execute(swapped))

    assert "other events" in (await _as_it_is(plant, monkeypatch)).mismatch


async def test_a_value_of_a_unique_meter_that_is_gone_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_day(plant)
    async with plant.usage.read() as read:
        value = (await read.execute(sa.select(unique_values.c.value).limit(1))).scalar_one()
        subject = (await read.execute(sa.select(unique_values.c.subject_id).limit(1))).scalar_one()
    gone = sa.delete(unique_values).where(unique_values.c.value == value, unique_values.c.subject_id == subject)
    await plant.usage.write(lambda tx: tx.conn.execute(gone))

    assert "different values" in (await _as_it_is(plant, monkeypatch)).mismatch


async def test_a_customer_all_of_whose_values_are_gone_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_day(plant)
    async with plant.usage.read() as read:
        subject = (await read.execute(sa.select(unique_values.c.subject_id).limit(1))).scalar_one()
    gone = sa.delete(unique_values).where(unique_values.c.subject_id == subject)
    await plant.usage.write(lambda tx: tx.conn.execute(gone))

    assert "different values, seen 0" in (await _as_it_is(plant, monkeypatch)).mismatch


async def test_a_day_in_which_a_meter_was_changed_agrees(plant: Plant) -> None:
    sent = await filled(plant)
    noon = FROM + 12 * HOUR
    await plant.meter("count", DEFINITIONS["count"] | {"event_types": ["job"]}, from_at=noon)
    closed = await close(plant)

    assert ("final", "") == (closed.state, closed.mismatch)
    found = plant.told(noon, TO)
    assert {key: value for key, value in found.items() if key[0] == "count" and key[2] is None} == {
        ("count", subject, None): n
        for subject in {one.subject for one in sent}
        if (n := sum(one.subject == subject and one.type == "job" and one.at >= noon for one in sent))
    }


async def _as_it_is(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Closed:
    """Closed without folding: whatever stands in the rollups is what is looked at."""

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(plant.folder, "fold_day", nothing)
    return await close(plant)


async def test_a_customer_is_told_by_name(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_day(plant, 20)
    known = {"pid": PID, "id": 5, "uuid": "u5", "name": "Acme", "rev": 1, "created_at": NOW}
    await plant.usage.write(lambda tx: tx.conn.execute(sa.insert(customers).values(known)))
    alias = sa.insert(aliases).values(pid=PID, text="c-0", customer_id=5)
    await plant.usage.write(lambda tx: tx.conn.execute(alias))
    wrong = sa.update(rollups).where(rollups.c.tier == "day").values(n=77)
    await plant.usage.write(lambda tx: tx.conn.execute(wrong))

    told = (await _as_it_is(plant, monkeypatch)).mismatch
    assert "meter count, customer Acme (c-0), the day: expected 2 events (by its events), seen 77" in told


async def test_what_was_wrong_is_put_right_by_closing_again(plant: Plant) -> None:
    sent = await closed_day(plant)
    await plant.usage.write(lambda tx: tx.conn.execute(sa.update(rollups).where(rollups.c.tier == "day").values(sum=1)))
    closed = await close(plant)

    assert "final" == closed.state
    assert answers(sent) == plant.told(FROM, TO)


async def test_days_of_a_zone_that_cuts_hours_in_half_agree_too(plant: Plant) -> None:
    await plant.all_meters()
    from_at = datetime(2026, 11, 26, 18, 30, tzinfo=UTC)
    sent = events_of(200, seed=23, from_at=from_at - HOUR, to_at=from_at + 25 * HOUR)
    await plant.send(*sent)
    closed = await close(plant, zone=KOLKATA)

    within = [one for one in sent if from_at <= one.at < from_at + timedelta(days=1)]
    assert ("final", len(within)) == (closed.state, closed.figures["events_raw"])
    told = plant.told(from_at, from_at + HOUR, tier="day")
    expected = {key: value for key, value in answers(within).items() if key[0] != "users"}
    assert expected == {key: value for key, value in told.items() if key[0] != "users"}


async def test_an_event_of_an_hour_that_a_day_cuts_in_two_waits_and_is_no_fault_of_the_day(plant: Plant) -> None:
    """Added up are whole hours of UTC; of what the zone cuts off, a comparison reads the events themselves."""
    await plant.all_meters()
    from_at = datetime(2026, 11, 26, 18, 30, tzinfo=UTC)
    await plant.send(*events_of(50, seed=23, from_at=from_at - HOUR, to_at=from_at + 25 * HOUR))
    await close(plant, zone=KOLKATA)
    for at in (from_at + timedelta(minutes=10), from_at + timedelta(hours=23, minutes=50)):
        late = events_of(20, seed=25, from_at=at, to_at=at + timedelta(minutes=1))
        await plant.send(*[replace(one, number=1_000 * at.day + one.number) for one in late])

        found = compare(plant.usage.place, PID, from_at, from_at + timedelta(days=1))
        assert found.n_differences > found.n_unexplained == 0
        await plant.fold()
        found = compare(plant.usage.place, PID, from_at, from_at + timedelta(days=1))
        assert (0, 0) == (found.n_differences, found.waiting)


async def test_cut_off_while_it_is_closed_in_another_zone_a_day_is_not_sure_any_more(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await closed_day(plant)

    async def dies(*_: Any) -> None:
        raise StoreError("the process that folds usage died")

    with monkeypatch.context() as cut:
        cut.setattr(plant.folder, "fold_day", dies)
        with pytest.raises(StoreError):
            await close(plant, zone=KOLKATA)

    found = await row(plant)
    assert ("provisional", KOLKATA.key) == (found.state, found.zone)
    async with plant.usage.read() as read:
        assert {True} == set((await read.execute(sa.select(proofs.c.moved))).scalars())
    assert "amended" == (await close(plant, zone=KOLKATA)).state


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2025, 10, 26), 25)])
async def test_a_day_of_a_clock_change_has_its_own_length(plant: Plant, day: date, hours: int) -> None:
    plant.clock.move_to(NOW)
    await plant.all_meters()
    midnight = datetime(day.year, day.month, day.day, tzinfo=BERLIN).astimezone(UTC)
    plant.ingest._keep = timedelta(days=500)
    sent = events_of(100, seed=24, from_at=midnight - HOUR, to_at=midnight + (hours + 1) * HOUR)
    await plant.send(*sent)
    closed = await close(plant, day)

    within = [one for one in sent if midnight <= one.at < midnight + hours * HOUR]
    assert ("final", len(within)) == (closed.state, closed.figures["events_raw"])
    found = await row(plant, day)
    assert hours * HOUR == found.to_at - found.from_at


async def test_days_that_wait_are_known_by_the_calendar_and_by_their_events(plant: Plant, clock: SimClock) -> None:
    old = Sent(1, datetime(2026, 9, 1, 12, tzinfo=UTC), "c", "api", None, "1", "u")
    await plant.send(old)
    today = date(2026, 11, 28)

    async def waiting(since: date) -> list[date]:
        return await days_to_close(plant.usage, PID, BERLIN, since=since, today=today)

    assert [date(2026, 9, 1)] == await waiting(today)
    assert [date(2026, 9, 1), date(2026, 11, 26), DAY] == await waiting(date(2026, 11, 26))
    await plant.fold()
    assert [date(2026, 9, 1)] == await waiting(today)
    await close(plant, date(2026, 9, 1))
    await close(plant)
    assert [date(2026, 11, 26)] == await waiting(date(2026, 11, 26))
    assert [PID] == await projects_with_usage(plant.usage)

    await plant.send(Sent(2, old.at, "c", "api", None, "1", "u"))  # and nobody has folded it yet
    assert [date(2026, 9, 1), date(2026, 11, 26)] == await waiting(date(2026, 11, 26))


async def test_a_day_without_events_is_final_with_nothing_in_it(plant: Plant) -> None:
    closed = await close(plant)

    assert ("final", 0) == (closed.state, closed.figures["events_raw"])
    async with plant.usage.read() as read:
        assert 1 == len((await read.execute(sa.select(windows))).all())


# --- each meter by itself

UPTIME = {"event_types": ["api"], "aggregation": "count"}


async def states(plant: Plant) -> dict[str, str]:
    """Of the day, as each meter's figures tell it."""
    found = {}
    for name in plant.meters:
        async with plant.usage.read() as read:
            stored = await find_meter(read, PID, name)
            question = Question(from_at=FROM, to_at=TO, size=None, zone=BERLIN)
            told = await answer(read, PID, stored, question, now=plant.clock.now(), limit=1)
        found[name] = told.items[0].state.value
    return found


async def make(plant: Plant, name: str, definition: dict[str, Any]) -> None:
    """As the commands do it: with its hours marked."""
    await plant.meter(name, definition)
    number = plant.ids.next(plant.clock.now())
    await plant.usage.write(lambda tx: mark_hours(tx, PID, None, None, seq=number))


async def test_a_meter_that_is_new_leaves_the_others_proved(plant: Plant) -> None:
    await closed_day(plant)
    proved = dict.fromkeys(plant.meters, "final")
    await make(plant, "new", UPTIME)
    await plant.fold()

    assert proved | {"new": "provisional"} == await states(plant)
    assert "provisional" == (await row(plant)).state
    closed = await close(plant)
    assert ("final", False) == (closed.state, closed.changed)
    assert proved | {"new": "final"} == await states(plant)


async def test_a_version_that_counts_otherwise_amends_its_meter_only(plant: Plant) -> None:
    await closed_day(plant)
    others = dict.fromkeys(plant.meters.keys() - {"count"}, "final")
    await make(plant, "count", {"event_types": ["other"], "aggregation": "count"})
    await plant.fold()
    assert others | {"count": "provisional"} == await states(plant)

    closed = await close(plant)
    assert ("amended", True) == (closed.state, closed.changed)
    assert others | {"count": "amended"} == await states(plant)
    await close(plant)
    assert others | {"count": "amended"} == await states(plant)


async def test_a_version_that_comes_to_the_same_changes_nothing(plant: Plant) -> None:
    await closed_day(plant)
    await make(plant, "users", DEFINITIONS["users"])
    await plant.fold()

    assert dict.fromkeys(plant.meters, "final") == await states(plant)
    assert ("final", False) == ((closed := await close(plant)).state, closed.changed)


async def test_an_event_that_comes_late_puts_those_meters_in_doubt_that_count_it(plant: Plant) -> None:
    await filled(plant)
    await make(plant, "jobs", {"event_types": ["job"], "aggregation": "count"})
    await close(plant)
    await plant.send(Sent(999, FROM + HOUR, "c-1", "api", "GET:/a", "12.5", "u-77"))
    await plant.fold()
    told = await states(plant)
    assert ("final", "provisional", "provisional") == (told["jobs"], told["sum"], told["users"])

    assert "amended" == (await close(plant)).state
    told = await states(plant)
    assert ("final", "amended", "amended") == (told["jobs"], told["sum"], told["users"])


async def test_a_day_that_does_not_add_up_is_sure_for_no_meter(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_day(plant)
    await plant.usage.write(lambda tx: tx.conn.execute(sa.update(rollups).where(rollups.c.tier == "day").values(n=1)))
    await _as_it_is(plant, monkeypatch)

    assert {"provisional"} == set((await states(plant)).values())


async def test_an_empty_day_is_sure_for_a_meter_that_is_new(plant: Plant) -> None:
    await plant.all_meters()
    await close(plant)
    await make(plant, "new", UPTIME)
    await plant.fold()

    assert {"final"} == set((await states(plant)).values())


async def test_what_was_proved_is_kept_until_the_day_is_proved_anew(plant: Plant) -> None:
    async def generations() -> int:
        async with plant.usage.read() as read:
            of_days = sa.select(sa.func.count(rollups.c.gen.distinct())).where(rollups.c.tier == "day")
            return int((await read.execute(of_days)).scalar_one())

    await closed_day(plant)
    assert 1 == await generations()
    for number in (997, 998):
        await plant.send(Sent(number, FROM + HOUR, "c-1", "api", None, "12.5", "u-1"))
        await plant.fold()
        assert 2 == await generations()
    await close(plant)
    assert 1 == await generations()
