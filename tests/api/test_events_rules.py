"""What senders of usage rely on, one rule a test, at the API's door."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest

from heartfly.db.database import Database
from heartfly.db.models import events
from tests.api.conftest import START
from tests.api.door import House
from tests.api.test_events_door import count, event, outcomes
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio


async def test_four_fields_are_required_and_properties_are_not(house: House) -> None:
    required = ("transaction_id", "customer_id", "timestamp", "event_type")

    reply = await house.full("POST", "/v1/events", [event(1, **{name: ...}) for name in required])
    without = await house.full("POST", "/v1/events", [event(1, properties=...)])

    assert [(name, "is required") for name in required] == [
        (one["field"], one["reason"]) for one in reply.json["results"]
    ]
    assert ["accepted"] == outcomes(without)


async def test_an_id_that_was_taken_is_ignored_also_after_34_days_and_the_first_body_wins(
    house: House, usage_db: Database, clock: SimClock
) -> None:
    await house.full("POST", "/v1/events", [event(1)])
    clock.move_to(START + timedelta(days=34, seconds=1))

    assert ["duplicate", "conflict"] == outcomes(
        await house.full("POST", "/v1/events", [event(1), event(1, properties={"bytes": 99})])
    )
    (kept,) = (await house.full("GET", "/v1/events")).json["items"]
    assert ({"bytes": 1}, 1) == (kept["properties"], await count(usage_db, events))


async def test_24_hours_ahead_are_taken_and_no_microsecond_more(house: House) -> None:
    limit = START + timedelta(hours=24)
    times = [limit, limit + timedelta(microseconds=1)]
    found = [event(number, timestamp=at.isoformat()) for number, at in enumerate(times)]
    odd = [event(9, timestamp=text) for text in ("1772445600", "2026-03-02", "2026-03-02T10:00:00", "now")]

    assert ["accepted", "rejected"] == outcomes(await house.full("POST", "/v1/events", found))
    assert ["rejected"] * 4 == outcomes(await house.full("POST", "/v1/events", odd))


async def test_a_span_of_time_is_half_open_and_by_when_it_happened(house: House, clock: SimClock) -> None:
    await house.full("POST", "/v1/events", [event(10)])
    clock.move_to(START + timedelta(hours=5))
    await house.full("POST", "/v1/events", [event(20), event(30)])
    from_at, to_at = (quote((START - timedelta(minutes=number)).isoformat()) for number in (30, 10))

    reply = await house.full("GET", f"/v1/events?from={from_at}&to={to_at}")

    assert ["t-20", "t-30"] == [one["transaction_id"] for one in reply.json["items"]]


async def test_numbers_and_texts_of_numbers_are_the_same_to_the_last_digit(house: House) -> None:
    digits = "0.1234567890123456789012345678901234567890"

    told = outcomes(
        await house.full(
            "POST",
            "/v1/events",
            body=b",".join(
                b'{"transaction_id":"t","customer_id":"c","event_type":"e","timestamp":"%s","properties":{"n":%s}}'
                % (START.isoformat().encode(), value.encode())
                for value in (digits, f'"{digits}"', digits[:-1] + "1")
            ).join((b"[", b"]")),
        )
    )

    assert ["accepted", "duplicate", "conflict"] == told


async def test_a_call_that_was_taken_in_part_is_sent_again_whole(house: House, usage_db: Database) -> None:
    batch = [event(number) for number in range(10)]
    await house.full("POST", "/v1/events", batch[:4])

    told = outcomes(await house.full("POST", "/v1/events", batch))

    assert ["duplicate"] * 4 + ["accepted"] * 6 == told
    assert 10 == await count(usage_db, events)


async def test_heartbeats_of_one_minute_count_once(house: House, usage_db: Database) -> None:
    """Their id is made of the node and the minute; each carries the minute, as its content must be the same, too."""
    minute = START.replace(second=0)
    beat = event(0, transaction_id=f"node-1_{int(minute.timestamp()) // 60}", timestamp=minute.isoformat())

    told = [outcomes(await house.full("POST", "/v1/events", [beat])) for _ in range(3)]

    assert [["accepted"], ["duplicate"], ["duplicate"]] == told
    assert 1 == await count(usage_db, events)


async def test_properties_that_nobody_declared_are_kept(house: House) -> None:
    properties = {"new": "x", "nested": {"a": [1, None, True]}, "Ünïcode": "✓"}

    await house.full("POST", "/v1/events", [event(1, event_type="nobody.uses.it", properties=properties)])

    assert properties == (await house.full("GET", "/v1/events/t-1")).json["event"]["properties"]


async def test_sums_of_an_hour_come_in_like_single_events(house: House) -> None:
    hours = [
        event(number, transaction_id=f"acme_{number}", properties={"bytes": "123456789012345678901234567890"})
        for number in range(24)
    ]

    assert ["accepted"] * 24 == outcomes(await house.full("POST", "/v1/events", hours))
    assert ["duplicate"] * 24 == outcomes(await house.full("POST", "/v1/events", hours))
