"""What requests come to, in all and window by window, is what their events come to, however they are stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.core.tiles import State
from heartfly.core.windows import Size, windows
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import request_rollups
from heartfly.errors import InvalidValueError
from heartfly.traffic import gather, plan
from heartfly.traffic.series import series
from heartfly.traffic.totals import n_customers, totals
from heartfly.usage.close_day import Closer
from heartfly.usage.request_tiers import Kept, remove_old_tiers
from tests.traffic.city import FROM, TO, City, is_near, make_city, ms, statuses
from tests.traffic.oracle import Hit, by_status, grouped, hits_of, percentile, within
from tests.usage.factory import HOUR, NOW, PID, events_of

pytestmark = pytest.mark.anyio

DAY = datetime(2026, 11, 27, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
FILTERS: dict[str, tuple[dict[str, Any], Any]] = {
    "nothing": ({}, lambda _: True),
    "an endpoint": ({"endpoints": ["GET /b/{id}"]}, lambda one: one.endpoint == "GET /b/{id}"),
    "endpoints": ({"endpoints": ["GET /a", "POST /a"]}, lambda one: one.route == "/a"),
    "a method": ({"methods": ["POST"]}, lambda one: one.method == "POST"),
    "a customer": ({"customers": ["acme"]}, lambda one: one.subject == "acme"),
    "nobody": ({"customers": ["anonymous"]}, lambda one: one.subject == "anonymous"),
    "customers": ({"customers": ["acme", "globex"]}, lambda one: one.subject in {"acme", "globex"}),
    "both": (
        {"customers": ["acme"], "endpoints": ["GET /a"]},
        lambda one: one.subject == "acme" and one.endpoint == "GET /a",
    ),
    "a method of a customer": (
        {"customers": ["acme"], "methods": ["GET"]},
        lambda one: one.subject == "acme" and one.method == "GET",
    ),
    "a class": ({"statuses": ["4xx"]}, lambda one: one.status in {404, 429}),
    "codes": ({"statuses": ["429", "500"]}, lambda one: one.status in {429, 500}),
    "an unknown status": ({"statuses": ["unknown"]}, lambda one: one.status is None),
    "all together": (
        {"customers": ["acme"], "endpoints": ["GET /a"], "statuses": ["2xx"], "methods": ["GET"]},
        lambda one: one.subject == "acme" and one.endpoint == "GET /a" and one.status in {200, 201},
    ),
    "a key": ({"keys": ["k-1"]}, lambda one: one.key == "k-1"),
    "a source of a customer": (
        {"sources": ["nginx-1"], "customers": ["acme"]},
        lambda one: one.source == "nginx-1" and one.subject == "acme",
    ),
    "somebody unheard of": ({"customers": ["nobody-here"]}, lambda _: False),
    "an endpoint unheard of": ({"endpoints": ["GET /nowhere"]}, lambda _: False),
}


@pytest.fixture
def city(usage_db: Database, ids: IdSource) -> City:
    return make_city(usage_db, ids)


@pytest.fixture
async def sent(city: City) -> list[Hit]:
    """Folded; the first whole day is closed."""
    hits = hits_of(600, seed=11, from_at=FROM - HOUR, to_at=TO)
    await city.sent(hits)
    await city.fold()
    await city.folder.fold_day(PID, DAY, DAY + 24 * HOUR)
    return [one for one in hits if one.at >= FROM]


async def test_each_filter_finds_what_it_says(city: City, sent: list[Hit]) -> None:
    told = {name: await city.ask(totals, **asked) for name, (asked, _) in FILTERS.items()}

    meant = {name: by_status(one for one in sent if holds(one)) for name, (_, holds) in FILTERS.items()}
    assert meant == {name: statuses(found) for name, (found, _) in told.items()}
    assert [] == [name for name, (_, trust) in told.items() if trust.partial]
    assert ["a key", "a source of a customer"] == [name for name, (_, trust) in told.items() if trust.of_events]


async def test_what_was_not_folded_yet_is_in_the_answer_where_it_is_little(city: City) -> None:
    hits = hits_of(200, seed=3, from_at=FROM, to_at=NOW)
    await city.sent(hits)

    found, trust = await city.ask(totals, to_at=NOW)

    assert by_status(hits) == statuses(found)
    assert NOW == trust.complete_up_to
    assert State.OPEN == trust.state


async def test_where_it_is_much_the_answer_says_up_to_when_it_is_complete(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "FRESH", 20)
    hits = hits_of(100, seed=3, from_at=FROM, to_at=FROM + 3 * HOUR)
    await city.sent(hits)
    await city.fold()
    late = hits_of(50, seed=4, from_at=DAY, to_at=DAY + HOUR, first=1_000)
    newest = hits_of(10, seed=5, from_at=DAY + 2 * HOUR, to_at=DAY + 3 * HOUR, first=2_000)
    await city.sent(late + newest)

    found, trust = await city.ask(totals)

    assert by_status(hits + newest) == statuses(found)
    assert DAY == trust.complete_up_to
    await city.fold()
    found, trust = await city.ask(totals)
    assert by_status(hits + late + newest) == statuses(found)
    assert trust.complete_up_to == TO


async def test_a_series_has_each_window_of_its_zone(city: City, sent: list[Hit]) -> None:
    zones = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns")
    for size, zone in product(set(Size) - {Size.SECOND}, zones):
        place = ZoneInfo(zone)

        found, trust = await city.ask(series, size=size, zone=place)

        whole = list(windows(size, place, FROM, TO))
        assert len(whole) == len(found), (size, zone)
        for window, one in zip(whole, found, strict=True):
            assert by_status(within(sent, window.from_at, window.to_at)) == statuses(one.by_status), (size, zone)
            assert (window.from_at < FROM or window.to_at > TO) == one.open, (size, zone)
        assert not trust.partial, (size, zone)


async def test_seconds_are_counted_out_of_the_events(city: City) -> None:
    begins = DAY + timedelta(hours=5, minutes=59, milliseconds=300)
    hits = hits_of(200, seed=8, from_at=begins, to_at=begins + timedelta(seconds=90))
    await city.sent(hits)
    await city.fold()

    filters: tuple[dict[str, Any], ...] = ({}, {"statuses": ["2xx"]})
    for more in filters:
        found, trust = await city.ask(series, size=Size.SECOND, from_at=begins, to_at=begins + HOUR, **more)

        meant = [one for one in hits if not more or one.status in {200, 201, 204}]
        assert [begins.replace(microsecond=0) + n * _SECOND for n in range(1, 3601)] == [
            one.window.from_at for one in found[1:]
        ]
        seconds = grouped(meant, lambda one: one.at.replace(microsecond=0))
        told = {one.window.from_at.replace(microsecond=0): statuses(one.by_status) for one in found if one.by_status.n}
        assert {at: by_status(some) for at, some in seconds.items()} == told
        assert (begins, [True, True]) == (found[0].window.from_at, [found[0].open, found[-1].open])
        assert (True, False) == (trust.of_events, trust.partial)


async def test_seconds_of_more_than_an_hour_are_refused(city: City) -> None:
    with pytest.raises(InvalidValueError, match="more than an hour after `from`, which is the most for window=second"):
        await city.ask(series, size=Size.SECOND, from_at=DAY, to_at=DAY + HOUR + _SECOND)


@pytest.mark.parametrize("size", [Size.SECOND, Size.MINUTE])
async def test_windows_whose_events_were_too_many_to_look_at_are_left_out(
    city: City, monkeypatch: pytest.MonkeyPatch, size: Size
) -> None:
    """And not told as if nothing had been there."""
    monkeypatch.setattr(gather, "MOST_SINGLE", 1)
    hits = hits_of(700, seed=9, from_at=DAY, to_at=DAY + HOUR)
    await city.sent(hits)

    found, trust = await city.ask(series, size=size, from_at=DAY, to_at=DAY + HOUR, sources=["nginx-1"])

    looked_at = sorted(one.at for one in hits)[-500]  # a slice
    first = found[0].window.from_at
    assert timedelta(0) <= first - looked_at < (_SECOND if size is Size.SECOND else timedelta(minutes=1))
    meant = [one for one in hits if one.source == "nginx-1" and one.at >= first]
    assert len(meant) == sum(one.by_status.n for one in found)
    assert trust.partial


async def test_a_series_of_a_customer_at_an_endpoint_is_his_alone(city: City, sent: list[Hit]) -> None:
    """D4: customer by endpoint is kept, and by the hour."""
    found, _ = await city.ask(series, size=Size.HOUR, customers=["acme"], endpoints=["GET /a"])

    meant = [one for one in sent if one.subject == "acme" and one.endpoint == "GET /a"]
    hours = grouped(meant, lambda one: one.at.replace(minute=0, second=0, microsecond=0))
    told = {one.window.from_at.replace(minute=0): statuses(one.by_status) for one in found if one.by_status.n}
    assert {hour: by_status(some) for hour, some in hours.items()} == told


async def test_minutes_are_kept_for_what_happened_lately(city: City) -> None:
    """A4: minutes with their errors, of more than two hours."""
    hits = hits_of(300, seed=6, from_at=NOW - 3 * HOUR, to_at=NOW)
    await city.sent(hits)
    await city.fold()

    found, trust = await city.ask(series, size=Size.MINUTE, from_at=NOW - 3 * HOUR, to_at=NOW)

    minutes = grouped(hits, lambda one: one.at.replace(second=0, microsecond=0))
    assert {at: by_status(some) for at, some in minutes.items()} == {
        one.window.from_at: statuses(one.by_status) for one in found if one.by_status.n
    }
    assert [NOW - 3 * HOUR + n * timedelta(minutes=1) for n in range(181)] == [one.window.from_at for one in found]
    assert not trust.of_events


async def test_an_old_hour_that_is_folded_anew_makes_no_other_seem_empty(city: City) -> None:
    """The minutes of most hours went; those of one older than all of them are there again."""
    hits = hits_of(90, seed=61, from_at=DAY, to_at=DAY + HOUR)
    await city.sent(hits)
    await city.fold()
    kept = Kept(minutes=timedelta(0), hours=timedelta(days=90))
    await remove_old_tiers(city.usage, PID, kept=kept, now=NOW, fence=_go_on)
    late = hits_of(5, seed=62, from_at=DAY - 24 * HOUR, to_at=DAY - 23 * HOUR, first=1_000)
    await city.sent(late)
    await city.fold()
    from_at, to_at = DAY + HOUR / 4, DAY + HOUR * 3 / 4

    found, trust = await city.ask(totals, from_at=from_at, to_at=to_at)
    halves, _ = await city.ask(
        series, size=Size.HOUR, zone=ZoneInfo("Asia/Kolkata"), from_at=DAY - HOUR / 2, to_at=DAY + 3 * HOUR / 2
    )

    assert by_status([one for one in hits if from_at <= one.at < to_at]) == statuses(found)
    assert not trust.partial
    half = DAY + HOUR / 2
    assert [sum(one.at < half for one in hits), sum(one.at >= half for one in hits)] == [
        one.by_status.n for one in halves
    ]


async def test_an_hour_of_which_no_request_is_kept_is_not_looked_at_event_by_event(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "MOST_SINGLE", 0)  # nothing that is looked at so would be whole
    await city.send(*events_of(20, seed=1, from_at=DAY, to_at=DAY + HOUR))
    await city.fold()

    found, trust = await city.ask(totals, from_at=DAY + HOUR / 4, to_at=DAY + HOUR * 3 / 4)

    assert (0, False) == (found.n, trust.partial)


async def _go_on() -> None: ...


async def test_the_average_is_the_sum_by_the_count(city: City, sent: list[Hit]) -> None:
    """D3, D12: of exact microseconds, of those that told their time."""
    found, _ = await city.ask(totals)

    whole, times = found.total(), [one.us for one in sent if one.us is not None]
    assert sum(times) == whole.latency_us
    assert len(times) == whole.n_timed < whole.n


async def test_percentiles_are_as_near_as_is_promised(city: City, sent: list[Hit]) -> None:
    """D5, A7: over any window and filter."""
    for asked, holds in FILTERS.values():
        meant = [one for one in sent if holds(one)]
        if meant:
            found, _ = await city.ask(totals, **asked)
            for percent in (1, 50, 90, 95, 99, 100):
                assert is_near(percentile(meant, percent), ms(found, percent)), (asked, percent)


async def test_the_slowest_request_is_told_exactly(city: City) -> None:
    """D6: thirty seconds are thirty seconds, and a day is a day."""
    for number, latency in enumerate(["30000.001", "86400000", "5000"]):
        await city.sent([Hit(number=number, at=FROM + number * HOUR, latency=latency)])
    await city.fold()

    found, _ = await city.ask(series, size=Size.HOUR)

    largest = [one.by_status.total().latency_max_us for one in found]
    assert [30_000_001, 86_400_000_000, 5_000_000, 0] == largest[:4]


async def test_bytes_are_counted_both_ways(city: City, sent: list[Hit]) -> None:
    """D8."""
    found, _ = await city.ask(totals)

    whole = found.total()
    assert (sum(one.n_in or 0 for one in sent), sum(one.n_out or 0 for one in sent)) == (
        whole.bytes_in,
        whole.bytes_out,
    )


async def test_errors_of_clients_and_servers_are_told_apart(city: City, sent: list[Hit]) -> None:
    """D13: and 429 stands alone."""
    found, _ = await city.ask(totals)

    codes = [one.status for one in sent]
    assert codes.count(404) + codes.count(429) == found.n_of(4)
    assert codes.count(500) + codes.count(503) == found.n_of(5)
    assert codes.count(429) == found.of[429].n
    assert codes.count(None) == found.n_of(0)


async def test_what_came_twice_or_late_counts_once_and_in_its_time(city: City, sent: list[Hit]) -> None:
    """D15."""
    late = hits_of(40, seed=8, from_at=DAY, to_at=DAY + 24 * HOUR, first=5_000)
    await city.sent(sent[:300] + late + late)
    await city.fold()

    found, _ = await city.ask(totals)

    assert by_status(sent + late) == statuses(found)


async def test_a_day_of_the_project_adds_up(city: City, sent: list[Hit]) -> None:
    """A3, A6: of a day, total, errors, average and statuses, out of what was kept of the day."""
    found, trust = await city.ask(totals, from_at=DAY, to_at=DAY + 24 * HOUR)

    meant = within(sent, DAY, DAY + 24 * HOUR)
    assert by_status(meant) == statuses(found)
    assert State.PROVISIONAL == trust.state


async def test_a_day_that_was_proved_is_final(city: City, sent: list[Hit]) -> None:
    closer = Closer(city.usage, city.folder, city.clock, city.ids)
    await closer.close(PID, DAY.date(), ZoneInfo("UTC"))

    _, trust = await city.ask(totals, from_at=DAY, to_at=DAY + 24 * HOUR)

    assert (State.FINAL, DAY + 24 * HOUR) == (trust.state, trust.complete_up_to)


async def test_too_many_events_make_the_answer_partial_and_it_says_so(
    city: City, sent: list[Hit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "MOST_SINGLE", 1)

    found, trust = await city.ask(totals, keys=["k-1"], from_at=FROM, to_at=TO)

    assert trust.partial
    newest = sorted(sent, key=lambda one: one.at)[-500:]  # a slice
    assert by_status(one for one in newest if one.key == "k-1") == statuses(found)
    _, trust = await city.ask(totals, from_at=DAY, to_at=DAY + 24 * HOUR)
    assert not trust.partial


async def test_a_customer_with_two_names_is_one(city: City, sent: list[Hit]) -> None:
    public_id = await city.customer("Acme", "acme", "acme-eu")

    found, _ = await city.ask(totals, customers=[public_id])

    assert by_status(one for one in sent if one.subject.startswith("acme")) == statuses(found)
    assert await city.ask(n_customers) == 4
    assert await city.ask(n_customers, statuses=["unknown"], endpoints=["GET /a"]) == len(
        {one.subject.partition("-")[0] for one in sent if one.status is None and one.endpoint == "GET /a"}
    )


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("status", {"statuses": ["6xx"]}),
        ("status", {"statuses": ["99"]}),
        ("customer", {"customers": ["3f0f8f9e-6a1c-4a55-8d4c-111111111111"]}),
        ("to", {"to_at": FROM}),
        ("from", {"from_at": datetime(1969, 1, 1, tzinfo=UTC)}),
        ("to", {"to_at": datetime(2201, 1, 1, tzinfo=UTC)}),
    ],
)
async def test_what_cannot_be_asked_names_its_field(city: City, field: str, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError) as error:
        await city.ask(totals, **asked)

    assert field == error.value.field


async def test_a_project_without_requests_has_none(city: City) -> None:
    found, trust = await city.ask(totals)
    bins, _ = await city.ask(series, size=Size.DAY)

    assert {} == found.of
    assert [0, 0, 0] == [one.by_status.n for one in bins]
    assert (TO, False) == (trust.complete_up_to, trust.partial)
    assert await city.ask(n_customers) == 0


async def test_what_another_fold_or_another_project_left_counts_nothing(city: City, sent: list[Hit]) -> None:
    """Rows of former generations may lie there until they are swept."""
    asked: dict[str, Any] = {"size": Size.HOUR, "from_at": DAY, "to_at": DAY + 24 * HOUR}
    before, _ = await city.ask(series, **asked)

    def left(tx: Tx) -> None:
        rows = [row._asdict() for row in tx.conn.execute(sa.select(request_rollups))]
        tx.conn.execute(sa.insert(request_rollups), [row | {"gen": row["gen"] + 1} for row in rows])
        tx.conn.execute(sa.insert(request_rollups), [row | {"pid": PID + 1} for row in rows])

    await city.usage.write(left)

    after, _ = await city.ask(series, **asked)
    assert [statuses(one.by_status) for one in before] == [statuses(one.by_status) for one in after]
    found, _ = await city.ask(totals)
    assert by_status(sent) == statuses(found)
