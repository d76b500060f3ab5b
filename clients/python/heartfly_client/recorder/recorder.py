"""From requests to the queue on disk, in a thread; from there the durable sender takes it on, in another.

`record` is all that a request pays for: an entry in a list that is bounded. Nothing here raises into a request.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from heartfly_client.paths import Rules
from heartfly_client.recorder.record import Ips, Record, Shape, dropped_event, event_of
from heartfly_client.sender import (
    DiskQueue,
    GaveUpError,
    QueueBusyError,
    QueueFullError,
    Sender,
    Target,
    TurnedAwayError,
)

_AT_ONCE = 1_000
_ASK_AGAIN_S = 60.0
_log = logging.getLogger("heartfly_client")


class Recorder:
    """Threads begin with the first record, so that it may be made before a server forks."""

    def __init__(
        self,
        folder: str | Path,
        target: Target,
        *,
        rules: Rules | None = None,
        ips: Ips = Ips.TRUNCATE,
        ip_secret: str = "",
        source: str = "",
        most_waiting: int = 10_000,
        every_s: float = 1.0,
        tell: Callable[[str], None] = _log.warning,
    ) -> None:
        """`folder`: of the queue, on a local disk; all workers of an application may share it.

        `most_waiting`: records that wait for their thread; what comes on top is dropped and counted.
        """
        self.queue = DiskQueue(folder)
        self._target = target
        self._shape = Shape(rules or Rules(), Ips(ips), ip_secret, source)
        self._most = most_waiting
        self._every = every_s
        self._tell = tell
        self._waiting: deque[Record] = deque()
        self._lock = threading.Lock()
        self._untold = 0
        self._is_closed = False
        self._pid = 0
        self.recorded = 0
        """Events that are in the queue, or were."""
        self.dropped = 0
        """Records that were lost: the list was full, the queue, or the disk."""

    # --- in the request

    def record(self, record: Record) -> None:
        if len(self._waiting) >= self._most or self._is_closed:
            self._drop(1)
            return
        self._waiting.append(record)
        if self._pid != os.getpid():
            self._start()

    def lost(self, error: Exception) -> None:
        """A record could not be made."""
        self._drop(1)
        self._tell(f"a record is lost: {error!r}")

    def _drop(self, n: int) -> None:
        with self._lock:
            self.dropped += n
            self._untold += n

    # --- in threads

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._name = secrets.token_hex(8)  # of this process: its records are numbered
            self._n = 0
            self._stop = threading.Event()
            self._sender = Sender(self.queue, self._target, stop=self._stop, tell=self._tell)
            self._threads = [
                threading.Thread(target=self._keep_putting, name="heartfly-recorder", daemon=True),
                threading.Thread(target=self._keep_sending, name="heartfly-sender", daemon=True),
            ]
        for thread in self._threads:
            thread.start()

    def _keep_putting(self) -> None:
        while not self._stop.wait(self._every):
            self._put_all()

    def _keep_sending(self) -> None:
        """Of the workers that share a queue one sends; the others look whether it still does."""
        while not self._stop.is_set():
            pause = self._every
            try:
                self._sender.drain(wait=False)
            except QueueBusyError:
                pass
            except GaveUpError:
                return
            except (TurnedAwayError, OSError) as error:
                self._tell(str(error))
                pause = _ASK_AGAIN_S
            self._stop.wait(pause)

    def _put_all(self) -> None:
        """What waits is on the disk, or counted as dropped."""
        while self._waiting:
            some: list[Record] = []
            while self._waiting and len(some) < _AT_ONCE:
                some.append(self._waiting.popleft())
            if events := [event for one in some if (event := self._event(one)) is not None]:
                self._put(events)
        with self._lock:
            lost, self._untold = self._untold, 0
        if lost and not self._put([dropped_event(lost, self._id(), time.time_ns(), self._shape.source)], counts=False):
            with self._lock:
                self._untold += lost

    def _event(self, record: Record) -> bytes | None:
        try:
            return event_of(record, self._id(), self._shape)
        except Exception as error:  # noqa: BLE001 - one that holds what no record can is lost, and not all after it
            self.lost(error)
            return None

    def _id(self) -> str:
        self._n += 1
        return f"{self._name}-{self._n}"

    def _put(self, events: list[bytes], *, counts: bool = True) -> bool:
        try:
            self.queue.put(events)
        except (QueueFullError, OSError) as error:
            self._tell(f"{len(events)} records are lost: {error}")
            if counts:
                self._drop(len(events))
            return False
        if counts:
            self.recorded += len(events)
        return True

    # --- at the end

    def close(self, *, patience_s: float = 5.0) -> None:
        """All records are on the disk, and sent if the server answers in time; what is not waits for the next start."""
        self._is_closed = True
        if self._pid != os.getpid():
            return
        self._stop.set()
        putting, sending = self._threads
        putting.join()
        self._put_all()
        last = threading.Thread(target=self._send_last, args=(sending, patience_s), daemon=True)
        last.start()
        last.join(patience_s)  # a server that says nothing holds nobody up

    def _send_last(self, sending: threading.Thread, patience_s: float) -> None:
        sending.join(patience_s)
        try:
            Sender(self.queue, self._target, tell=self._tell).drain(patience_s=patience_s, wait=False)
        except (GaveUpError, TurnedAwayError, QueueBusyError, OSError) as error:
            self._tell(f"what was recorded waits in {self.queue.folder}: {error}")
