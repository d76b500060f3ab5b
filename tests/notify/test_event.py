"""The JSON of webhooks: what receivers are programmed against."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from inline_snapshot import snapshot

from heartfly.core.alerts import Alert, BrokenGate
from heartfly.core.values import replace
from heartfly.core.words import AlertKind
from heartfly.notify.event import EventOut, encoded, event
from tests.notify import examples
from tests.notify.examples import delivery

DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"


def sent(*alerts: Alert, **more: Any) -> dict[str, Any]:
    body = json.loads(encoded(event(delivery(*alerts, **more))))
    assert isinstance(body, dict)
    return body


def test_the_example_in_the_docs_is_what_is_sent() -> None:
    block = re.search(r"```json\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert block is not None
    assert sent(examples.EXIT_STATUS) == json.loads(block[1])


def test_the_docs_name_every_field_every_kind_and_every_reason() -> None:
    text = DOCS.read_text()
    fields = {field.encode_name for field in msgspec.structs.fields(EventOut)}
    assert {name for name in fields if f"`{name}`" not in text} == set()
    assert {kind for kind in AlertKind if f"`{kind}`" not in text} == set()


def test_a_missed_run_brings_the_run_before_it() -> None:
    assert sent(examples.MISSED) == snapshot(
        {
            "id": "0b6f3c52-6a0f-4d53-9d8e-2f6f0f6a9b11",
            "type": "check.down",
            "created_at": "2026-03-02T03:10:00Z",
            "project": {"slug": "acme", "name": "Acme billing"},
            "check": {
                "id": "5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a01",
                "name": "nightly-backup",
                "slug": "nightly-backup",
                "tags": ["prod", "db"],
                "description": "Dumps the billing database to the other region. Runbook: wiki/backup.",
                "status": "down",
                "previous_status": "up",
                "schedule_text": "30 2 * * * (Europe/Berlin)",
                "grace": 2400,
                "dialect": "",
                "max_run": None,
                "rules": [],
                "n_pings": 812,
                "last_ping_at": "2026-03-01T02:31:07Z",
                "last_kind": "success",
                "last_duration": 247.0,
                "expected_at": "2026-03-02T02:30:00Z",
                "host": "",
            },
            "run": {
                "started_at": "2026-03-01T02:27:00Z",
                "ended_at": "2026-03-01T02:31:07Z",
                "outcome": "ok",
                "exit_status": 0,
                "duration": 247.0,
                "rid": None,
                "metrics": {"rows": "18230", "bytes": "731905112"},
                "body_tail": """\
dumped 18230 rows
uploaded 731905112 bytes\
""",
                "body_cut": False,
            },
            "channel": None,
            "incident": "c2a4f1de-7b0a-4f6e-8f3a-1d9b5a7e0c44",
            "reason": "missed",
            "title": "DOWN: nightly-backup",
            "summary": "nightly-backup did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC.",
            "explain": "The last success came on Sun 1 Mar at 02:31:07 UTC; nothing was heard since.",
            "at": "2026-03-02T03:10:00Z",
            "decided_at": "2026-03-02T03:10:00Z",
            "down_since": None,
            "blind": None,
            "broken_gates": [],
            "unverified": [],
            "earlier": [],
            "links": {
                "project": "https://heartfly.example.com/p/acme/checks",
                "check": "https://heartfly.example.com/p/acme/checks/nightly-backup",
                "incident": "https://heartfly.example.com/p/acme/incidents/c2a4f1de-7b0a-4f6e-8f3a-1d9b5a7e0c44",
            },
            "attempt": 1,
            "possible_duplicate": False,
            "concern": None,
            "missed": 0,
            "held": "",
            "cause": None,
            "verdict": "",
            "unheard": [],
        }
    )


def test_a_digest_lists_the_runs_that_nobody_could_see() -> None:
    assert sent(examples.UNVERIFIED) == snapshot(
        {
            "id": "0b6f3c52-6a0f-4d53-9d8e-2f6f0f6a9b11",
            "type": "check.unverified",
            "created_at": "2026-03-02T03:21:00Z",
            "project": {"slug": "acme", "name": "Acme billing"},
            "check": None,
            "run": None,
            "channel": None,
            "incident": None,
            "reason": None,
            "title": "UNVERIFIED: 3 runs in Acme billing",
            "summary": "We could not see 02:50–03:20 UTC; 3 runs unverified.",
            "explain": "",
            "at": "2026-03-02T03:20:00Z",
            "decided_at": "2026-03-02T03:21:00Z",
            "down_since": None,
            "blind": {"from_at": "2026-03-02T02:50:00Z", "to_at": "2026-03-02T03:20:00Z"},
            "broken_gates": [],
            "unverified": [
                {
                    "check": {"id": "5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a01", "name": "invoice-run-1"},
                    "expected_at": "2026-03-02T02:49:00Z",
                    "closes_at": "2026-03-02T03:01:00Z",
                },
                {
                    "check": {"id": "5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a02", "name": "invoice-run-2"},
                    "expected_at": "2026-03-02T02:50:00Z",
                    "closes_at": "2026-03-02T03:02:00Z",
                },
                {
                    "check": {"id": "5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a03", "name": "invoice-run-3"},
                    "expected_at": "2026-03-02T02:51:00Z",
                    "closes_at": "2026-03-02T03:03:00Z",
                },
            ],
            "earlier": [],
            "links": {"project": "https://heartfly.example.com/p/acme/checks"},
            "attempt": 1,
            "possible_duplicate": False,
            "concern": None,
            "missed": 0,
            "held": "",
            "cause": None,
            "verdict": "",
            "unheard": [],
        }
    )


def test_broken_gates_are_told_part_by_part() -> None:
    gate = BrokenGate(gate="rows > 0", level="fail", seen="is 0", expected="> 0")
    told = sent(replace(examples.GATE, broken_gates=(gate,)))

    assert [{"gate": "rows > 0", "level": "fail", "seen": "is 0", "expected": "> 0"}] == told["broken_gates"]


def test_a_failing_channel_is_named() -> None:
    event = sent(examples.CHANNEL_FAILING)
    assert (event["channel"], event["links"]) == snapshot(
        (
            {
                "id": "aa11d0a2-1f0b-4c5e-8a53-6a1f77f3c0de",
                "name": "#ops on Slack",
                "kind": "slack",
                "error": "the receiver answered 404: no_service",
                "n_failed": 1,
                "n_waiting": 0,
            },
            {
                "project": "https://heartfly.example.com/p/acme/checks",
                "channel": "https://heartfly.example.com/p/acme/channels/aa11d0a2-1f0b-4c5e-8a53-6a1f77f3c0de",
            },
        )
    )


def test_every_kind_has_the_same_fields_and_its_own_type() -> None:
    events = {name: sent(alert) for name, alert in examples.ALL.items()}
    assert {frozenset(event) for event in events.values()} == {
        frozenset(field.encode_name for field in msgspec.structs.fields(EventOut))
    }
    assert {name: event["type"] for name, event in events.items()} == {
        name: alert.kind.value for name, alert in examples.ALL.items()
    }


def test_a_change_that_waited_is_told_with_the_one_after_it() -> None:
    event = sent(examples.EXIT_STATUS, examples.UP_AFTER_EXIT_STATUS)
    assert event["type"] == "check.up"
    assert event["earlier"] == snapshot(
        [{"type": "check.down", "at": "2026-03-02T02:41:17Z", "reason": "exit_status", "explain": ""}]
    )


def test_what_opens_an_incident_and_what_closes_it_name_the_same_and_nothing_else_names_one() -> None:
    named = {name: sent(alert)["incident"] for name, alert in examples.ALL.items()}
    opens_or_closes = {"missed", "exit_status", "fail", "hung", "gate", "missed_twice", "up", "retracted"}
    opens_or_closes |= {"rule_firing", "rule_resolved", "budget_reached", "budget_cleared"}

    tells_of_one = opens_or_closes | {"reminder"}
    assert named == {name: examples.INCIDENT if name in tells_of_one else None for name in examples.ALL}
    linked = {name for name, alert in examples.ALL.items() if "incident" in sent(alert)["links"]}
    assert linked == tells_of_one


def test_a_repeat_says_which_attempt_it_is_and_that_it_may_be_known() -> None:
    event = sent(examples.MISSED, attempt=3, possible_duplicate=True)
    assert (event["attempt"], event["possible_duplicate"]) == (3, True)
    assert event["id"] == examples.DELIVERY_ID


@pytest.mark.parametrize("name", ["a\ud800b", "\0\r\n", "\u202egnp.exe", "🦋" * 500])
def test_a_name_arrives_as_it_is_but_for_what_cannot_be_encoded(name: str) -> None:
    assert examples.MISSED.check is not None
    alert = replace(examples.MISSED, check=replace(examples.MISSED.check, name=name))
    assert sent(alert)["check"]["name"] == name.replace("\ud800", "\ufffd")


def test_a_name_of_a_megabyte_is_cut() -> None:
    assert examples.MISSED.check is not None
    alert = replace(examples.MISSED, check=replace(examples.MISSED.check, name="n" * 1_000_000))
    assert len(sent(alert)["check"]["name"]) == 1_000
