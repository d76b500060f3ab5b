from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from heartfly.sender import (
    METRONOME,
    Alarm,
    DiskQueue,
    GaveUpError,
    Sender,
    SenderError,
    Tally,
    Target,
    TurnedAwayError,
    heartbeat,
)
from heartfly.sender.pace import asked_for, wait_s
from tests.sender.receiving import PassingTime, Receiver, event


@pytest.fixture
def sender(queue: DiskQueue, receiver: Receiver, time: PassingTime) -> Sender:
    alarm = Alarm(f"{receiver.url}/ping/abc", queue.folder)
    return Sender(queue, Target(receiver.url, "hf_key"), alarm=alarm, time=time, log=queue.folder / "sent.ndjson")


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_all_arrive_in_one_request_with_the_key_and_are_logged(
    queue: DiskQueue, sender: Sender, receiver: Receiver
) -> None:
    queue.put([event(1, properties={"n": 1}), b'{"transaction_id":"tx-2","n":1.50}'])

    assert Tally(accepted=2) == sender.drain()

    assert ["/v1/events"] == [headers["path"] for headers in receiver.headers]
    assert "Bearer hf_key" == receiver.headers[0]["authorization"]
    assert receiver.bodies[0].endswith(b',{"transaction_id":"tx-2","n":1.50}]')
    assert ["accepted", "accepted"] == [line["status"] for line in lines(queue.folder / "sent.ndjson")]
    assert queue.is_empty()
    assert [] == receiver.pings


def test_a_large_body_is_packed(queue: DiskQueue, sender: Sender, receiver: Receiver) -> None:
    queue.put(event(n) for n in range(50))

    assert 50 == sender.drain().accepted
    assert "gzip" == receiver.headers[0]["content-encoding"]


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again_until_it_is_accepted(
    queue: DiskQueue, sender: Sender, receiver: Receiver, time: PassingTime, status: int
) -> None:
    receiver.answers = [(status, {}, b"")] * 3
    queue.put([event(1)])

    assert Tally(accepted=1) == sender.drain()

    assert 4 == len(receiver.bodies)
    assert 1 == len(set(receiver.bodies))
    assert all(lowest <= waited <= 2 * lowest for lowest, waited in zip([0.25, 0.5, 1.0], time.waited, strict=True))


def test_an_answer_of_somebody_else_is_no_acceptance(queue: DiskQueue, sender: Sender, receiver: Receiver) -> None:
    receiver.answers = [(200, {}, b"<html>Please sign in</html>"), (200, {}, b'{"results": []}')]
    queue.put([event(1)])

    assert 1 == sender.drain().accepted
    assert 3 == len(receiver.bodies)


def test_it_waits_as_long_as_it_is_asked_to(
    queue: DiskQueue, sender: Sender, receiver: Receiver, time: PassingTime
) -> None:
    receiver.answers = [(503, {"Retry-After": "17"}, b"")]
    queue.put([event(1)])
    sender.drain()

    assert [17.0] == time.waited


def test_patience_ends_and_all_is_kept(queue: DiskQueue, sender: Sender, receiver: Receiver) -> None:
    receiver.answers = [(503, {}, b'{"detail": "too much"}')] * 50
    queue.put([event(1)])

    with pytest.raises(GaveUpError, match="answered 503: too much; what was not accepted is kept"):
        sender.drain(patience_s=10)

    receiver.answers = []
    assert 1 == sender.drain().accepted


def test_a_rejected_event_is_set_aside_with_its_reason_and_the_alarm_is_raised(
    queue: DiskQueue, sender: Sender, receiver: Receiver
) -> None:
    queue.put([event(1), b'{"transaction_id":7,"n":1.10}', event(3)])

    assert Tally(accepted=2, set_aside=1) == sender.drain()

    text = sender.dead_letter.read_text()
    assert '"field": "transaction_id", "reason": "is required", "event": {"transaction_id":7,"n":1.10}}\n' in text
    (ping,) = receiver.pings
    assert "/ping/abc/fail" == ping[0]
    assert ping[1].startswith("1 event was set aside: see ")
    assert ping[1].endswith("\ntransaction_id is required")


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_of_a_request_that_is_refused_whole_the_bad_ones_are_found_and_the_rest_arrive(
    queue: DiskQueue, receiver: Receiver, time: PassingTime, status: int
) -> None:
    accepted: list[str] = []

    def answer(body: bytes) -> tuple[int, dict[str, str], bytes]:
        found = [one["transaction_id"] for one in json.loads(body)]
        if "tx-5" in found or "tx-6" in found:
            return status, {}, b'{"message": "no such type"}'
        accepted.extend(found)
        return 200, {}, b""

    receiver.events = answer  # type: ignore[method-assign]
    sender = Sender(queue, Target(receiver.url + "/metronome/", "k", METRONOME), time=time)
    queue.put(event(n) for n in range(8))

    assert Tally(accepted=6, set_aside=2) == sender.drain()

    assert [f"tx-{n}" for n in (0, 1, 2, 3, 4, 7)] == accepted
    assert "/metronome/v1/ingest" == receiver.headers[0]["path"]
    reasons = {line["event"]["transaction_id"]: line["reason"] for line in lines(sender.dead_letter)}
    assert dict.fromkeys(("tx-5", "tx-6"), f"answered {status}: no such type") == reasons


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 415])
def test_a_wrong_key_or_address_sets_nothing_aside(
    queue: DiskQueue, sender: Sender, receiver: Receiver, status: int
) -> None:
    receiver.answers = [(status, {"Location": "/elsewhere"}, b'{"detail": "not you"}')]
    queue.put([event(1)])

    with pytest.raises(TurnedAwayError, match=f"answered {status}: not you"):
        sender.drain()

    assert not queue.is_empty()
    assert not sender.dead_letter.exists()


def test_what_was_accepted_before_a_crash_is_known_and_not_counted_twice(
    queue: DiskQueue, sender: Sender, receiver: Receiver
) -> None:
    queue.put([event(1), event(2)])
    sender.drain()
    queue.put([event(1), event(2, more=1), event(3)])

    assert Tally(accepted=3, duplicate=1, conflict=1) == sender.drain()


def test_a_damaged_record_is_set_aside_and_its_neighbours_go(
    queue: DiskQueue, sender: Sender, receiver: Receiver
) -> None:
    queue.put([event(1), event(2)])
    (segment,) = queue.folder.glob("*.events")
    segment.write_bytes(segment.read_bytes().replace(b"tx-2", b"tx-9"))

    assert Tally(accepted=1, set_aside=1) == sender.drain()

    (line,) = lines(sender.dead_letter)
    assert "checksum" in line["reason"]
    assert "tx-9" in line["raw"]


def test_an_alarm_that_does_not_arrive_is_raised_with_the_next(
    queue: DiskQueue, sender: Sender, receiver: Receiver
) -> None:
    receiver.ping_status = 503
    queue.put([b'{"a": 1}'])
    sender.drain()
    receiver.ping_status = 200
    alarm = Alarm(f"{receiver.url}/ping/abc", queue.folder)

    assert alarm.all_is_well() is None

    assert ["/ping/abc/fail", "/ping/abc/fail", "/ping/abc"] == [path for path, _ in receiver.pings]
    assert receiver.pings[0] == receiver.pings[1]


def test_a_sender_that_runs_for_ever_raises_the_alarm_when_it_is_turned_away_and_goes_on(
    queue: DiskQueue, receiver: Receiver, time: PassingTime
) -> None:
    stop = threading.Event()
    time.on_wait = lambda: stop.set() if queue.is_empty() else None
    sender = Sender(
        queue, Target(receiver.url, "k"), alarm=Alarm(f"{receiver.url}/ping/abc", queue.folder), time=time, stop=stop
    )
    receiver.answers = [(401, {}, b"")]
    queue.put([event(1)])

    sender.run()

    assert Tally(accepted=1) == sender.tally
    assert [60.0, 1.0] == time.waited
    assert "answered 401" in receiver.pings[0][1]


def test_told_to_stop_it_keeps_what_waits(queue: DiskQueue, receiver: Receiver, time: PassingTime) -> None:
    stop = threading.Event()
    time.on_wait = stop.set
    receiver.answers = [(503, {}, b"")]
    queue.put([event(1)])

    Sender(queue, Target(receiver.url, "k"), time=time, stop=stop).run()

    assert not queue.is_empty()


@pytest.mark.parametrize("url", ["ftp://a", "localhost:8000", "http://"])
def test_an_address_that_is_none_is_refused_at_once(url: str, tmp_path: Path) -> None:
    with pytest.raises(SenderError, match="must be http"):
        Target(url, "k")
    with pytest.raises(SenderError, match="must be http"):
        Alarm(url, tmp_path)


def test_the_key_is_not_shown_with_the_target() -> None:
    assert "secret" not in repr(Target("http://localhost", "secret"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("17", 17.0), ("Sat, 28 Nov 2026 13:00:30 GMT", 30.0), ("Sat, 28 Nov 2026 12:00:00 GMT", 0.0), ("soon", None)],
)
def test_a_retry_after_is_a_number_or_a_date(text: str, seconds: float | None) -> None:
    assert seconds == asked_for(text, datetime(2026, 11, 28, 13, tzinfo=UTC))


def test_waits_grow_to_a_minute_and_no_further() -> None:
    assert [0.5, 1.0, 2.0, 4.0] == [wait_s(n, None, lambda: 1.0) for n in (1, 2, 3, 4)]
    assert 60.0 == wait_s(50, None, lambda: 1.0)
    assert 30.0 == wait_s(50, None, lambda: 0.0)
    assert 3600.0 == wait_s(1, 1e9)


def test_two_heartbeats_of_one_minute_are_one_event() -> None:
    at = datetime(2026, 11, 28, 13, 0, 1, tzinfo=UTC)

    one, other = (heartbeat("n1", at + timedelta(seconds=s), customer_id="acme") for s in (0, 58))

    assert one == other
    assert f"n1_{int(at.timestamp()) // 60}" == one["transaction_id"]
    assert "2026-11-28T13:00:00Z" == one["timestamp"]
    assert one != heartbeat("n1", at + timedelta(seconds=59), customer_id="acme")
    with pytest.raises(ValueError, match="zone"):
        heartbeat("n1", datetime(2026, 11, 28), customer_id="acme")
