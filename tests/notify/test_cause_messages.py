"""What people read of a cause that is told as one, and what a member says of its cause."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.core.alerts import Alert, CauseFacts, MemberFacts, TogetherFacts, cause_key
from heartfly.core.values import replace
from heartfly.core.words import AlertKind, Severity
from heartfly.notify.event import event
from heartfly.notify.message import Message, word
from heartfly.notify.peace import subject
from heartfly.notify.placeholders import Values, in_own_words
from heartfly.notify.policies import OwnWords
from heartfly.notify.sentences import Tone
from tests.notify import examples
from tests.notify.examples import at, delivery

INCIDENT = "0198d0a1-0000-7000-8000-000000000001"
MEMBERS = (
    MemberFacts(check_uuid="u-1", check_name="dump", down_at=at("03:00")),
    MemberFacts(check_uuid="u-2", check_name="", down_at=at("03:01"), up_at=at("03:31")),
)


def whole(kind: AlertKind = AlertKind.DOWN, *, n: int = 2, n_down: int = 1, what: str = "host") -> Alert:
    return Alert(
        key=cause_key(5, 6),
        kind=kind,
        project_slug="acme",
        project_name="Acme",
        at=at("03:00") if kind is AlertKind.DOWN else at("04:30"),
        decided_at=at("04:30"),
        down_since=None if kind is AlertKind.DOWN else at("03:00"),
        incident=INCIDENT,
        explain="Nothing has gone well on it since.",
        together=TogetherFacts(what=what, name="db-1", n=n, n_down=n_down, severity=Severity.CRITICAL, members=MEMBERS),
    )


def told(*alerts: Alert) -> Message:
    return word(delivery(*alerts))


@pytest.mark.parametrize(
    ("alert", "title", "sentence"),
    [
        (
            whole(n=30, n_down=30),
            "DOWN: host db-1: 30 jobs",
            "host db-1 has 30 jobs that are down, the first since 03:00 UTC.",
        ),
        (
            whole(n=1, n_down=1),
            "DOWN: host db-1: 1 job",
            "host db-1 has 1 job that is down, the first since 03:00 UTC.",
        ),
        (
            whole(AlertKind.UP, n=30, n_down=2),
            "UP: host db-1: 28 of 30 jobs (2 still down)",
            "host db-1 has 28 of 30 jobs up again; 2 are still down.",
        ),
        (
            whole(AlertKind.UP, what="upstream", n_down=1),
            "UP: “db-1” and what needs it: 1 of 2 jobs (1 still down)",
            "“db-1” and what needs it have 1 of 2 jobs up again; 1 is still down.",
        ),
        (
            whole(what="upstream"),
            "DOWN: “db-1” and what needs it: 2 jobs",
            "“db-1” and what needs it went down, 2 jobs in all, the first since 03:00 UTC; 1 of them still is.",
        ),
        (
            whole(what="upstream", n_down=2),
            "DOWN: “db-1” and what needs it: 2 jobs",
            "“db-1” and what needs it are down, 2 jobs in all, the first since 03:00 UTC.",
        ),
        (
            whole(AlertKind.UP, n_down=0, what="upstream"),
            "UP: “db-1” and what needs it (was down 1 h 30 min)",
            "“db-1” and what needs it are in order again after 1 h 30 min: none of these 2 jobs is down any more.",
        ),
        (
            replace(whole(what="upstream"), kind=AlertKind.REMINDER, down_since=at("04:00")),
            "STILL DOWN: “db-1” and what needs it",
            "“db-1” and what needs it are still down, for 30 min (since 04:00 UTC), and nobody has acknowledged it.",
        ),
        (
            whole(AlertKind.UP, n_down=0),
            "UP: host db-1 (was down 1 h 30 min)",
            "host db-1 is in order again after 1 h 30 min: none of its 2 jobs is down any more.",
        ),
        (
            replace(whole(), kind=AlertKind.REMINDER, down_since=at("03:00")),
            "STILL DOWN: host db-1",
            "host db-1 is still down, for 1 h 30 min (since 03:00 UTC), and nobody has acknowledged it.",
        ),
    ],
)
def test_it_says_what_explains_how_many(alert: Alert, title: str, sentence: str) -> None:
    message = told(alert)

    assert (title, sentence) == (message.title, message.sentence)


def test_its_members_are_named_with_how_they_are_and_it_leads_to_its_incident() -> None:
    message = told(whole(n=102))

    assert [
        ("DOWN", "dump", "is down since 03:00 UTC", Tone.DOWN),
        ("UP", "u-2", "was down for 30 min (now up)", Tone.UP),
    ] == [(line.label, line.name, line.text, line.tone) for line in message.lines]
    assert message.lines[0].link.endswith("/p/acme/checks/u-1")
    assert 100 == message.n_more
    assert message.link.endswith(f"/p/acme/incidents/{INCIDENT}")
    assert "Open the incident" == message.link_text


def test_a_member_says_what_it_is_part_of() -> None:
    cause = CauseFacts(id=5, uuid=INCIDENT, what="host", name="db-1")
    alert = replace(examples.MISSED, cause=cause)
    assert ("host db-1", "“db-1” and what needs it") == (cause.words, replace(cause, what="upstream").words)

    assert ("Part of", "host db-1") in told(alert).facts
    out = event(delivery(alert)).cause
    assert out is not None
    assert (INCIDENT, "host", "db-1") == (out.incident, out.what, out.name)
    assert event(delivery(examples.MISSED)).cause is None


@pytest.mark.parametrize("kind", [AlertKind.DOWN, AlertKind.UP, AlertKind.REMINDER])
def test_a_channels_own_words_are_for_one_check_and_hide_no_member(kind: AlertKind) -> None:
    own = OwnWords("MINE $NAME", "because $REASON")
    ours = told(whole(kind))

    message = word(in_own_words(delivery(whole(kind)), own))
    assert (ours.title, ours.sentence) == (message.title, message.sentence)
    storm = word(in_own_words(delivery(examples.MISSED, examples.of_other_check(examples.MISSED, 2, "invoices")), own))
    assert "MINE" not in storm.title
    assert "MINE nightly-backup" == word(in_own_words(delivery(examples.MISSED), own)).title


def test_in_a_storm_it_is_one_of_what_is_told() -> None:
    message = told(whole(), examples.MISSED)

    assert "DOWN: 2 alerts in Acme" == message.title
    assert {"host db-1"} < {line.name for line in message.lines}


def test_own_words_name_it_and_lead_to_it() -> None:
    values = Values(delivery(whole())).texts

    assert "host db-1" == values["NAME"]
    assert values["LINK"].endswith(f"/incidents/{INCIDENT}")


def test_it_is_as_severe_as_its_worst_member() -> None:
    assert Severity.CRITICAL is subject(whole(), "c").severity
    assert timedelta(minutes=5) == subject(whole(), "c").grace
