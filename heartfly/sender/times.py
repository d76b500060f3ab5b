"""The time, for a sender that runs for real. Everything else here asks a `Time`."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Time(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back."""
        ...

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Let them pass, unless `stop` is set first."""
        ...


class RealTime:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        stop.wait(seconds)
