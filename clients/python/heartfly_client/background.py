"""From a program's calls to the queue on disk, in a thread; from there the durable sender takes it on, in another.

`put` is all that a program pays for: an entry in a list that is bounded. Nothing here raises into it. What is put, and
which event is made of it, the recorder and the tracker of calls say.
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
from typing import Generic, TypeVar

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
warn = _log.warning

Item = TypeVar("Item")


class Background(Generic[Item]):
    """Threads begin with the first item, so that it may be made before a server forks."""

    def __init__(
        self,
        folder: str | Path,
        target: Target,
        *,
        event: Callable[[Item, str], bytes],
        of_lost: Callable[[int, str, int], bytes],
        name: str,
        most_waiting: int = 10_000,
        every_s: float = 1.0,
        tell: Callable[[str], None] = warn,
    ) -> None:
        """`folder`: of the queue, on a local disk; all processes of an application may share it.

        `event`: of an item and an id that no other event has; whatever it raises costs this item. `of_lost`: of the
        number that was dropped, an id and the time in ns. `most_waiting`: items that wait for their thread; what comes
        on top is dropped and counted. `name`: of an item, in words.
        """
        self.queue = DiskQueue(folder)
        self._target = target
        self._event_of = event
        self._of_lost = of_lost
        self._name_of_item = name
        self._most = most_waiting
        self._every = every_s
        self._tell = tell
        self._waiting: deque[Item] = deque()
        self._lock = threading.Lock()
        self._untold = 0
        self._is_closed = False
        self._pid = 0
        self.done = 0
        """Events that are in the queue, or were."""
        self.dropped = 0
        """Items that were lost: the list was full, the queue, or the disk."""

    # --- in the program

    def put(self, item: Item) -> None:
        if len(self._waiting) >= self._most or self._is_closed:
            self.drop(1)
            return
        self._waiting.append(item)
        if self._pid != os.getpid():
            self._start()

    def also(self, item: Item) -> None:
        """What an item was found to hold beside itself, by whoever makes events; it is one more of the same list."""
        self._waiting.append(item)

    def lost(self, error: Exception) -> None:
        """An item could not be made."""
        self.drop(1)
        self._tell(f"a {self._name_of_item} is lost: {error!r}")

    def drop(self, n: int) -> None:
        with self._lock:
            self.dropped += n
            self._untold += n

    # --- in threads

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._name = secrets.token_hex(8)  # of this process: its items are numbered
            self._n = 0
            self._stop = threading.Event()
            self._putting = threading.Lock()
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
        """Of the processes that share a queue one sends; the others look whether it still does."""
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
        with self._putting:  # `flush` may be at it
            while self._waiting:
                some: list[Item] = []
                while self._waiting and len(some) < _AT_ONCE:
                    some.append(self._waiting.popleft())
                if events := [event for one in some if (event := self._event(one)) is not None]:
                    self._put(events)
            with self._lock:
                lost, self._untold = self._untold, 0
            if lost and not self._put([self._of_lost(lost, self._id(), time.time_ns())], counts=False):
                with self._lock:
                    self._untold += lost

    def _event(self, item: Item) -> bytes | None:
        try:
            return self._event_of(item, self._id())
        except Exception as error:  # noqa: BLE001 - one that holds what no event can is lost, and not all after it
            self.lost(error)
            return None

    def _id(self) -> str:
        self._n += 1
        return f"{self._name}-{self._n}"

    def _put(self, events: list[bytes], *, counts: bool = True) -> bool:
        try:
            self.queue.put(events)
        except (QueueFullError, OSError) as error:
            self._tell(f"{len(events)} {self._name_of_item}s are lost: {error}")
            if counts:
                self.drop(len(events))
            return False
        if counts:
            self.done += len(events)
        return True

    # --- at the end

    def flush(self) -> None:
        """All that was put is on the disk, or counted as dropped, when this returns."""
        if self._pid == os.getpid():
            self._put_all()

    def close(self, *, patience_s: float = 5.0) -> None:
        """All items are on the disk, and sent if the server answers in time; what is not waits for the next start."""
        self._is_closed = True
        if self._pid != os.getpid():
            return
        self._stop.set()
        putting, sending = self._threads
        putting.join()
        self._put_all()
        last = threading.Thread(target=self._send_last, args=(sending, patience_s), name="heartfly-sender", daemon=True)
        last.start()
        last.join(patience_s)  # a server that says nothing holds nobody up

    def _send_last(self, sending: threading.Thread, patience_s: float) -> None:
        sending.join(patience_s)
        try:
            Sender(self.queue, self._target, tell=self._tell).drain(patience_s=patience_s, wait=False)
        except (GaveUpError, TurnedAwayError, QueueBusyError, OSError) as error:
            self._tell(f"what was recorded waits in {self.queue.folder}: {error}")
