"""What can go wrong for good. Each says what became of the events: nothing is lost with any of them."""

from __future__ import annotations


class SenderError(Exception):
    """Of all of them."""


class NotAnEventError(SenderError):
    """It is no JSON object, so it cannot be an event; it was not put into the queue."""


class QueueFullError(SenderError):
    """The queue would grow past its bound; nothing of this call was put into it."""


class QueueBusyError(SenderError):
    """Another process is sending from this queue."""


class TurnedAwayError(SenderError):
    """The server takes nothing from us: its address or the key is wrong. All that was not accepted is in the queue."""


class GaveUpError(SenderError):
    """The time to try, or the patience, is over. All that was not accepted is in the queue."""
