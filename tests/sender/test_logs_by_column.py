"""`heartfly usage import-logs` to a server that takes events by column: the same events, and the same words."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.sender.logs import NOW, Run, importing, line, sent
from tests.sender.receiving import Receiver, Told


@pytest.fixture
def run(receiver: Receiver) -> Run:
    return importing(receiver)


def test_usual_lines_go_out_by_column_to_who_takes_that_and_are_the_same_events(run: Run, receiver: Receiver) -> None:
    others = [line(7).replace(b'"curl"', b'"a" rt=0.5'), line(8).replace(b'"curl"', rb'"\x41"'), b"what?\n"]
    lines = [line(n, status=200 + n % 2) for n in range(6_000)] + others
    assert "6002 events accepted, 0 known already." in run("-", "--source", "web-1", given=b"".join(lines)).output
    receiver.bodies.clear()
    receiver.takes_columns = True

    done = run("-", "--source", "web-1", given=b"".join(lines))

    assert "0 events accepted, 6002 known already." in done.output
    assert [1, 5_000, 1_001] == [len(body["transaction_id"]) for body in by_column(receiver)]
    assert [1] == [len(json.loads(body)) for body in receiver.bodies if body.startswith(b"[")]


def by_column(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for body in receiver.bodies if body.startswith(b"{")]


def test_columns_that_are_too_old_or_refused_are_told_one_by_one(run: Run, receiver: Receiver) -> None:
    receiver.takes_columns = True
    rejected = {"outcome": "rejected", "field": "timestamp", "reason": "is before"}
    good = {"outcome": "accepted", "field": None, "reason": None}
    old: Told = (200, {}, json.dumps({"results": [rejected]}).encode())
    receiver.answers = [old, (200, {}, json.dumps({"results": [rejected, good]}).encode())]

    aged = run("-", given=line(1, at=NOW - timedelta(days=500)) + line(2))
    receiver.answers = [(200, {}, json.dumps({"results": [good]}).encode()), (413, {}, b'{"detail":"too large"}')]
    refused = run("-", given=line(3) + line(4))
    receiver.answers = [(401, {}, b"")]
    away = run("-", given=line(5))

    assert "1 request from before events are kept." in aged.output
    assert "1 event accepted, 0 known already." in aged.output
    assert "2 events accepted, 0 known already." in refused.output
    assert (4, {2, 3, 4}) == (away.exit_code, {one["properties"]["response_bytes"] for one in sent(receiver)})


def test_what_is_out_of_the_span_that_was_asked_for_is_passed_over_by_column_too(run: Run, receiver: Receiver) -> None:
    receiver.takes_columns = True
    days = [line(n, at=NOW - timedelta(days=n)) for n in (30, 0, -3)]

    done = run("-", "--since", "15d", given=b"".join(days))

    assert "1 request before --since, 1 request more than a day ahead." in done.output
    assert {0} == {one["properties"]["response_bytes"] for one in sent(receiver)}


def test_without_an_address_or_an_agent_nothing_is_told_of_them_by_column_either(run: Run, receiver: Receiver) -> None:
    nobody = [line(n)[line(n).index(b" ") :].replace(b'"curl"', b'"-"') for n in range(2)]
    for given in ([b"-" + one for one in nobody], [b"-" + nobody[0], line(1)]):
        receiver.takes_columns = False
        one_by_one = run("-", given=b"".join(given))
        receiver.takes_columns = True

        assert "2 events accepted" in one_by_one.output
        assert "2 known already" in run("-", given=b"".join(given)).output
        receiver.known.clear()


def test_to_another_machine_they_go_out_packed(run: Run, receiver: Receiver) -> None:
    receiver.takes_columns = True
    receiver.url = receiver.url.replace("127.0.0.1", "127.1")  # this one still, by a name that does not say so

    done = run("-", given=b"".join(map(line, range(3))))

    assert "3 events accepted, 0 known already." in done.output
    assert {"gzip"} == {head.get("content-encoding") for head in receiver.headers}
    assert {"/v1/events/columns?dry_run=true", "/v1/events/columns"} == {head["path"] for head in receiver.headers}
