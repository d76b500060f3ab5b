"""What of a batch is worked out before its turn, and which batches are left to be looked at event by event."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from heartfly.core.events import Event, Rejected
from heartfly.usage.apply import Refused, hash_of
from heartfly.usage.ready import ready_of, together

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR = int(NOON.timestamp()) // 3600


def event(name: str, minutes: int = 0) -> Event:
    return Event(name, "acme", NOON + timedelta(minutes=minutes), "call", '{"size":1}', b"123456")


def test_a_transaction_id_is_known_by_the_beginning_of_its_hash() -> None:
    assert hashlib.blake2b("t-é".encode(), digest_size=16).digest()[:11] == hash_of("t-é")


@pytest.mark.parametrize("on_postgres", [False, True])
def test_a_uuid_of_version_8_is_known_by_its_own_bytes_so_that_its_neighbours_lie_beside_it(
    on_postgres: bool,  # noqa: FBT001 - a parameter
) -> None:
    ordered = [f"019adf55-{n:04x}-8123-8456-789abcdef012" for n in (1, 2, 3)]
    others = [
        "019adf55-0001-8123-8456-789ABCDEF012",
        "019adf55-0001-7123-8456-789abcdef012",
        "019adf55-0001-8",
        "x" * 36,
    ]

    ready = ready_of([event(name) for name in (*ordered, *others)], on_postgres=on_postgres)

    assert ready is not None
    assert [bytes.fromhex(one.replace("-", "")) for one in ordered] == list(ready.hashes[:3])
    assert [11] * len(others) == list(map(len, ready.hashes[3:]))
    assert [hash_of(name) for name in (*ordered, *others)] == list(ready.hashes)


@pytest.mark.parametrize("on_postgres", [False, True])
def test_events_are_told_by_columns_as_the_database_has_them(on_postgres: bool) -> None:  # noqa: FBT001 - a parameter
    uuid = "0f8fad5b-d9cb-469f-a165-70867728950e"

    ready = ready_of([event(uuid, -1), event("t-1", 61), event("t-2"), event("t-3", 59)], on_postgres=on_postgres)

    assert ready is not None
    assert [hash_of(name) for name in (uuid, "t-1", "t-2", "t-3")] == list(ready.hashes)
    assert {HOUR - 1: 0, HOUR: 3, HOUR + 1: 1} == ready.last_of_hours
    assert (uuid if on_postgres else bytes.fromhex(uuid.replace("-", ""))) == ready.ids[0]
    assert (NOON if on_postgres else HOUR * 3_600_000_000) == ready.ats[2]
    assert [("acme", "call", '{"size":1}', b"123456")] * 4 == list(
        zip(ready.subjects, ready.types, ready.properties, ready.fingerprints, strict=True)
    )


def test_what_is_refused_or_comes_twice_or_is_nothing_is_not_worked_out() -> None:
    assert ready_of([], on_postgres=False) is None
    assert ready_of([event("t-1"), Refused(Rejected("", "is none"), "x")], on_postgres=False) is None
    assert ready_of([event("t-1"), event("t-2"), event("t-1", 5)], on_postgres=False) is None


def test_batches_that_have_nothing_in_common_are_one() -> None:
    some = [event("t-1"), event("t-2", 61)], [event("t-3", 1)], [event("t-4", -1), event("t-5")]
    parts = [ready_of(one, on_postgres=False) for one in some]

    whole, joined = ready_of([one for batch in some for one in batch], on_postgres=False), together(parts)

    assert whole is not None
    assert joined is not None
    assert [*map(list, whole[:-1]), whole.last_of_hours] == [*map(list, joined[:-1]), joined.last_of_hours]
    assert parts[0] == together(parts[:1])


def test_batches_that_have_an_event_in_common_or_of_which_one_is_not_worked_out_are_not_one() -> None:
    one, again = ready_of([event("t-1"), event("t-2")], on_postgres=False), ready_of([event("t-2")], on_postgres=False)

    assert together([one, again]) is None
    assert together([one, None]) is None
