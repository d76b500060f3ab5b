"""An alert, or several, in words: made once here, worn by each channel as it likes.

Decided here: title, sentence, links, and how a storm or a stale pair becomes one message.
Not here: limits and escaping of a channel; what each kind says is in sentences.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from heartfly.core.alerts import Alert, DigestFacts, MemberFacts
from heartfly.core.words import AlertKind
from heartfly.notify import digest_words, sentences, words
from heartfly.notify.differing import differing
from heartfly.notify.facts import facts, tail_title
from heartfly.notify.presentable import presentable
from heartfly.notify.sentences import Tone
from heartfly.notify.text import one_line

SLUG_LIMIT = 100
NEW = "new"
"""The form for a new check stands at that address: a check of this slug is linked by its id."""
MOST_NAMED = 100
"""A message names so many subjects; what is beyond them is counted."""
MOST_REASONS = 3
"""So many of those for which several things are told late are named; the others are counted."""
DUPLICATE_NOTE = "You may have had this message already: the first try to send it was cut off."


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a channel is asked to carry: one alert; or several, in order, as one message."""

    id: str
    """The same for each attempt: webhook-id and Message-ID, by which receivers know a repeat."""
    attempt: int
    possible_duplicate: bool
    alerts: tuple[Alert, ...]
    base_url: str
    created_at: datetime
    own_title: str = ""
    own_text: str = ""
    """What the channel says in the place of title and sentence, filled in; empty: what we say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One of several things that a message tells of."""

    label: str
    name: str
    text: str
    link: str
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    title: str
    """The subject line: label, name, and for an end how long it was."""
    label: str
    sentence: str
    tone: Tone
    link: str
    link_text: str
    project: str
    why: tuple[str, ...] = ()
    """Further sentences, a paragraph each."""
    facts: tuple[tuple[str, str], ...] = ()
    tail: str = ""
    tail_title: str = ""
    tail_cut: bool = False
    lines: tuple[Line, ...] = ()
    n_more: int = 0
    """How many there are beyond the lines."""
    differs: tuple[str, ...] = ()
    """What a run that failed said beside the last success: lines with `+`, `-` or a space before them."""
    note: str = ""


def word(delivery: Delivery) -> Message:
    base_url = delivery.base_url
    groups: dict[str, list[Alert]] = {}
    for alert in delivery.alerts:
        groups.setdefault(_subject_key(alert), []).append(alert)
    if len(groups) > 1:
        message = _storm(list(groups.values()), base_url)
    elif len(delivery.alerts) > 1:
        message = _merged([presentable(alert, base_url=base_url) for alert in delivery.alerts], base_url)
    else:
        message = _one(presentable(delivery.alerts[0], base_url=base_url), base_url)
    if len(groups) == 1 and delivery.alerts[-1].together is None:
        # Of a storm, or of a cause that is told as one, its own words would name one check, and hide the others.
        message = replace(
            message, title=delivery.own_title or message.title, sentence=delivery.own_text or message.sentence
        )
    return replace(message, note=DUPLICATE_NOTE) if delivery.possible_duplicate else message


def headline(delivery: Delivery, presented: Sequence[Alert]) -> tuple[str, str]:
    """Title and sentence alone. `presented`: the delivery's alerts, as they may leave the house."""
    if len(presented) == 1 and presented[0].digest is None:
        return sentences.title(presented[0]), sentences.sentence(presented[0])
    message = word(delivery)
    return message.title, message.sentence


def link_to(alert: Alert, base_url: str) -> str:
    """Return the page about the alert's subject. Only ever built on the configured address."""
    if alert.channel is not None:
        return f"{project_link(alert, base_url)}/channels/{quote(alert.channel.uuid, safe='')}"
    if alert.concern is not None:
        page = {"rule": "alerts", "budget": "budgets"}[alert.concern.source]
        return f"{project_link(alert, base_url)}/usage/{page}/{quote(alert.concern.uuid, safe='')}"
    if alert.check is not None:
        slug = alert.check.slug if len(alert.check.slug) <= SLUG_LIMIT and alert.check.slug != NEW else ""
        return f"{project_link(alert, base_url)}/checks/{quote(slug or alert.check.uuid, safe='')}"
    return f"{project_link(alert, base_url)}/checks"


def incident_link(alert: Alert, base_url: str) -> str:
    """Return the page about what began or ended with the alert, where facts, receipts and comments are; or nothing."""
    if alert.incident is None:
        return ""
    return f"{project_link(alert, base_url)}/incidents/{quote(alert.incident, safe='')}"


def project_link(alert: Alert, base_url: str) -> str:
    return f"{base_url.rstrip('/')}/p/{quote(alert.project_slug, safe='')}"


def _one(alert: Alert, base_url: str) -> Message:
    if alert.digest is not None:
        return _digest(alert, alert.digest, base_url)
    return Message(
        title=sentences.title(alert),
        label=sentences.label(alert),
        sentence=sentences.sentence(alert),
        tone=sentences.tone(alert),
        link=_link(alert, base_url),
        link_text=_link_text(alert),
        project=sentences.project(alert),
        why=_why(alert),
        facts=facts(alert),
        tail=alert.run.body_tail if alert.run is not None else "",
        tail_title=tail_title(alert),
        tail_cut=alert.run is not None and alert.run.body_cut,
        differs=differing(alert),
        lines=_slots(alert, base_url) + _members(alert, base_url),
        n_more=max(0, len(alert.slots) - MOST_NAMED) + _n_unnamed(alert),
    )


def _link(alert: Alert, base_url: str) -> str:
    """A rule's page shows its figures and its alerts; what began for a check stands on the incident's."""
    if alert.concern is not None:
        return link_to(alert, base_url)
    return incident_link(alert, base_url) or link_to(alert, base_url)


def _digest(alert: Alert, digest: DigestFacts, base_url: str) -> Message:
    items = digest_words.items(alert, digest)
    return Message(
        title=digest_words.title(alert, digest),
        label=digest_words.label(digest),
        sentence=digest_words.sentence(alert, digest),
        tone=digest_words.tone(digest),
        link=link_to(alert, base_url),
        link_text=_link_text(alert),
        project=sentences.project(alert),
        why=digest_words.why(digest),
        facts=digest_words.facts(alert, digest),
        lines=tuple(
            Line(
                label=item.label,
                name=item.name,
                text=item.text,
                link=f"{project_link(alert, base_url)}/{item.page}/{quote(item.uuid, safe='')}",
                tone=item.tone,
            )
            for item in items[:MOST_NAMED]
        ),
        n_more=digest_words.n_items(digest) - min(len(items), MOST_NAMED),
    )


def _merged(alerts: list[Alert], base_url: str) -> Message:
    """Several changes of one check that waited together: the last counts, none is left out."""
    last = alerts[-1]
    # What the job said when it failed tells more than what it said when it was well again.
    telling = next((alert for alert in alerts if alert.kind is AlertKind.DOWN and _has_tail(alert)), last)
    message = replace(
        _one(last, base_url),
        why=tuple(dict.fromkeys(why for alert in alerts for why in _why(alert))),
        tail=telling.run.body_tail if telling.run is not None else "",
        tail_title=tail_title(last) if telling is last else "Output of the run that failed",
        tail_cut=telling.run is not None and telling.run.body_cut,
        differs=differing(telling),
        # Of a check that flapped for hours the latest changes.
        lines=tuple(_line([alert], base_url) for alert in alerts[-MOST_NAMED:]),
    )
    name = sentences.subject(last)
    if last.concern is not None and _is_begun_and_ended(alerts):
        return replace(message, sentence=f"{name} {_grouped(alerts)}.")
    if not _is_down_then_up(alerts):
        changes = words.count(len(alerts), "change")
        return replace(message, sentence=f"{changes} since the last message. Now: {message.sentence}")
    gone = words.rough_duration(last.at - alerts[0].at)
    return replace(message, title=f"UP: {name} (was down {gone})", sentence=f"{name} {_grouped(alerts)}.")


def _storm(groups: list[list[Alert]], base_url: str) -> Message:
    """Many subjects in a short time: one message that names every one of them, the worst first."""
    groups = sorted(groups, key=lambda group: _WORST_FIRST.index(sentences.tone(group[-1])))
    alerts = [alert for group in groups for alert in group]
    labels = Counter(sentences.label(group[-1]) for group in groups)
    # Ten thousand alerts may come as one message: only those that it names are worth the work.
    named = [[presentable(alert, base_url=base_url) for alert in group] for group in groups[:MOST_NAMED]]
    worst = named[0][-1]
    noun, page = _of_what(alerts)
    return Message(
        title=_storm_title(labels, noun, project=sentences.project(worst)),
        label=sentences.label(worst) if len(labels) == 1 else "CHANGES",
        sentence=_storm_sentence(labels, noun, alerts),
        tone=sentences.tone(worst),
        link=f"{project_link(worst, base_url)}/{page}",
        link_text=f"Open the {page}",
        project=sentences.project(worst),
        why=_why_together(labels, noun) + _why_late(groups),
        lines=tuple(_line(group, base_url) for group in named),
        n_more=len(groups) - len(named),
    )


def _of_what(alerts: Sequence[Alert]) -> tuple[str, str]:
    """What they are called, and the page that lists them."""
    if all(alert.channel is not None for alert in alerts):
        return "channel", "channels"
    of_checks = all(alert.concern is None and alert.together is None for alert in alerts)
    return ("check", "checks") if of_checks else ("alert", "incidents")


def _why_together(labels: Counter[str], noun: str) -> tuple[str, ...]:
    if noun == "channel":
        return (sentences.OTHERS_FAIL,)
    return ("They may have one cause.",) if labels["DOWN"] > 1 else ()


_WORST_FIRST = (Tone.DOWN, Tone.DEGRADED, Tone.NOTICE, Tone.UP)
_STORM_VERBS = {"DOWN": "went down", "UP": "came up again", "ALERT": "began", "RESOLVED": "ended"}


def _storm_title(labels: Counter[str], noun: str, *, project: str) -> str:
    if len(labels) == 1:
        return f"{next(iter(labels))}: {words.count(labels.total(), noun)} in {project}"
    return f"{', '.join(f'{number} {label}' for label, number in labels.items())} in {project}"


def _storm_sentence(labels: Counter[str], noun: str, alerts: list[Alert]) -> str:
    seen_at = max(alert.decided_at for alert in alerts)
    first, last = min(alert.at for alert in alerts), max(alert.at for alert in alerts)
    instant = words.instant(first, seen_at=seen_at)
    when = f"at {instant}" if first == last else f"within {words.span(first, last, seen_at=seen_at)}"
    if noun == "channel":
        return f"Messages to {words.count(labels.total(), noun)} do not arrive: it was noticed {when}."
    verb = _STORM_VERBS.get(next(iter(labels)), "changed") if len(labels) == 1 else "changed"
    return f"{words.count(labels.total(), noun)} {verb} {when}."


def _line(group: list[Alert], base_url: str) -> Line:
    last = group[-1]
    return Line(
        label=sentences.label(last),
        name=sentences.subject(last),
        text=f"{'its messages ' if last.channel is not None else ''}{_grouped(group)}",
        link=link_to(last, base_url),
        tone=sentences.tone(last),
    )


def _grouped(alerts: list[Alert]) -> str:
    """Return the clause for one or several changes of one check."""
    if len(alerts) == 1:
        return sentences.clause(alerts[0])
    if _is_down_then_up(alerts):
        return f"was down for {words.rough_duration(alerts[-1].at - alerts[0].at)} (now up)"
    if _is_begun_and_ended(alerts):
        return f"fired for {words.rough_duration(alerts[-1].at - alerts[0].at)} (now in order)"
    return f"{sentences.clause(alerts[-1])} ({words.count(len(alerts), 'change')})"


def _is_down_then_up(alerts: list[Alert]) -> bool:
    return [alert.kind for alert in alerts] == [AlertKind.DOWN, AlertKind.UP]


def _is_begun_and_ended(alerts: list[Alert]) -> bool:
    return [alert.kind for alert in alerts] == [AlertKind.RULE_FIRING, AlertKind.RULE_RESOLVED]


def _slots(alert: Alert, base_url: str) -> tuple[Line, ...]:
    return tuple(
        Line(
            label="UNVERIFIED",
            name=sentences.shown(slot.check_name) or slot.check_uuid,
            text=f"expected at {words.instant(slot.expected_at, seen_at=alert.decided_at)}",
            link=f"{project_link(alert, base_url)}/checks/{quote(slot.check_uuid, safe='')}",
            tone=Tone.NOTICE,
        )
        for slot in alert.slots[:MOST_NAMED]
    )


def _members(alert: Alert, base_url: str) -> tuple[Line, ...]:
    """Of a cause that is told as one, each of its checks."""
    if alert.together is None:
        return ()

    def text(one: MemberFacts) -> str:
        if one.up_at is None:
            return f"is down since {words.instant(one.down_at, seen_at=alert.decided_at)}"
        return f"was down for {words.rough_duration(one.up_at - one.down_at)} (now up)"

    return tuple(
        Line(
            label="DOWN" if one.up_at is None else "UP",
            name=sentences.shown(one.check_name) or one.check_uuid,
            text=text(one),
            link=f"{project_link(alert, base_url)}/checks/{quote(one.check_uuid, safe='')}",
            tone=Tone.DOWN if one.up_at is None else Tone.UP,
        )
        for one in alert.together.members[:MOST_NAMED]
    )


def _n_unnamed(alert: Alert) -> int:
    return 0 if alert.together is None else alert.together.n - min(len(alert.together.members), MOST_NAMED)


def _why(alert: Alert) -> tuple[str, ...]:
    late = f"You hear of it only now: {one_line(alert.held, limit=500)}." if alert.held else ""
    verdict = one_line(alert.verdict, limit=300)
    paragraphs = (one_line(alert.explain, limit=500), verdict, sentences.advice(alert), late)
    return tuple(text for text in paragraphs if text)


def _why_late(groups: list[list[Alert]]) -> tuple[str, ...]:
    """Of several subjects: why some or all of them are told only now."""
    reasons = list(dict.fromkeys(one_line(alert.held, limit=500) for group in groups for alert in group if alert.held))
    if not reasons:
        return ()
    n = sum(any(alert.held for alert in group) for group in groups)
    which = "them" if n == len(groups) else f"{n} of them"
    more = len(reasons) - MOST_REASONS
    others = f"; and {words.count(more, 'other reason')}" if more > 0 else ""
    return (f"You hear of {which} only now: {'; '.join(reasons[:MOST_REASONS])}{others}.",)


def _has_tail(alert: Alert) -> bool:
    return alert.run is not None and bool(alert.run.body_tail)


def _link_text(alert: Alert) -> str:
    if alert.channel is not None:
        return "Open the channel"
    if alert.concern is not None:
        return f"Open the {alert.concern.source}"
    if alert.incident is not None:
        return "Open the incident"
    return "Open the check" if alert.check is not None else "Open the checks"


def _subject_key(alert: Alert) -> str:
    if alert.together is not None:
        return f"cause {alert.incident}"
    if alert.concern is not None:
        return f"{alert.concern.uuid} {alert.concern.scope}"
    return alert.check.uuid if alert.check is not None else alert.key
