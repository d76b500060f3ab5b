"""Why a check has the status that it has now: what is expected of it, until when, and what speaks for or against it.

Sentences made of facts (verdict_facts.py), from the check as it is stored. Nothing is decided here,
but in check.py; why one flip happened is worded in explain.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from heartfly.core import gates as gate_rules
from heartfly.core import tolerance as tolerances
from heartfly.core.causes import NO_TIES, Ties
from heartfly.core.causes import sentences as ties_words
from heartfly.core.check import after_silence
from heartfly.core.explain import breach_words, explain, explain_blind
from heartfly.core.gates import NOTHING, Broken, Known, Level, Op, Reported
from heartfly.core.silence import Effect
from heartfly.core.silenced import Silenced
from heartfly.core.silenced import sentences as silenced_words
from heartfly.core.slots import current_slot, ends_by
from heartfly.core.spans import span, utc
from heartfly.core.tolerance import MOST_FAILURES, MOST_LAST, NO_TOLERANCE
from heartfly.core.unjudged import after_windows, is_excused, left_until
from heartfly.core.values import Blind, Check, Flip, Run, Slot, replace
from heartfly.core.verdict_facts import Again, LastFlip, Newest, Touch, Touches, UnderWay, Verdict
from heartfly.core.words import PingKind, Reason, Status

_MOST_NAMED = 3
_MOST_SLOTS = 2 * (MOST_FAILURES + MOST_LAST)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    check: Check
    now: datetime
    schedule: str
    slot: Slot | None
    runs: tuple[UnderWay, ...]
    blind: tuple[Touch, ...]
    broken: tuple[Broken, ...]
    known: Known
    last: LastFlip | None
    again: Again | None
    left_until: datetime | None
    """What falls due up to then is not judged, as maintenance lasts."""

    def touching(self, what: Touches) -> Iterator[Blind]:
        return (touch.blind for touch in self.blind if touch.what is what)


def asks_since(check: Check, last: LastFlip | None) -> datetime | None:
    """Blind intervals that ended before this explain nothing. None: none does."""
    slot = current_slot(check)
    instants = [] if slot is None else [slot.counts_from]
    instants += [run.started_at for run in check.open_runs if run.started_at is not None]
    if check.unverified_in_row and check.anchor_at is not None:
        instants.append(check.anchor_at)
    if (alarm := _alarm(check, last)) is not None:
        instants.append(alarm[0])
    return min(instants, default=None)


def verdict(
    check: Check,
    *,
    now: datetime,
    schedule: str,
    last: LastFlip | None = None,
    newest: Newest | None = None,
    again: Again | None = None,
    said: str = "",
    blind: Sequence[Blind] = (),
    known: Known = NOTHING,
    silenced: Sequence[Silenced] = (),
    ties: Ties = NO_TIES,
) -> Verdict:
    """`schedule`: in words. `said`: by the newest run that failed, if it is down by one. `blind`: the intervals that
    end at or after `asks_since`. `known`: what history says to its gates now. `silenced`: by what is in force now.
    `ties`: to others.
    """
    slot = current_slot(check)
    windows = [one.span for one in silenced if one.silence.effect is Effect.IGNORE]
    left = after_windows(check, windows)
    runs = tuple(_under_way(check, run, slot) for run in check.open_runs)
    touches = tuple(Touch(one, what) for one in blind for what in _touched(one, check, slot, runs, last))
    broken = _broken(check, last)
    facts = _Known(
        check=check, now=now, schedule=schedule, slot=slot, runs=runs, blind=touches, broken=broken, last=last,
        known=known, again=again if check.status is Status.DOWN else None,
        left_until=left_until(check, windows),
    )  # fmt: skip
    alarm_at = _alarm_at(left, now)
    parts = (
        _status(facts),
        *_tolerated(facts, alarm_at),
        *_failed_again(facts),
        *([f"It said: {said}"] if said and check.status is Status.DOWN else []),
        *_ignored(newest),
        *_expectation(facts),
        *_left_alone(facts, alarm_at),
        *_bounds(facts),
        *_under_way_words(facts),
        *_deafness(facts),
        *_unready(facts),
        *silenced_words(silenced),
        *ties_words(ties),
    )
    return Verdict(
        is_late=check.status is not Status.NEW
        and slot is not None
        and slot.expected_at <= now
        and not runs
        and not is_excused(slot.expected_at, check.goes_down_at, windows),
        slot=slot,
        runs=runs,
        blind=touches,
        broken_gates=broken,
        tolerated=tolerated_words(check),
        goes_down_at=left.goes_down_at,
        alarm_at=alarm_at,
        sentences=parts,
    )


# --- facts -------------------------------------------------------------------------------------------


def _under_way(check: Check, run: Run, slot: Slot | None) -> UnderWay:
    assert run.started_at is not None
    holds_slot = slot is not None and run.id in slot.held_by
    return UnderWay(run, run.started_at, ends_by(check, run), holds_slot)


def tolerated_words(check: Check) -> str:
    """`1 of 3`; empty: nothing failed, or it is told already."""
    if check.status not in {Status.UP, Status.DEGRADED} or not check.memory.bad:
        return ""
    return tolerances.standing(check.rules.tolerance, check.memory)


def _alarm_at(check: Check, now: datetime) -> datetime | None:
    """As if nothing came any more, and all of it were heard."""
    if check.goes_down_at is None or check.status is Status.DOWN:
        return None
    check, ids = replace(check, unverified_in_row=0), count(-1, -1)
    for _ in range(_MOST_SLOTS):
        if check.goes_down_at is None:
            return None
        through = check.goes_down_at
        check = after_silence(check, through=through, blind=(), new_id=ids.__next__, now=max(now, through)).check
        if check.status is Status.DOWN:
            return check.status_since
    return None


def _touched(
    one: Blind, check: Check, slot: Slot | None, runs: Sequence[UnderWay], last: LastFlip | None
) -> Iterator[Touches]:
    if slot is not None and one.touches(slot.counts_from, slot.closes_at):
        yield Touches.SLOT
    if any(one.touches(run.started_at, run.ends_by) for run in runs):
        yield Touches.RUN
    if check.unverified_in_row and one.to_at == check.anchor_at:
        yield Touches.EXCUSED  # the life of the check counts from its end
    if (alarm := _alarm(check, last)) is not None and one.touches(*alarm):
        yield Touches.ALARM


def _alarm(check: Check, last: LastFlip | None) -> tuple[datetime, datetime] | None:
    """The slot that was missed though we could not hear all of it, from the first instant that may have counted."""
    if check.status_reason is not Reason.MISSED_TWICE_UNVERIFIED or last is None or last.flip.run is None:
        return None
    opened = last.flip.run.slot_at or last.flip.at
    return opened - check.rules.grace, last.flip.at


def _broken(check: Check, last: LastFlip | None) -> tuple[Broken, ...]:
    if check.status_reason is not Reason.GATE or last is None:
        return ()
    run = last.flip.run or Run(id=0)
    reported = Reported(
        metrics=last.metrics,
        took=run.duration,
        covers=run.covers,
        at=run.ended_at or last.flip.at,
        zone=check.rules.zone,
    )
    return gate_rules.broken(check.rules.gates, reported, last.known)


# --- words -------------------------------------------------------------------------------------------


def _status(known: _Known) -> str:
    check, since = known.check, utc(known.check.status_since)
    match check.status:
        case Status.NEW if check.status_reason is Reason.RESUMED:
            return f"It is new since {since}, when somebody resumed it: {_first(known, 'next')}."
        case Status.NEW:
            return f"It is new: {_first(known, 'first')}."
        case Status.UP if check.status_reason is Reason.RETRACTED:
            return f"It is up: a signal reached Heartfly late and took the alarm of {since} back."
        case Status.UP:
            return f"It is up since {since}, when a success came."
        case Status.DEGRADED if check.status_reason in _BREACHES:
            run = known.last.flip.run if known.last is not None else None
            return f"It is degraded since {since}. {breach_words(check.status_reason, check.rules.bounds, run)}"
        case Status.DEGRADED:
            return f"It is degraded since {since}: a success came, but {_figures(known)}."
        case Status.DOWN:
            return f"It is down since {since}. {_alarm_words(known)} It stays down until {_recovery(check)}."
        case _:  # paused
            ends = (
                "only a resume ends that" if check.rules.sticky else "a resume ends that, or its next success or fail"
            )
            return f"It is paused since {since}: nothing is expected, and {ends}."


_BREACHES = frozenset({Reason.TOO_FAST, Reason.TOO_SOON, Reason.TOO_OFTEN})


def what_now(check: Check) -> str:
    """In an alert: until when a check stays as it has become, or when it is expected next. Empty: nothing is."""
    if check.status is Status.DOWN:
        return f"It stays down until {_recovery(check)}."
    if check.status not in {Status.UP, Status.DEGRADED} or check.expected_at is None:
        return ""
    expected = f"Its next success is expected at {utc(check.expected_at)}"
    if check.goes_down_at is None:
        return f"{expected}."
    return f"{expected}; if none has come by {utc(check.goes_down_at)}, that counts as missed."


def _recovery(check: Check) -> str:
    enough = " whose figures hold" if any(gate.level is Level.FAIL for gate in check.rules.gates) else ""
    recover, reports = check.rules.tolerance.recover, check.rules.bounds.reports
    if reports is not None:
        all_of = f"all of {reports} have reported success{enough} again"
        return all_of if recover == 1 else f"{all_of}, {recover} times in a row"
    if recover == 1:
        return f"its next success{enough}"
    good = f"; {check.memory.good} of them came" if check.memory.good else ""
    return f"{recover} successes in a row{enough}{good}"


def _tolerated(known: _Known, alarm_at: datetime | None) -> Iterator[str]:
    check = known.check
    if tolerance := tolerated_words(check):
        since = "" if check.memory.bad_since is None else f" since {utc(check.memory.bad_since)}"
        yield f"It is failing{since}: {tolerance} tolerated, and nobody was told."
    if check.rules.tolerance is not NO_TOLERANCE and check.status in {Status.UP, Status.DEGRADED}:
        silent = "" if alarm_at is None else f" If nothing comes any more, it goes down at {utc(alarm_at)}."
        yield f"It goes down {check.rules.tolerance.text}.{silent}"


def _bounds(known: _Known) -> Iterator[str]:
    check, slot = known.check, known.slot
    bounds, memory = check.rules.bounds, check.memory
    if slot is not None and slot.starts_by is not None:
        yield f"A run must have begun by {utc(slot.starts_by)}."
    elif slot is not None and memory.excused_start == slot.expected_at:
        yield "Heartfly itself could not hear when its start was due, so only its end is wanted."
    if bounds.reports is not None and memory.reported and memory.round_at is not None:
        yield f"{len(memory.reported)} of {bounds.reports} reports have come, the first at {utc(memory.round_at)}."
    if slot is not None and slot.early_from is not None:
        yield f"A success before {utc(slot.early_from)} is too early for that slot, and is not for it."


def _first(known: _Known, which: str) -> str:
    slot = known.slot
    if slot is None:
        return f"nothing is expected until its {which} success"
    if known.now >= slot.closes_at:
        return f"its {which} ping was wanted by {utc(slot.closes_at)}, which is {_judged(known)}"
    then = "it goes down" if known.left_until is None else f"that is {_judged(known)}"
    return f"its {which} ping is wanted by {utc(slot.closes_at)}; without one {then}"


def _judged(known: _Known) -> str:
    """Of what has fallen due."""
    if known.left_until is None:
        return "about to be judged"
    return f"not judged, as maintenance lasts until {utc(known.left_until)}"


def _left_alone(known: _Known, alarm_at: datetime | None) -> Iterator[str]:
    says_so = known.check.rules.tolerance is not NO_TOLERANCE  # beside what is tolerated
    if known.left_until is not None and alarm_at is not None and not says_so:
        yield f"If nothing comes any more, it goes down at {utc(alarm_at)}, after the maintenance."


def _alarm_words(known: _Known) -> str:
    last = known.last
    if last is None:
        return "Why is not known any more."
    if last.said:
        return last.said
    if last.flip.reason is Reason.GATE:
        return f"A success came, but {_figures(known)}."
    return explain(last.flip, _as_it_was(known.check, last.flip), schedule=known.schedule)


def _as_it_was(check: Check, flip: Flip) -> Check:
    """With the grace by which the slot was missed: it may have been edited since."""
    if flip.run is None or flip.run.slot_at is None:
        return check
    return replace(check, rules=replace(check.rules, grace=flip.at - flip.run.slot_at))


def _failed_again(known: _Known) -> Iterator[str]:
    if (again := known.again) is None:
        return
    if again.hung:
        yield f"A run hung since: it was not done by {utc(again.at)}."
    elif again.exit_status:
        yield f"It has failed again since, last with exit status {again.exit_status} at {utc(again.at)}."
    else:
        yield f"It has failed again since, last at {utc(again.at)}."


def _figures(known: _Known) -> str:
    if not known.broken:
        return "its figures broke a gate that has been changed since, or they are not kept any more"
    return "its figures break " + ", ".join(_broken_words(one) for one in known.broken)


def _broken_words(one: Broken) -> str:
    """Of a gate that compares a figure with a number, that says it all."""
    gate = one.gate
    says_all = not gate.over and gate.usual is None and not gate.of_own_duration and gate.op is not Op.UNBROKEN
    return gate.text if says_all else f"{gate.text} ({one.words()})"


def _ignored(newest: Newest | None) -> Iterator[str]:
    if newest is not None and newest.kind is PingKind.IGNORED:
        yield f"Its newest ping, at {utc(newest.at)}, was ignored: by its method, its words, or a pause that is sticky."


def _expectation(known: _Known) -> Iterator[str]:
    check, slot = known.check, known.slot
    if check.status not in {Status.UP, Status.DEGRADED}:
        return
    if check.schedule_error is not None:
        yield f"When it is expected next cannot be worked out: {check.schedule_error}."
    if slot is None:
        if check.schedule_error is None:
            yield f"Its schedule ({known.schedule}) has no further time, so nothing more is expected."
        return
    closes, grace = utc(slot.closes_at), check.rules.grace
    until = f"in time until {closes}"
    if slot.closes_at > slot.expected_at + grace:
        until += ", as a run that is under way may take so long"
    else:
        until += f", the end of the grace of {span(grace)}"
    if known.now >= slot.closes_at:
        yield f"A success was expected by {closes} ({known.schedule}): that is {_judged(known)}."
    elif known.now >= slot.expected_at:
        yield f"A success was expected at {utc(slot.expected_at)} ({known.schedule}) and has not come; it is {until}."
    else:
        yield f"A success is expected at {utc(slot.expected_at)} ({known.schedule}), and {until}."


def _under_way_words(known: _Known) -> Iterator[str]:
    for one in known.runs[:_MOST_NAMED]:
        if known.now >= one.ends_by:
            yield f"The run that started at {utc(one.started_at)} is over its limit: that is {_judged(known)}."
        else:
            yield f"A run is under way since {utc(one.started_at)}; it may take until {utc(one.ends_by)}."
    if (more := len(known.runs) - _MOST_NAMED) > 0:
        yield f"{more} more {'is' if more == 1 else 'are'} under way."


def _deafness(known: _Known) -> Iterator[str]:
    excused = known.check.unverified_in_row > 0
    before = list(known.touching(Touches.EXCUSED))
    for one in before:
        yield f"{explain_blind(one)} That excused the slot before."
    if excused and not before:
        yield "The slot before was excused, as Heartfly itself could not hear for part of it."
    for one in known.touching(Touches.SLOT):
        then = "it is the second in a row, so silence is an alarm" if excused else "silence is unverified, and no alarm"
        if known.check.rules.unverified_is_down:
            then = "the check wants silence to be an alarm all the same"
        yield f"{explain_blind(one)} That touches the slot: {then}."
    for one in known.touching(Touches.RUN):
        yield f"{explain_blind(one)} That touches a run under way, whose end may have come unheard."
    for one in known.touching(Touches.ALARM):
        yield f"{explain_blind(one)} That touches the slot that was missed."


def _unready(known: _Known) -> Iterator[str]:
    check = known.check
    for gate, why in gate_rules.unready(check.rules.gates, known.known, at=known.now, zone_name=check.rules.zone):
        yield f"The gate {gate.text} has nothing to compare with yet: {why}. Until then it holds for any figure."
