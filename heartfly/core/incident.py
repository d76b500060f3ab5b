"""What happened in an incident, fact by fact in the order of time, in words for people.

Facts only: when one opens and closes is decided by flips (core/check.py), and who was told stands in the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from heartfly.core.spans import span
from heartfly.core.values import Run
from heartfly.core.words import IncidentEnd


class What(StrEnum):
    EXPECTED = "expected"
    STARTED = "started"
    ENDED = "ended"
    OPENED = "opened"
    JOINED = "joined"
    RECOVERED = "recovered"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Of a cause: a check that it explains. `up_at` None: it is down."""

    name: str
    joined_at: datetime
    up_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """`explain`: why it opened; empty if nobody knew then. `ended_by` None with a `closed_at`: not known."""

    opened_at: datetime
    of: str = "check"
    explain: str = ""
    closed_at: datetime | None = None
    ended_by: IncidentEnd | None = None
    disproved: bool = False
    acked_at: datetime | None = None
    acked_by: str | None = None
    members: tuple[Member, ...] = ()
    """Of a cause."""


@dataclass(frozen=True, slots=True)
class Fact:
    at: datetime
    what: What
    text: str


_CAUSES = ("host", "upstream")
_BEGAN = {"check": "The check went down."} | dict.fromkeys(_CAUSES, "Several checks are down.")


def facts(incident: Incident, run: Run | None) -> list[Fact]:
    """`run`: the one that opened it, as far as it is kept."""
    found = [] if run is None else _of_run(run, incident)
    began = _BEGAN.get(incident.of, f"The {incident.of} raised it.")
    found.append(Fact(incident.opened_at, What.OPENED, incident.explain or began))
    for member in incident.members:
        found.append(Fact(member.joined_at, What.JOINED, f"{member.name} is down with it."))
        if member.up_at is not None:
            found.append(Fact(member.up_at, What.RECOVERED, f"{member.name} is not down any more."))
    if incident.acked_at is not None:
        who = (incident.acked_by or "Somebody").removeprefix("user:")
        found.append(Fact(incident.acked_at, What.ACKNOWLEDGED, f"{who} takes care of it."))
    if incident.closed_at is not None:
        found.append(Fact(incident.closed_at, What.CLOSED, _end(incident, incident.closed_at)))
    return sorted(found, key=lambda fact: fact.at)


def _of_run(run: Run, incident: Incident) -> list[Fact]:
    found = []
    # A job that failed before its time has a slot that is still to come.
    if run.slot_at is not None and run.slot_at <= incident.opened_at:
        found.append(Fact(run.slot_at, What.EXPECTED, "A success was expected."))
    if run.started_at is not None:
        found.append(Fact(run.started_at, What.STARTED, "The run started."))
    if run.ended_at is not None:
        status = f" with exit status {run.exit_status}" if run.exit_status is not None else ""
        took = f", {span(run.duration)} after it started" if run.duration is not None else ""
        found.append(Fact(run.ended_at, What.ENDED, f"The run ended{status}{took}."))
    return found


def _end(incident: Incident, closed_at: datetime) -> str:
    if incident.disproved:
        return "A success from before the alarm reached Heartfly late: the alarm was not true."
    lasted = span(closed_at - incident.opened_at)
    match incident.ended_by:
        case IncidentEnd.SUCCESS:
            return f"A success came, {lasted} after the check went down."
        case IncidentEnd.GATE:
            return f"A success came, {lasted} after the check went down; its figures break a rule that warns."
        case IncidentEnd.PAUSED:
            return "Somebody paused the check."
        case IncidentEnd.DELETED:
            return f"Somebody deleted the {incident.of}."
        case IncidentEnd.RESOLVED if incident.of in _CAUSES:
            return f"The last of its checks is not down any more, after {lasted}."
        case IncidentEnd.RESOLVED:
            return f"It was in order again, after {lasted}."
        case IncidentEnd.BY_HAND:
            return f"Somebody resolved it, after {lasted}."
        case _:
            return "It was over by then; since when is not known."
