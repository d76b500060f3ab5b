"""Batches of events to a server, in a thread of their own: tried again until they are answered.

Nothing is kept on disk: the logs are there, and what is sent again counts once. What happened before events are kept is
found out by a dry run, and not sent, so that an old log does not fill the dead letter. A trial is dry runs only.
Requests that come by column go out so where the server takes that, and one by one where it does not.
"""

from __future__ import annotations

import gzip
import json
import queue
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from heartfly.core.access.request_columns import RequestColumns
from heartfly.sender import NATIVE, GaveUpError, Target, TurnedAwayError
from heartfly.sender.exchange import FAILURES, Answer, post
from heartfly.sender.pace import asked_for, wait_s
from heartfly.sender.times import RealTime, Time
from heartfly.sender.wires import Again, Bad, Meaning, Result, Settled, TurnedAway

_WAITING = 2
_TOLD = 5
_COLUMNS = "/columns"
"""Behind the address of events."""
_DRY_RUN = "?dry_run=true"
_UNKNOWN = frozenset({404, 405})
"""What a server answers that takes no columns."""
MOST_OF_EVENTS = 2_000
"""Of one request, one by one."""


def _brief(answer: Answer, n: int) -> Sequence[Result] | None:
    """What became of each of `n` events, by an answer that names those only that are in conflict or rejected.

    Which of the others are new it does not tell, only how many. One that names each is read as it says. None: it says
    nothing of events.
    """
    if (each := NATIVE.results(answer, n)) is not None:
        return each
    try:
        found = json.loads(answer.body)
        told = {int(one["index"]): Result(*(str(one.get(name) or "") for name in _TOLD_OF)) for one in found["results"]}
        n_new, n_known = int(found["accepted"]), int(found["duplicate"])
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None
    apart = {place: one for place, one in told.items() if one.status in {"conflict", "rejected"}}
    if len(apart) + n_new + n_known != n or not all(0 <= place < n for place in apart):
        return None
    others = [_ACCEPTED] * n_new + [_DUPLICATE] * n_known
    for place in sorted(apart):
        others.insert(place, apart[place])
    return others


_TOLD_OF = ("outcome", "field", "reason")
_ACCEPTED, _DUPLICATE = Result("accepted"), Result("duplicate")


def _is_this_machine(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


class Ready(NamedTuple):
    """An event as JSON, and when it happened."""

    at: datetime
    text: str


@dataclass(slots=True)
class Fate:
    """What became of events, by number. `too_old`: they were not sent."""

    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    too_old: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


class Outgoing:
    def __init__(
        self,
        target: Target,
        *,
        tell: Callable[[str], None],
        patience_s: float | None = None,
        time: Time | None = None,
        stop: threading.Event | None = None,
        trial: bool = False,
    ) -> None:
        """`patience_s`: how long one batch is tried; None: for ever, or until `stop`.

        `trial`: the server only says what would become of all this, and stores nothing.
        """
        self.trial = trial
        self._target = target
        # To pack takes a fifth of what a line takes in all, and on this machine there is nothing to be saved by it.
        self._wire = replace(NATIVE, packed=not _is_this_machine(target.url), results=_brief)
        self._tell = tell
        self._patience = patience_s
        self._time = time or RealTime()
        self._stop = stop or threading.Event()
        self._takes_columns = True
        self._waiting: queue.Queue[Sequence[Ready] | RequestColumns | None] = queue.Queue(_WAITING)
        self._trouble: Exception | None = None
        self._reached: datetime | None = None
        self.fate = Fate()
        self._thread = threading.Thread(target=self._run, name="log-sending", daemon=True)
        self._thread.start()

    def put(self, batch: Sequence[Ready] | RequestColumns) -> None:
        """Waits while others wait before it. TurnedAwayError, GaveUpError of an earlier one."""
        self._waiting.put(batch)
        if self._trouble is not None:
            raise self._trouble

    def close(self) -> None:
        """All is answered. The same errors."""
        self._waiting.put(None)
        self._thread.join()
        if self._trouble is not None:
            raise self._trouble

    def _run(self) -> None:
        while (batch := self._waiting.get()) is not None:
            if self._trouble is None:
                try:
                    if not isinstance(batch, RequestColumns):
                        self._deliver(self._young_enough(batch))
                    elif not self._delivered(batch):
                        for some in _one_by_one(batch):
                            self._deliver(self._young_enough(some))
                except Exception as error:  # noqa: BLE001 - raised again by the thread that has the terminal
                    self._trouble = error

    def _delivered(self, batch: RequestColumns) -> bool:
        """By column. False: what of them is taken, and why others are not, they are told one by one."""
        if not self._takes_columns or not self._is_young(batch):
            return False
        meaning = self._columns_answered(batch)
        if isinstance(meaning, Settled):
            self._count(meaning.results)
        return isinstance(meaning, Settled)

    def _is_young(self, batch: RequestColumns) -> bool:
        """As `_young_enough`, of the oldest: whether all are. False as well where no columns are taken."""
        oldest = min(batch.ats)
        if self._reached is not None and oldest >= self._reached:
            return True
        meaning = self._columns_answered(batch.only(batch.ats.index(oldest)), dry_run=True)
        if not isinstance(meaning, Settled) or _is_too_old(meaning.results[0], oldest, self._time.now()):
            return False
        self._reached = oldest
        return True

    def _columns_answered(self, batch: RequestColumns, *, dry_run: bool = False) -> Settled | Bad | None:
        """None: the server takes no columns. TurnedAwayError."""
        body, headers = batch.body().encode(), {"Content-Type": "application/json", "Accept": "application/json"}
        if self._wire.packed:
            body, headers["Content-Encoding"] = gzip.compress(body, compresslevel=6, mtime=0), "gzip"
        address = self._target.address + _COLUMNS + (_DRY_RUN if dry_run else "")
        meaning = self._answered(address, body, headers, len(batch), unknown=_UNKNOWN)
        if isinstance(meaning, TurnedAway):
            raise TurnedAwayError(f"{self._target.address}{_COLUMNS} {meaning.why}")
        self._takes_columns = meaning is not None
        return meaning

    def _young_enough(self, batch: Sequence[Ready]) -> Sequence[Ready]:
        """Asked for only where a log goes further back than anything that the server has said yes to."""
        oldest = min(one.at for one in batch)
        if self._reached is not None and oldest >= self._reached:
            return batch
        meaning = self._until_answered([one.text for one in batch], dry_run=True)
        if not isinstance(meaning, Settled):
            return batch  # sending it says the same, and sees to it
        told = list(zip(batch, meaning.results, strict=True))
        now = self._time.now()
        young = [
            one for one, result in told
            if not _is_too_old(result, one.at, now)
        ]  # fmt: skip
        self.fate.too_old += len(batch) - len(young)
        if young:
            self._reached = min(one.at for one in young)
        return young

    def _deliver(self, batch: Sequence[Ready]) -> None:
        parts = [[one.text for one in batch]]
        while parts:
            if not (part := parts.pop()):
                continue
            match self._until_answered(part, dry_run=self.trial):
                case Settled(results):
                    self._count(results)
                case Bad(why) if len(part) == 1:
                    self._count([Result("rejected", "", why)])
                case Bad():
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                case TurnedAway(why):
                    raise TurnedAwayError(f"{self._target.address} {why}")

    def _count(self, results: Sequence[Result]) -> None:
        statuses = Counter([result.status for result in results])
        for status, n in statuses.items():
            setattr(self.fate, status, getattr(self.fate, status) + n)
        for result in results if statuses["rejected"] else ():
            if result.status == "rejected":
                why = f"{result.field} {result.reason}".strip()
                if why in self.fate.reasons or len(self.fate.reasons) < _TOLD:
                    self.fate.reasons[why] = self.fate.reasons.get(why, 0) + 1

    def _until_answered(self, texts: Sequence[str], *, dry_run: bool = False) -> Settled | Bad | TurnedAway:
        body, headers = self._wire.request([text.encode() for text in texts])
        address = self._target.address + (_DRY_RUN if dry_run else "")
        meaning = self._answered(address, body, headers, len(texts))
        assert meaning is not None
        return meaning

    def _answered(
        self, address: str, body: bytes, headers: Mapping[str, str], n: int, *, unknown: Collection[int] = ()
    ) -> Settled | Bad | TurnedAway | None:
        """`unknown`: statuses of which it is None."""
        headers = {**headers, "Authorization": f"Bearer {self._target.key}", "Prefer": "return=minimal"}
        ends = None if self._patience is None else self._time.monotonic() + self._patience
        n_failed = 0
        while True:
            asked = None
            meaning: Meaning
            try:
                answer = post(address, body, headers)
                if answer.status in unknown:
                    return None
                meaning = self._wire.meaning(answer, n)
                asked = asked_for(answer.retry_after, self._time.now())
            except FAILURES as error:
                meaning = Again(f"cannot be reached: {error}")
            if not isinstance(meaning, Again):
                return meaning
            n_failed += 1
            pause = wait_s(n_failed, asked)
            if self._stop.is_set() or (ends is not None and self._time.monotonic() + pause > ends):
                raise GaveUpError(f"{self._target.address} {meaning.why}")
            self._tell(f"{self._target.address} {meaning.why}; next try in {pause:.1f} s")
            self._time.wait(pause, self._stop)


def _is_too_old(result: Result, at: datetime, now: datetime) -> bool:
    """What is rejected as ahead of us is sent, and told of with its reason."""
    return result.status == "rejected" and result.field == "timestamp" and at < now


def _one_by_one(batch: RequestColumns) -> Iterator[Sequence[Ready]]:
    """No more at a time than are taken so."""
    while len(batch):
        some = batch.first(MOST_OF_EVENTS)
        yield list(map(Ready._make, zip(some.ats, some.events(), strict=True)))
