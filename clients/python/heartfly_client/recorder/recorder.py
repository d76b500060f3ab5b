"""What an application's requests leave, on its way to the queue on disk (background.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from heartfly_client.background import Background, warn
from heartfly_client.paths import Rules
from heartfly_client.recorder.record import Ips, Record, Shape, dropped_event, event_of
from heartfly_client.sender import Target


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
        tell: Callable[[str], None] = warn,
    ) -> None:
        """`folder`: of the queue, on a local disk; all workers of an application may share it.

        `most_waiting`: records that wait for their thread; what comes on top is dropped and counted.
        """
        shape = Shape(rules or Rules(), Ips(ips), ip_secret, source)
        self._background: Background[Record] = Background(
            folder,
            target,
            event=lambda record, id_: event_of(record, id_, shape),
            of_lost=lambda n, id_, at_ns: dropped_event(n, id_, at_ns, source),
            name="record",
            most_waiting=most_waiting,
            every_s=every_s,
            tell=tell,
        )
        self.queue = self._background.queue
        self.record = self._background.put
        """All that a request pays for. Nothing is raised into it."""
        self.lost = self._background.lost
        self.close = self._background.close

    @property
    def recorded(self) -> int:
        """Events that are in the queue, or were."""
        return self._background.done

    @property
    def dropped(self) -> int:
        """Records that were lost: the list was full, the queue, or the disk."""
        return self._background.dropped
