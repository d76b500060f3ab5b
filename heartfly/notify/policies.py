"""What a channel is there for, as people set it: read, checked and stored with the channel.

What follows from it for an alert is decided in core/escalation.py, what its own words look like in placeholders.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from heartfly.core import text
from heartfly.core.escalation import (
    LEAST_DELAY,
    LEAST_REMINDING,
    MOST_DELAY,
    MOST_REMINDING,
    MOST_TAGS,
    Policy,
    stored_of,
)
from heartfly.core.words import AlertKind, Severity
from heartfly.errors import InvalidValueError

LONGEST_TITLE, LONGEST_TEXT = 300, 2_000
_LONGEST_TAG = 50


WORDED = tuple(kind.value for kind in AlertKind if kind not in {AlertKind.TEST, AlertKind.DIGEST})
"""Events that may have words of their own."""


@dataclass(frozen=True, slots=True)
class OwnWords:
    """Templates of a channel's messages; either may be empty."""

    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPolicy:
    """`least`: a severity. `after_s`, `every_s`: seconds. `title`, `text`: own words; empty: ours. `words`: by event,
    in the place of these.
    """

    tags: Sequence[str] = ()
    least: str | None = None
    after_s: int | None = None
    every_s: int | None = None
    title: str = ""
    text: str = ""
    words: Mapping[str, OwnWords] = field(default_factory=dict)


def to_store(asked: AskedPolicy) -> dict[str, Any] | None:
    """None: it says nothing. InvalidValueError names the field."""
    if len(asked.tags) > MOST_TAGS:
        raise InvalidValueError("policy.tags", f"must be at most {MOST_TAGS}")
    tags = [text.name(tag, field=f"policy.tags[{n}]", most=_LONGEST_TAG) for n, tag in enumerate(asked.tags)]
    if asked.least is not None and asked.least not in {*Severity}:
        raise InvalidValueError("policy.least", f"must be one of {', '.join(Severity)}")
    policy = Policy(
        tags=tuple(dict.fromkeys(tags)),
        least=None if asked.least is None else Severity(asked.least),
        after=_span(asked.after_s, "policy.after", least=LEAST_DELAY, most=MOST_DELAY),
        every=_span(asked.every_s, "policy.every", least=LEAST_REMINDING, most=MOST_REMINDING),
    )
    words = _words(OwnWords(asked.title, asked.text), "policy")
    of_events: dict[str, dict[str, str]] = {}
    for event, own in asked.words.items():
        if event not in WORDED:
            raise InvalidValueError(f"policy.words.{event[:_LONGEST_EVENT]}", f"is none of {', '.join(WORDED)}")
        if said := _words(own, f"policy.words.{event}"):
            of_events[event] = said
    return stored_of(policy) | words | ({"words": of_events} if of_events else {}) or None


_LONGEST_EVENT = 40


def _words(own: OwnWords, of: str) -> dict[str, str]:
    """As they are stored: what is empty is not."""
    checked = {
        "title": text.one_line(own.title, field=f"{of}.title", most=LONGEST_TITLE),
        "text": text.many_lines(own.text.strip(), field=f"{of}.text", most=LONGEST_TEXT),
    }
    return {name: value for name, value in checked.items() if value}


def _span(seconds: int | None, field: str, *, least: timedelta, most: timedelta) -> timedelta | None:
    if seconds is None:
        return None
    if not least.total_seconds() <= seconds <= most.total_seconds():
        raise InvalidValueError(field, f"must be {least.total_seconds():.0f} to {most.total_seconds():.0f} seconds")
    return timedelta(seconds=seconds)


def own_words(stored: Mapping[str, Any] | None, kind: AlertKind) -> OwnWords | None:
    """For a message about an event of this kind; what the event has no word for has that of all. None: ours."""
    if not stored:
        return None
    general, its = stored, stored.get("words", {}).get(kind.value, {})
    title, words = (its.get(name) or general.get(name, "") for name in ("title", "text"))
    return OwnWords(title, words) if title or words else None
