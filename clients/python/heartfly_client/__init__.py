"""What programs use to talk to a Heartfly. Standard library only.

`sender`: usage events that are on the disk before you go on, and are sent until they are accepted. `recorder`: an event
for each request that an application answers. `calls`: one for each call that it makes to somebody else's API.
"""

from heartfly_client.calls import Call, Calls, LimitReached, Reservation, Unreachable, calls_of
from heartfly_client.recorder import ASGIRecorder, Ips, Recorder, WSGIRecorder

from .sender import (
    METRONOME,
    NATIVE,
    Alarm,
    DiskQueue,
    GaveUpError,
    QueueBusyError,
    QueueFullError,
    Requeued,
    Sender,
    SenderError,
    Tally,
    Target,
    TurnedAwayError,
    heartbeat,
    requeue,
)

__version__ = "0.1.0"

__all__ = [
    "METRONOME",
    "NATIVE",
    "ASGIRecorder",
    "Alarm",
    "Call",
    "Calls",
    "DiskQueue",
    "GaveUpError",
    "Ips",
    "LimitReached",
    "QueueBusyError",
    "QueueFullError",
    "Recorder",
    "Requeued",
    "Reservation",
    "Sender",
    "SenderError",
    "Tally",
    "Target",
    "TurnedAwayError",
    "Unreachable",
    "WSGIRecorder",
    "calls_of",
    "heartbeat",
    "requeue",
]
