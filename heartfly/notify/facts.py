"""The rows under the sentence: what a reader looks up next, in the order of asking."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from heartfly.core.alerts import Alert, ChannelFacts, CheckFacts, ConcernFacts, RunFacts, cause_words
from heartfly.core.missed import MOST
from heartfly.core.words import AlertKind, Reason, RunOutcome, Status
from heartfly.notify import words
from heartfly.notify.sentences import is_about_its_run, project, shown

MAX_METRICS = 15
VALUE_LIMIT = 300
MAX_VALUES = 8

_OUTCOMES = {
    RunOutcome.OK: "succeeded",
    RunOutcome.DEGRADED: "succeeded, with a warning",
    RunOutcome.FAILED: "failed",
    RunOutcome.HUNG: "did not finish",
    RunOutcome.MISSED: "did not report",
    RunOutcome.UNVERIFIED: "unverified: we could not hear",
    RunOutcome.SUPERSEDED: "replaced by a newer start",
}


def facts(alert: Alert) -> tuple[tuple[str, str], ...]:
    """Return label and value of each row that has something to say."""
    rows = [_when(alert)]
    if alert.run is not None:
        rows += _run(alert.run, alert)
    if alert.check is not None:
        rows += _check(alert.check, alert)
    if alert.n_missed:
        at_least = "at least " if alert.n_missed >= MOST else ""
        rows.append(("Missed meanwhile", f"{at_least}{words.count(alert.n_missed, 'run')}"))
    if alert.channel is not None:
        rows += _channel(alert.channel)
    if alert.concern is not None:
        rows += _concern(alert.concern)
    if alert.cause is not None:
        rows.append(("Part of", cause_words(alert.cause.what, shown(alert.cause.name))))
    rows.append(("Project", project(alert)))
    return tuple((label, value) for label, value in rows if value)


def tail_title(alert: Alert) -> str:
    return "Output of this run" if is_about_its_run(alert) else "Output of the last run"


def _when(alert: Alert) -> tuple[str, str]:
    at = words.full_instant(alert.at, seen_at=alert.decided_at)
    match alert.kind:
        case AlertKind.DOWN:
            return "Down since", at
        case AlertKind.UP if alert.down_since is not None:
            span = words.full_span(alert.down_since, alert.at, seen_at=alert.decided_at)
            return _span_label(alert), f"{span} ({words.duration(alert.at - alert.down_since)})"
        case AlertKind.RULE_RESOLVED | AlertKind.BUDGET_CLEARED if alert.down_since is not None:
            span = words.full_span(alert.down_since, alert.at, seen_at=alert.decided_at)
            return "Lasted", f"{span} ({words.duration(alert.at - alert.down_since)})"
        case AlertKind.RULE_FIRING:
            return "Since", at
        case AlertKind.REMINDER if alert.down_since is not None:
            return "Since", words.full_instant(alert.down_since, seen_at=alert.decided_at)
        case AlertKind.LATE:
            return "Late since", at
        case _:
            return "When", at


def _span_label(alert: Alert) -> str:
    if alert.reason is Reason.RETRACTED:
        return "Shown as down"
    return "Was degraded" if alert.from_status is Status.DEGRADED else "Was down"


def _run(run: RunFacts, alert: Alert) -> Iterator[tuple[str, str]]:
    if not is_about_its_run(alert):
        # One row, lest its exit status be taken for that of the run that is missing.
        yield "Last run", _summary(run, alert)
        return
    yield "This run", ", ".join(_outcome(run, alert))
    if run.exit_status is not None:
        yield "Exit status", str(run.exit_status)
    if run.duration_s is not None:
        yield "Duration", words.duration(timedelta(seconds=run.duration_s))
    if run.rid:
        yield "Run ID", shown(run.rid)
    for name, value in islice(run.metrics.items(), MAX_METRICS):
        yield shown(name, limit=60) or "(no name)", shown(value, limit=VALUE_LIMIT)
    if len(run.metrics) > MAX_METRICS:
        yield "More values", f"{len(run.metrics) - MAX_METRICS} on the page of the check"


def _outcome(run: RunFacts, alert: Alert) -> list[str]:
    outcome = _OUTCOMES[run.outcome] if run.outcome is not None else ""
    at = run.ended_at or run.started_at
    when = words.full_instant(at, seen_at=alert.decided_at) if at is not None else ""
    return [part for part in (outcome, when) if part]


def _summary(run: RunFacts, alert: Alert) -> str:
    parts = _outcome(run, alert)
    if run.duration_s is not None:
        parts.append(f"took {words.duration(timedelta(seconds=run.duration_s))}")
    if run.exit_status:
        parts.append(f"exit status {run.exit_status}")
    parts += [f"{name}={value}" for name, value in islice(run.metrics.items(), MAX_METRICS)]
    return shown(", ".join(parts), limit=VALUE_LIMIT)


def _check(check: CheckFacts, alert: Alert) -> Iterator[tuple[str, str]]:
    run_by = f", as {check.dialect} runs it" if check.dialect not in {"", "cron"} else ""
    yield "Host", shown(check.host)
    yield "Schedule", f"{shown(check.schedule, limit=VALUE_LIMIT)}{shown(run_by)}"
    yield "Grace", words.duration(timedelta(seconds=check.grace_s))
    if check.max_run_s is not None:
        yield "Longest run", words.duration(timedelta(seconds=check.max_run_s))
    yield "Rules", shown("; ".join(check.rules), limit=VALUE_LIMIT)
    yield "Not heard", _unheard(alert)
    yield "Last signal", _last_signal(check, alert)
    yield "Description", shown(check.description, limit=500)
    yield "Tags", shown(" ".join(check.tags), limit=VALUE_LIMIT)


def _unheard(alert: Alert) -> str:
    """Of what a slot was waited for; empty: all of it was heard, or the alert is about no silence."""
    return ", ".join(words.full_span(one.from_at, one.to_at, seen_at=alert.decided_at) for one in alert.unheard)


def _channel(channel: ChannelFacts) -> Iterator[tuple[str, str]]:
    yield "Channel", f"{shown(channel.name)} ({channel.kind})"
    yield "State", "failing" if channel.n_failed else "retrying"
    for label, n in (("Given up", channel.n_failed), ("Waiting", channel.n_waiting)):
        yield label, words.count(n, "alert") if n else ""


def _concern(concern: ConcernFacts) -> Iterator[tuple[str, str]]:
    yield "Severity", concern.severity.value
    yield "Scope", shown(concern.scope, limit=VALUE_LIMIT)
    yield (shown(concern.what).capitalize() or "Figure"), shown(concern.figure, limit=VALUE_LIMIT)
    yield "Threshold", shown(concern.threshold, limit=VALUE_LIMIT)
    yield "Window", shown(concern.window)
    for when, much in concern.values[-MAX_VALUES:]:
        yield shown(when, limit=60), shown(much, limit=60)


def _last_signal(check: CheckFacts, alert: Alert) -> str:
    if check.last_ping_at is None:
        return "none yet"
    kind = f"{check.last_kind}, " if check.last_kind is not None else ""
    at = words.full_instant(check.last_ping_at, seen_at=alert.decided_at)
    age = alert.decided_at - check.last_ping_at
    ago = f" ({words.rough_duration(age)} earlier)" if age >= timedelta(seconds=1) else ""
    return f"{kind}{at}{ago}"
