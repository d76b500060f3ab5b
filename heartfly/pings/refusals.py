"""Signals that reached us and were refused for a reason of our own: no room on the disk, too many at once.

A job that was told 503 has done its part. Until it is told otherwise the time of a refusal is time in which we
could not hear: the beat makes a blind interval of it. Refusals for a reason of the client's (a wrong address,
a body that never came) do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """From the receipt of the first signal that was refused to the refusal of the last."""

    from_at: datetime
    to_at: datetime


class Refusals:
    """`note` and `settled` are called in the server's loop; `span` in any thread."""

    def __init__(self) -> None:
        self._span: Refused | None = None

    def note(self, received_at: datetime, refused_at: datetime) -> None:
        if self._span is None:
            self._span = Refused(received_at, max(received_at, refused_at))
        else:
            self._span = Refused(min(self._span.from_at, received_at), max(self._span.to_at, refused_at))

    def span(self) -> Refused | None:
        """What no beat has committed yet."""
        return self._span

    def settled(self, span: Refused | None) -> None:
        """Forget what stands in the database now; what was refused meanwhile is for the next beat."""
        if span is None or self._span is None:
            return
        self._span = None if self._span == span else Refused(min(span.to_at, self._span.to_at), self._span.to_at)
