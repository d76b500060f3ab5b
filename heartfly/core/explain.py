"""Why a check has this status: facts first, in a sentence or two that read well at 3 a.m."""

from __future__ import annotations

from datetime import datetime, timedelta

from heartfly.core.bound_text import lines_of
from heartfly.core.bounds import Bounds
from heartfly.core.spans import span, utc
from heartfly.core.values import Blind, Check, Flip, Run
from heartfly.core.words import PingKind, Reason, Status


def explain(flip: Flip, before: Check, *, schedule: str, unjudged: Blind | None = None) -> str:
    """Why this flip happened. `before`: the check as it was; `schedule`: in words. `unjudged`: the maintenance whose
    end its slots were counted from.
    """
    said = [_explain(flip, before, schedule=schedule), *_tolerated_before(flip)]
    if unjudged is not None and flip.reason in _SILENCE:
        span_of = f"from {utc(unjudged.from_at)} to {utc(unjudged.to_at)}"
        said.append(f"Maintenance {span_of} was not judged, so what was missed in it counts for nothing.")
    return " ".join(said)


_SILENCE = frozenset({
    Reason.MISSED, Reason.MISSED_TWICE_UNVERIFIED, Reason.NO_FIRST_PING, Reason.NOT_STARTED, Reason.TOO_FEW,
})  # fmt: skip


def _tolerated_before(flip: Flip) -> list[str]:
    found = []
    if flip.failure > 1:
        began = "" if flip.since is None else f" since {utc(flip.since)}"
        before = "the one before it was" if flip.failure == 2 else f"the {flip.failure - 1} before it were"
        found.append(f"It is failure {flip.failure} in a row{began}; {before} tolerated.")
    if flip.of_last:
        found.append(f"{flip.of_last} runs failed, which is more than is tolerated.")
    return found


def _explain(flip: Flip, before: Check, *, schedule: str) -> str:
    run, bounds = flip.run, before.rules.bounds
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
        case Reason.NOT_STARTED:
            slot = run.slot_at if run is not None and run.slot_at is not None else flip.at
            return f"A run was expected at {utc(slot)} ({schedule}) and none had begun by {utc(flip.at)}." + last_heard(
                before.last_ping_at, before.last_kind
            )
        case Reason.TOO_FEW:
            slot = run.slot_at if run is not None and run.slot_at is not None else flip.at
            came = len(before.memory.reported)
            return (
                f"{came} of {bounds.reports} reports came for the slot of {utc(slot)} ({schedule}) by {utc(flip.at)}."
            )
        case Reason.TOO_FAST | Reason.TOO_SOON | Reason.TOO_OFTEN:
            return breach_words(flip.reason, bounds, run)
        case Reason.EXIT_STATUS:
            status = run.exit_status if run is not None else None
            return f"The job ended with exit status {status}."
        case Reason.FAIL:
            return "The job reported a failure."
        case Reason.GATE:
            return f"The job reported success, but {'; '.join(one.words() for one in flip.broken)}."
        case Reason.RETRACTED if before.status_reason is Reason.NOT_STARTED and _is_open(run):
            return f"A start from before {utc(flip.at)} reached Heartfly late: the alarm was not true."
        case Reason.RETRACTED:
            return f"A success from before {utc(flip.at)} reached Heartfly late: the alarm was not true."
        case Reason.SUCCESS:
            if flip.down_since is not None:
                nth = "A success" if before.rules.tolerance.recover == 1 else _nth_success(before)
                return f"{nth} came at {utc(flip.at)}, {span(flip.at - flip.down_since)} after it went down."
            return f"A success came at {utc(flip.at)}."
        case Reason.PAUSED:
            return "Somebody paused the check."
        case _:  # resumed
            return "Somebody resumed the check: it waits for its next success."


def breach_words(reason: Reason | None, bounds: Bounds, run: Run | None) -> str:
    """Of a run that went against a bound, with the bound as it is written."""
    match reason:
        case Reason.TOO_FAST if run is None or run.duration is None:
            return f"The job reported success, but no start, so how long it took is not known: {_bound(bounds, 'run')}."
        case Reason.TOO_FAST:
            took = span(run.duration) if run is not None and run.duration is not None else ""
            return f"The job reported success after {took}, which is too fast: {_bound(bounds, 'run')}."
        case Reason.TOO_SOON:
            return f"A run began too soon after the one before it: {_bound(bounds, 'apart')}."
        case _:
            return f"Runs begin too often: {_bound(bounds, 'at most')}."


def _bound(bounds: Bounds, begins: str) -> str:
    line = next((line for line in lines_of(bounds) if line.startswith(begins)), "")
    return f"the bound is {line}" if line else "the bound has been changed since"


def _nth_success(check: Check) -> str:
    return f"The last of {check.rules.tolerance.recover} successes in a row"


def _is_open(run: Run | None) -> bool:
    return run is not None and run.outcome is None


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
