"""What each kind of alert says: its label, its tone, and the clause that follows the name.

Every sentence is written for one who is woken by it: what happened first, then when, in UTC.
Facts, layout and the folding of several alerts are message.py's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from heartfly.core.alerts import Alert, TogetherFacts, cause_words
from heartfly.core.causes import Explains
from heartfly.core.words import AlertKind, Reason, Severity, Status
from heartfly.notify import words
from heartfly.notify.text import isolated, one_line

NAME_LIMIT = 100
OTHERS_FAIL = "You get this on another channel. Whoever reads those that fail does not hear of alarms."


class Tone(StrEnum):
    """How a message looks. The words say the same: colour is never the only sign."""

    DOWN = "down"
    UP = "up"
    DEGRADED = "degraded"
    NOTICE = "notice"


_LABELS = {
    AlertKind.DOWN: ("DOWN", Tone.DOWN),
    AlertKind.UP: ("UP", Tone.UP),
    AlertKind.LATE: ("LATE", Tone.DEGRADED),
    AlertKind.DEGRADED: ("DEGRADED", Tone.DEGRADED),
    AlertKind.UNVERIFIED: ("UNVERIFIED", Tone.NOTICE),
    AlertKind.SCHEDULE_ERROR: ("SCHEDULE ERROR", Tone.DEGRADED),
    AlertKind.CHANNEL_FAILING: ("CHANNEL FAILING", Tone.DEGRADED),
    AlertKind.RULE_FIRING: ("ALERT", Tone.DOWN),
    AlertKind.RULE_RESOLVED: ("RESOLVED", Tone.UP),
    AlertKind.BUDGET_REACHED: ("BUDGET", Tone.DEGRADED),
    AlertKind.BUDGET_CLEARED: ("BUDGET IN ORDER", Tone.UP),
    AlertKind.SUCCESS: ("OK", Tone.UP),
    AlertKind.REMINDER: ("STILL DOWN", Tone.DOWN),
    AlertKind.TEST: ("TEST", Tone.NOTICE),
    AlertKind.DIGEST: ("DIGEST", Tone.NOTICE),
}


def label(alert: Alert) -> str:
    if alert.kind is AlertKind.REMINDER and alert.concern is not None:
        return "STILL"
    return _LABELS[alert.kind][0]


def tone(alert: Alert) -> Tone:
    if alert.kind in _FIRING and alert.concern is not None:
        return _TONES[alert.concern.severity]
    return _LABELS[alert.kind][1]


_FIRING = frozenset({AlertKind.RULE_FIRING, AlertKind.BUDGET_REACHED, AlertKind.REMINDER})
_TONES = {
    Severity.LOW: Tone.NOTICE,
    Severity.MEDIUM: Tone.DEGRADED,
    Severity.HIGH: Tone.DOWN,
    Severity.CRITICAL: Tone.DOWN,
}


def shown(name: str, *, limit: int = NAME_LIMIT) -> str:
    """Return a name as it may stand inside a sentence; empty if nothing of it can be shown."""
    return isolated(one_line(name, limit=limit))


def subject(alert: Alert) -> str:
    """Return what the alert is about, as its readers call it."""
    if alert.check is not None:
        check = alert.check
        return shown(check.name) or shown(check.slug) or check.uuid
    if alert.channel is not None:
        return shown(alert.channel.name) or alert.channel.kind
    if alert.concern is not None:
        name, scope = shown(alert.concern.name) or alert.concern.uuid, shown(alert.concern.scope)
        return f"{name} ({scope})" if scope else name
    if alert.together is not None:
        return cause_words(alert.together.what, shown(alert.together.name))
    return project(alert)


def project(alert: Alert) -> str:
    return shown(alert.project_name) or alert.project_slug


def title(alert: Alert) -> str:
    match alert.kind:
        case AlertKind.DOWN if alert.together is not None:
            return f"DOWN: {subject(alert)}: {words.count(alert.together.n, 'job')}"
        case AlertKind.UP if alert.together is not None and alert.together.n_down:
            return f"UP: {subject(alert)}: {_some_up(alert.together)} ({alert.together.n_down} still down)"
        case AlertKind.UP:
            return f"UP: {subject(alert)}{_how_long(alert)}"
        case AlertKind.UNVERIFIED:
            return f"UNVERIFIED: {words.count(len(alert.slots), 'run')} in {project(alert)}"
        case AlertKind.RULE_FIRING | AlertKind.BUDGET_REACHED:
            return f"{label(alert)}: {subject(alert)}{_severely(alert)}"
        case AlertKind.RULE_RESOLVED | AlertKind.BUDGET_CLEARED:
            return f"{label(alert)}: {subject(alert)}{_lasted(alert)}"
        case AlertKind.TEST:
            return f"TEST: alerts of {project(alert)} reach you here"
        case _:
            return f"{label(alert)}: {subject(alert)}"


def sentence(alert: Alert) -> str:
    match alert.kind:
        case AlertKind.TEST:
            return f"This is only a test. Alerts of the project {project(alert)} will reach you here."
        case AlertKind.UNVERIFIED:
            runs = words.count(len(alert.slots), "run")
            return f"We could not see {_blind(alert) or 'for a while'}; {runs} unverified."
        case AlertKind.CHANNEL_FAILING:
            return f"Messages to {subject(alert)} {clause(alert)}."
        case _:
            return f"{subject(alert)} {clause(alert)}."


def clause(alert: Alert) -> str:
    """Return the predicate: what stands between the subject and the full stop."""
    match alert.kind:
        case AlertKind.DOWN:
            return _down(alert) if alert.together is None else _all_down(alert.together, alert)
        case AlertKind.UP:
            return _up(alert) if alert.together is None else _all_up(alert.together, alert)
        case AlertKind.LATE:
            return _late(alert)
        case AlertKind.DEGRADED:
            return f"ran{_at(alert.at, alert)}, but its result breaks a rule (a warning: it is not down)"
        case AlertKind.SCHEDULE_ERROR:
            return "cannot be watched: its schedule raises an error. We try again every hour"
        case AlertKind.CHANNEL_FAILING:
            return _failing(alert)
        case AlertKind.RULE_FIRING:
            return f"has been firing since {_instant(alert.at, alert)}{_figure(alert)}"
        case AlertKind.RULE_RESOLVED:
            return f"is in order again{_at(alert.at, alert)}{_figure(alert)}"
        case AlertKind.BUDGET_REACHED:
            return f"{_says(alert)}{_at(alert.at, alert)}{_figure(alert)}"
        case AlertKind.BUDGET_CLEARED:
            return f"is in order again{_at(alert.at, alert)}{_figure(alert)}"
        case AlertKind.UNVERIFIED:
            return f"has {words.count(len(alert.slots), 'unverified run')}"
        case AlertKind.SUCCESS:
            return f"ran, and went well{_at(alert.at, alert)}"
        case AlertKind.REMINDER:
            return _still(alert)
        case AlertKind.TEST:
            return "sends a test"
        case AlertKind.DIGEST:
            return "sends a digest"
        case _:
            assert_never(alert.kind)


def advice(alert: Alert) -> str:
    """Return what the reader should know or do beyond the sentence, or nothing."""
    match alert.kind, alert.reason:
        case AlertKind.UNVERIFIED, _:
            return (
                "Heartfly itself could not hear, so nothing is known to be wrong. "
                "Each check is judged at its next run; a second silence in a row is an alarm."
            )
        case AlertKind.SCHEDULE_ERROR, _:
            return "Until that works, silence of this check raises no alarm. Please look at its schedule."
        case AlertKind.CHANNEL_FAILING, _:
            return _unheard(alert)
        case AlertKind.UP, Reason.RETRACTED:
            return "Please ignore the alarm before this one."
        case AlertKind.DOWN, Reason.MISSED_TWICE_UNVERIFIED:
            blind = _blind(alert)
            heard = f"We could not hear {blind}, which" if blind else "We could not hear for a while, which"
            return f"{heard} excuses one silent run, not two."
        case _:
            return ""


def is_about_its_run(alert: Alert) -> bool:
    """Tell whether `run` is what the alert is about; after silence it is the run before."""
    return alert.kind is not AlertKind.LATE and alert.reason not in _SILENCE


_SILENCE = frozenset(
    {Reason.MISSED, Reason.MISSED_TWICE_UNVERIFIED, Reason.NO_FIRST_PING, Reason.NOT_STARTED, Reason.TOO_FEW}
)


def _down(alert: Alert) -> str:
    match alert.reason:
        case Reason.MISSED:
            return f"did not report{_deadline(alert)}"
        case Reason.MISSED_TWICE_UNVERIFIED:
            return f"did not report, for the second time in a row{_deadline(alert)}"
        case Reason.NO_FIRST_PING:
            return f"has never reported: its first ping was wanted by {_instant(alert.at, alert)}"
        case Reason.HUNG:
            return _hung(alert)
        case Reason.NOT_STARTED:
            return f"had not started by {_instant(alert.at, alert)}"
        case Reason.TOO_FEW:
            return f"got too few reports by {_instant(alert.at, alert)}"
        case Reason.TOO_FAST:
            return f"finished{_at(alert.at, alert)}, but too fast to be true"
        case Reason.TOO_SOON | Reason.TOO_OFTEN:
            return f"runs too often, again{_at(alert.at, alert)}"
        case Reason.FAIL:
            return f"reported a failure{_at(alert.at, alert)}"
        case Reason.EXIT_STATUS:
            status = alert.run.exit_status if alert.run is not None else None
            shown_status = "" if status is None else f" with exit status {status}"
            return f"failed{shown_status}{_at(alert.at, alert)}"
        case Reason.GATE:
            return f"finished{_at(alert.at, alert)}, but its result breaks a rule that must hold"
        case _:
            return f"is down since {_instant(alert.at, alert)}"


def _is_several(facts: TogetherFacts) -> bool:
    """It is called by a check and those that need it; a host is one thing."""
    return facts.what == Explains.UPSTREAM


def _all_down(facts: TogetherFacts, alert: Alert) -> str:
    since, several = f"since {_instant(alert.at, alert)}", _is_several(facts)
    if several and facts.n_down == facts.n:
        return f"are down, {words.count(facts.n, 'job')} in all, the first {since}"
    if facts.n_down == facts.n:
        return f"has {words.count(facts.n, 'job')} that {'is' if facts.n == 1 else 'are'} down, the first {since}"
    still = f"{facts.n_down} of them still {'is' if facts.n_down == 1 else 'are'}"
    if several:
        return f"went down, {words.count(facts.n, 'job')} in all, the first {since}; {still}"
    return f"has {words.count(facts.n, 'job')} that went down, the first {since}; {still}"


def _some_up(facts: TogetherFacts) -> str:
    return f"{facts.n - facts.n_down} of {words.count(facts.n, 'job')}"


def _all_up(facts: TogetherFacts, alert: Alert) -> str:
    if facts.n_down:
        still = f"{facts.n_down} {'is' if facts.n_down == 1 else 'are'} still down"
        return f"{'have' if _is_several(facts) else 'has'} {_some_up(facts)} up again; {still}"
    since = alert.down_since or alert.at
    lasts = words.rough_duration(alert.at - since)
    if _is_several(facts):
        return f"are in order again after {lasts}: none of these {words.count(facts.n, 'job')} is down any more"
    return f"is in order again after {lasts}: none of its {words.count(facts.n, 'job')} is down any more"


def _still(alert: Alert) -> str:
    since = alert.down_since or alert.at
    what = "is still down" if alert.concern is None else "is still not in order"
    if alert.together is not None and _is_several(alert.together):
        what = "are still down"
    lasts = words.rough_duration(alert.decided_at - since)
    return f"{what}, for {lasts} (since {_instant(since, alert)}), and nobody has acknowledged it"


def _deadline(alert: Alert) -> str:
    check = alert.check
    if check is None or check.expected_at is None or alert.from_status is Status.NEW:
        return f" by {_instant(alert.at, alert)}"  # the first ping of a new check has no grace
    grace = words.duration(timedelta(seconds=check.grace_s))
    expected = _instant(check.expected_at, alert)
    return f": expected at {expected}, its grace of {grace} ended at {_instant(alert.at, alert)}"


def _hung(alert: Alert) -> str:
    started_at = alert.run.started_at if alert.run is not None else None
    if started_at is None:
        return f"has not finished within its time limit, which ended at {_instant(alert.at, alert)}"
    limit = words.duration(alert.at - started_at)
    return f"started at {_instant(started_at, alert)} and has not finished within its limit of {limit}"


def _up(alert: Alert) -> str:
    if alert.reason is Reason.RETRACTED:
        run = alert.run
        # Of a run that is under way: it is the start that was missed.
        signal = "start" if run is not None and run.started_at is not None and run.outcome is None else "success"
        return f"was not down after all: its {signal} signal reached us late"
    reported = f"it reported success{_at(alert.at, alert)}"
    if alert.from_status is Status.DEGRADED:
        return f"is in order again: {reported}"
    missed = f" ({words.count(alert.n_missed, 'run')} missed)" if alert.n_missed else ""
    if alert.down_since is None:
        return f"is up again: {reported}"
    return f"is up again after {words.rough_duration(alert.at - alert.down_since)}{missed}: {reported}"


def _how_long(alert: Alert) -> str:
    if alert.reason is Reason.RETRACTED:
        return " (it was not down after all)"
    if alert.down_since is None:
        return ""
    was = "degraded" if alert.from_status is Status.DEGRADED else "down"
    return f" (was {was} {words.rough_duration(alert.at - alert.down_since)})"


def _late(alert: Alert) -> str:
    check = alert.check
    if check is None or check.expected_at is None:
        return f"is late since {_instant(alert.at, alert)}"
    deadline = check.expected_at + timedelta(seconds=check.grace_s)
    return (
        f"is late: expected at {_instant(check.expected_at, alert)}, "
        f"it goes down at {_instant(deadline, alert)} if it stays silent"
    )


def _says(alert: Alert) -> str:
    return (shown(alert.concern.says) if alert.concern is not None else "") or "has reached a threshold"


def _figure(alert: Alert) -> str:
    """What was seen, against what: as the alert was decided, and to be read without a page. A sentence of its own."""
    concern = alert.concern
    if concern is None or not concern.figure:
        return ""
    what, window = shown(concern.what) or "figure", shown(concern.window)
    against = shown(concern.threshold)
    if alert.kind is AlertKind.RULE_RESOLVED:
        against = shown(concern.says) or (against and f"no longer {against}")
    seen = f"{what[:1].upper()}{what[1:]}{f' in {window}' if window else ''}: {shown(concern.figure)}"
    return f". {seen} ({against})" if against else f". {seen}"


def _severely(alert: Alert) -> str:
    return f" [{alert.concern.severity}]" if alert.concern is not None else ""


def _lasted(alert: Alert) -> str:
    return "" if alert.down_since is None else f" (lasted {words.rough_duration(alert.at - alert.down_since)})"


def _failing(alert: Alert) -> str:
    error = one_line(alert.channel.error, limit=300).rstrip(".") if alert.channel is not None else ""
    return f"do not arrive{': ' + error if error else ''}"


def _unheard(alert: Alert) -> str:
    here = "You get this on another channel."
    if alert.channel is not None and not alert.channel.n_failed:
        return f"{here} We go on trying; until that works, whoever reads the failing one does not hear of alarms."
    return f"{here} Whoever reads the failing one does not hear of alarms."


def _blind(alert: Alert) -> str:
    if alert.blind_from is None or alert.blind_to is None:
        return ""
    return words.span(alert.blind_from, alert.blind_to, seen_at=alert.decided_at)


def _instant(at: datetime, alert: Alert) -> str:
    return words.instant(at, seen_at=alert.decided_at)


def _at(at: datetime, alert: Alert) -> str:
    return f" at {_instant(at, alert)}"
