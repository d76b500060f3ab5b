"""Sends usage events and loses none: on disk first, then to a Heartfly (or a Metronome) until each is accepted.

Stands alone: nothing here imports another part of Heartfly, or anything but the standard library. The distribution
`heartfly-client` (clients/python) holds this very directory, and `heartfly usage send` runs it.
"""

from .alarm import Alarm
from .errors import GaveUpError, QueueBusyError, QueueFullError, SenderError, TurnedAwayError
from .heartbeat import heartbeat
from .queue import DiskQueue
from .requeue import Requeued, requeue
from .send import Sender, Tally
from .wires import METRONOME, NATIVE, Target

__all__ = [
    "METRONOME",
    "NATIVE",
    "Alarm",
    "DiskQueue",
    "GaveUpError",
    "QueueBusyError",
    "QueueFullError",
    "Requeued",
    "Sender",
    "SenderError",
    "Tally",
    "Target",
    "TurnedAwayError",
    "heartbeat",
    "requeue",
]
