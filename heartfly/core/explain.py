"""Why a check has this status: facts first, in a sentence or two that read well at 3 a.m."""

from __future__ import annotations

from datetime import datetime, timedelta

from heartfly.core.spans import span, utc
from heartfly.core.values import Blind, Check, Flip
from heartfly.core.words import PingKind, Reason, Status


def explain(flip: Flip, before: Check, *, schedule: str) -> str:
    """Why this flip happened. `before`: the check as it was; `schedule`: in words."""
    run = flip.run
    match flip.reason:
        case Reason.MISSED_TWICE_UNVERIFIED if flip.from_status is Status.NEW:
            return (
                f"{_no_first_ping(flip)} Heartfly could not hear for part of the time, nor for part of the time before "
                "that had excused it; two in a row count."
            )
        case Reason.MISSED | Reason.MISSED_TWICE_UNVERIFIED:
            slot = run.slot_at if run is not None and run.slot_at is not None else flip.at
            sentence = missed(slot, flip.at, before.rules.grace, schedule=schedule)
            if flip.reason is Reason.MISSED_TWICE_UNVERIFIED:
                sentence += " Heartfly could not hear for part of this slot and of the one before; two in a row count."
            return sentence + last_heard(before.last_ping_at, before.last_kind)
        case Reason.NO_FIRST_PING:
            return _no_first_ping(flip)
        case Reason.HUNG:
            started = utc(run.started_at) if run is not None and run.started_at is not None else "an unknown time"
            return f"The run that started at {started} did not end within {span(before.rules.run_limit)}."
        case Reason.EXIT_STATUS:
            status = run.exit_status if run is not None else None
            return f"The job ended with exit status {status}."
        case Reason.FAIL:
            return "The job reported a failure."
        case Reason.GATE:
            return f"The job reported success, but {'; '.join(one.words() for one in flip.broken)}."
        case Reason.RETRACTED:
            return f"A success from before {utc(flip.at)} reached Heartfly late: the alarm was not true."
        case Reason.SUCCESS:
            if flip.down_since is not None:
                return f"A success came at {utc(flip.at)}, {span(flip.at - flip.down_since)} after it went down."
            return f"A success came at {utc(flip.at)}."
        case Reason.PAUSED:
            return "Somebody paused the check."
        case _:  # resumed
            return "Somebody resumed the check: it waits for its next success."


def _no_first_ping(flip: Flip) -> str:
    return f"Its first ping was wanted by {utc(flip.at)}, and none has come."


def explain_blind(blind: Blind) -> str:
    return f"Heartfly itself could not hear from {utc(blind.from_at)} to {utc(blind.to_at)}."


def missed(slot: datetime, at: datetime, grace: timedelta, *, schedule: str) -> str:
    """That nothing came by this instant for the slot that opened at `slot`."""
    held = at > slot + grace
    end = "though a run under way was waited for" if held else f"the end of the grace of {span(grace)}"
    return f"A success was expected at {utc(slot)} ({schedule}) and none came by {utc(at)}, {end}."


def last_heard(at: datetime | None, kind: PingKind | None) -> str:
    return "" if at is None or kind is None else f" The last signal was a {kind.value} at {utc(at)}."
