"""From the queue to the server, until each event is accepted, or set aside because it will never be.

What an answer means is decided in wires.py, how long to wait in pace.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .alarm import Alarm
from .errors import GaveUpError, TurnedAwayError
from .exchange import FAILURES, post
from .files import append
from .pace import asked_for, wait_s
from .queue import DiskQueue
from .records import Record
from .times import RealTime, Time
from .wires import Again, Bad, Meaning, Result, Settled, Target, TurnedAway

MOST_BYTES = 1024 * 1024
"""Of one request, about: a single event may be larger."""
_TOLD = 5
"""Reasons that an alarm names."""
_ALARM_EACH_S = 60.0
"""While there is more to send; the rest is told at the end."""


@dataclass(slots=True)
class Tally:
    """What became of events so far, by number."""

    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    set_aside: int = 0


class Sender:
    def __init__(
        self,
        queue: DiskQueue,
        target: Target,
        *,
        dead_letter: Path | None = None,
        log: Path | None = None,
        alarm: Alarm | None = None,
        time: Time | None = None,
        stop: threading.Event | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`dead_letter`: NDJSON of what was set aside; in the queue's directory if not given. `log`: of what was sent.

        `stop`: set, it ends what waits. `tell`: gets a sentence for each failure, for people.
        """
        self._queue = queue
        self._target = target
        self.dead_letter = dead_letter or queue.folder / "dead-letter.ndjson"
        self._log = log
        self._alarm = alarm
        self._time = time or RealTime()
        self._stop = stop or threading.Event()
        self._tell = tell
        self.tally = Tally()
        self._counting = threading.Lock()  # who reads a file sets aside too, in a thread of his own
        self._reasons: dict[str, None] = {}
        self._n_unalarmed = 0
        self._alarmed_at: float | None = None

    def drain(self, *, patience_s: float | None = None, wait: bool = True) -> Tally:
        """Send until nothing waits. `patience_s`: from now; None: for ever. `wait`: for another that sends just now.

        GaveUpError, TurnedAwayError: what was not accepted is in the queue. QueueBusyError.
        """
        ends = None if patience_s is None else self._time.monotonic() + patience_s
        with self._queue.sending(wait=wait):
            try:
                while found := self._queue.oldest(most=self._target.wire.most, most_bytes=MOST_BYTES):
                    self._deliver(found.records, ends)
                    self._queue.forget(found.end)
                    self._raise_alarm(at_most_each_s=_ALARM_EACH_S)
            finally:
                self._raise_alarm()
        return self.tally

    def run(self, *, every_s: float = 1.0) -> None:
        """Send for ever, until `stop` is set: in a thread of yours, say. Looks for new events each `every_s`.

        A server that turns us away is asked again after a minute, and the alarm is raised.
        """
        while not self._stop.is_set():
            pause = every_s
            try:
                self.drain()
            except GaveUpError:
                return
            except TurnedAwayError as error:
                self._tell(str(error))
                self.alarm(str(error))
                pause = 60.0
            self._time.wait(pause, self._stop)

    def set_aside(self, bad: Sequence[tuple[bytes, Result]]) -> None:
        """Write what is no event, or no good one, into the dead letter; the alarm follows with the next batch."""
        now = self._time.now().isoformat()
        with self._counting:
            self._write_aside(bad, now)

    def _write_aside(self, bad: Sequence[tuple[bytes, Result]], now: str) -> None:
        append(
            self.dead_letter,
            [_with_event({"set_aside_at": now, "field": why.field, "reason": why.reason}, text) for text, why in bad],
        )
        self.tally.set_aside += len(bad)
        self._n_unalarmed += len(bad)
        for _, why in bad:
            if len(self._reasons) < _TOLD:
                self._reasons[f"{why.field} {why.reason}".strip()] = None

    def alarm(self, text: str) -> None:
        if self._alarm is not None and (failed := self._alarm.raise_(text)) is not None:
            self._tell(failed)

    # --- one batch

    def _deliver(self, records: Sequence[Record], ends: float | None) -> None:
        damaged = [(record.text, _DAMAGED) for record in records if record.damaged]
        if damaged:
            self.set_aside(damaged)
        parts = [[record.text for record in records if not record.damaged]]
        while parts:
            if not (part := parts.pop()):
                continue
            match self._until_answered(part, ends):
                case Settled(results):
                    self._settle(part, results)
                case Bad(why) if len(part) == 1:
                    self.set_aside([(part[0], Result("rejected", "", why))])
                case Bad():
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                case TurnedAway(why):
                    raise TurnedAwayError(f"{self._target.address} {why}; what was not accepted is kept in the queue")

    def _until_answered(self, texts: Sequence[bytes], ends: float | None) -> Settled | Bad | TurnedAway:
        body, headers = self._target.wire.request(texts)
        headers = {**headers, "Authorization": f"Bearer {self._target.key}"}
        n_failed = 0
        while True:
            asked = None
            meaning: Meaning
            try:
                answer = post(self._target.address, body, headers)
                meaning = self._target.wire.meaning(answer, len(texts))
                asked = asked_for(answer.retry_after, self._time.now())
            except FAILURES as error:
                meaning = Again(f"cannot be reached: {error}")
            if not isinstance(meaning, Again):
                return meaning
            n_failed += 1
            self._pause(wait_s(n_failed, asked), meaning.why, ends)

    def _pause(self, seconds: float, why: str, ends: float | None) -> None:
        over = ends is not None and self._time.monotonic() + seconds > ends
        sentence = f"{self._target.address} {why}"
        if over or self._stop.is_set():
            raise GaveUpError(f"{sentence}; what was not accepted is kept in the queue")
        self._tell(f"{sentence}; next try in {seconds:.1f} s")
        self._time.wait(seconds, self._stop)
        if self._stop.is_set():
            raise GaveUpError("told to stop; what was not accepted is kept in the queue")

    def _settle(self, texts: Sequence[bytes], results: Sequence[Result]) -> None:
        told = list(zip(texts, results, strict=True))
        if bad := [(text, result) for text, result in told if result.status == "rejected"]:
            self.set_aside(bad)
        good = [(text, result.status) for text, result in told if result.status != "rejected"]
        if self._log is not None and good:
            now = self._time.now().isoformat()
            append(self._log, [_with_event({"sent_at": now, "status": status}, text) for text, status in good])
        for _, status in good:
            setattr(self.tally, status, getattr(self.tally, status) + 1)

    def _raise_alarm(self, *, at_most_each_s: float = 0.0) -> None:
        now = self._time.monotonic()
        if self._alarmed_at is not None and now - self._alarmed_at < at_most_each_s:
            return
        with self._counting:
            n, reasons = self._n_unalarmed, list(self._reasons)
            self._n_unalarmed, self._reasons = 0, {}
        if not n:
            return
        self._alarmed_at = now
        told = "1 event was" if n == 1 else f"{n} events were"
        self.alarm("\n".join([f"{told} set aside: see {self.dead_letter}", *reasons]))


_DAMAGED = Result("rejected", "", "was damaged on the sender's disk: its checksum is wrong")


def _with_event(head: dict[str, str], text: bytes) -> bytes:
    """A line of JSON that holds the event to the letter; what is no JSON as a string, `raw`."""
    start = json.dumps(head, ensure_ascii=False)[:-1].encode()
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return start + b', "raw": ' + json.dumps(text.decode("utf-8", "replace")).encode() + b"}"
    return start + b', "event": ' + text + b"}"
