"""What happened in an incident, in the order of time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from heartfly.core.incident import Incident, Member, What, facts
from heartfly.core.values import Run
from heartfly.core.words import IncidentEnd
from tests.factories import at


def told(incident: Incident, run: Run | None = None) -> list[tuple[What, str]]:
    return [(fact.what, fact.text) for fact in facts(incident, run)]


OPEN = Incident(opened_at=at(minutes=10), explain="The job reported a failure.")


def test_one_of_which_nothing_else_is_known_has_opened() -> None:
    assert [(What.OPENED, "The check went down.")] == told(Incident(opened_at=at()))


def test_facts_stand_in_the_order_of_time_whatever_they_are() -> None:
    run = Run(
        id=1,
        slot_at=at(minutes=5),
        started_at=at(minutes=2),
        ended_at=at(minutes=10),
        exit_status=7,
        duration=timedelta(minutes=8),
    )
    incident = Incident(
        opened_at=at(minutes=10),
        explain="The job ended with exit status 7.",
        closed_at=at(minutes=30),
        ended_by=IncidentEnd.SUCCESS,
        acked_at=at(minutes=12),
        acked_by="key:hf_1234567",
    )

    assert [
        (What.STARTED, "The run started."),
        (What.EXPECTED, "A success was expected."),
        (What.ENDED, "The run ended with exit status 7, 8 min after it started."),
        (What.OPENED, "The job ended with exit status 7."),
        (What.ACKNOWLEDGED, "key:hf_1234567 takes care of it."),
        (What.CLOSED, "A success came, 20 min after the check went down."),
    ] == told(incident, run)


def test_a_run_that_failed_before_its_time_was_not_expected_yet() -> None:
    run = Run(id=1, slot_at=at(minutes=60), ended_at=at(minutes=10))

    assert [(What.ENDED, "The run ended."), (What.OPENED, OPEN.explain)] == told(OPEN, run)


def test_a_slot_that_was_missed_has_nothing_but_its_time() -> None:
    assert [What.EXPECTED, What.OPENED] == [what for what, _ in told(OPEN, Run(id=1, slot_at=at(minutes=10)))]


@pytest.mark.parametrize(
    ("ended_by", "disproved", "part"),
    [
        (IncidentEnd.SUCCESS, False, "A success came, 20 min after"),
        (IncidentEnd.GATE, False, "its figures break a rule that warns"),
        (IncidentEnd.GATE, True, "the alarm was not true"),
        (IncidentEnd.RETRACTED, True, "the alarm was not true"),
        (IncidentEnd.PAUSED, False, "Somebody paused the check."),
        (IncidentEnd.DELETED, False, "Somebody deleted the check."),
        (None, False, "since when is not known"),
    ],
)
def test_each_end_is_told_in_a_sentence(ended_by: IncidentEnd | None, disproved: bool, part: str) -> None:  # noqa: FBT001
    incident = Incident(opened_at=at(), closed_at=at(minutes=20), ended_by=ended_by, disproved=disproved)

    assert part in told(incident)[-1][1]


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (IncidentEnd.RESOLVED, "It was in order again, after 15 min."),
        (IncidentEnd.BY_HAND, "Somebody resolved it, after 15 min."),
    ],
)
def test_an_end_of_what_is_no_check_is_told_in_words(by: IncidentEnd, words: str) -> None:
    ended = replace(OPEN, of="alert rule", closed_at=at(minutes=25), ended_by=by)
    assert words == told(ended)[-1][1]


def test_of_a_cause_it_is_told_who_joined_and_who_was_up_again() -> None:
    members = (
        Member(name="dump", joined_at=at(minutes=12), up_at=at(minutes=20)),
        Member(name="copy", joined_at=at(minutes=11)),
    )
    cause = Incident(of="host", opened_at=at(minutes=10), members=members)

    assert [
        (What.OPENED, "Several checks are down."),
        (What.JOINED, "copy is down with it."),
        (What.JOINED, "dump is down with it."),
        (What.RECOVERED, "dump is not down any more."),
    ] == told(cause)
    over = replace(cause, members=(), closed_at=at(minutes=40), ended_by=IncidentEnd.RESOLVED)
    assert (What.CLOSED, "The last of its checks is not down any more, after 30 min.") == told(over)[-1]
