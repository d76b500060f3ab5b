"""What keeps people from hearing of a check now, in words: until when, by whom, and what is meant by it.

From silences as they are stored (core/silence.py decides what each holds). Whose they are is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heartfly.core.silence import Effect, Silence, Span
from heartfly.core.spans import utc

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Silenced:
    """A silence in force that covers a check.

    `span`: its present time. `by`: who made it. `channels`: names of the channels of the check that it is for; empty:
    it is for all.
    """

    silence: Silence
    span: Span
    by: str
    channels: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """All alerts of the check wait, on every channel."""
        return not self.channels and self.silence.below is None


def sentences(silenced: Sequence[Silenced]) -> Iterator[str]:
    """One for each, in the order given; of many the first few."""
    for one in silenced[:_MOST_NAMED]:
        yield _sentence(one)
    if (more := len(silenced) - _MOST_NAMED) > 0:
        yield f"{more} more {'silence covers' if more == 1 else 'silences cover'} it."


def _sentence(one: Silenced) -> str:
    on = f" on {', '.join(one.channels)}" if one.channels else ""
    below = f" for what is less severe than {one.silence.below.value}" if one.silence.below is not None else ""
    who = one.by.removeprefix("user:")
    said = f"It is silenced{on}{below} until {utc(one.span.to_at)}, by {who}: {one.silence.words()}."
    return f"{said} What is missed or hangs until then is not judged." if one.silence.effect is Effect.IGNORE else said
