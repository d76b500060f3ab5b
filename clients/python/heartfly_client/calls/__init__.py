"""Tells a Heartfly of each call that a program makes to somebody else's API, and asks it beforehand if that is wanted.

Standard library only; httpx and requests are listened to where a program has them.
"""

from heartfly_client.calls.call import Call
from heartfly_client.calls.calls import Calls, Track
from heartfly_client.calls.context import calls_of
from heartfly_client.calls.limits import LimitReached, Reservation, Unreachable

__all__ = ["Call", "Calls", "LimitReached", "Reservation", "Track", "Unreachable", "calls_of"]
