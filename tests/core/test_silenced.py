"""What keeps people from hearing of a check stands in its explanation: until when, by whom, and what it means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from heartfly.core.silence import Effect, Scope, Silence, SilenceKind, Span
from heartfly.core.silenced import Silenced, sentences
from heartfly.core.verdict import verdict
from heartfly.core.words import Severity
from tests.factories import at, make_check

HOUR = timedelta(hours=1)


def silenced(kind: SilenceKind, channels: tuple[str, ...] = (), **given: Any) -> Silenced:
    facts: dict[str, Any] = {"effect": Effect.HOLD, "scope": Scope.PROJECT, "targets": frozenset()} | given
    silence = Silence(id=1, uuid="s", kind=kind, from_at=at(), to_at=at() + HOUR, **facts)
    return Silenced(silence=silence, span=Span(at(), at() + HOUR), by="user:anna@example.org", channels=channels)


def test_each_silence_says_until_when_and_by_whom() -> None:
    until = "2026-03-02 04:00:00 UTC, by anna@example.org"

    assert [
        f"It is silenced until {until}: snoozed.",
        f"It is silenced until {until}: maintenance “new disk”. What is missed or hangs until then is not judged.",
        f"It is silenced on Ops until {until}: the channel is muted.",
        "1 more silence covers it.",
    ] == list(
        sentences(
            [
                silenced(SilenceKind.SNOOZE),
                silenced(SilenceKind.MAINTENANCE, effect=Effect.IGNORE, note="new disk"),
                silenced(SilenceKind.MUTE, ("Ops",), scope=Scope.CHANNEL),
                silenced(SilenceKind.MUTE),
            ]
        )
    )
    assert [f"It is silenced for what is less severe than critical until {until}: quiet hours."] == list(
        sentences([silenced(SilenceKind.QUIET, below=Severity.CRITICAL)])
    )


def test_only_what_holds_everything_everywhere_silences_a_check_whole() -> None:
    assert silenced(SilenceKind.SNOOZE).is_whole
    assert not silenced(SilenceKind.MUTE, ("Ops",), scope=Scope.CHANNEL).is_whole
    assert not silenced(SilenceKind.QUIET, below=Severity.HIGH).is_whole


def test_an_explanation_ends_with_what_silences_the_check() -> None:
    told = verdict(make_check(), now=at(), schedule="every 1 h", silenced=[silenced(SilenceKind.SNOOZE)])
    assert told.sentences[-1].startswith("It is silenced until")
