"""From lines to batches: what of a log becomes events, what is passed over, and what is told of it at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from heartfly.cli.log_sending import Ready
from heartfly.core.access.as_event import Ids, Shape, event_text
from heartfly.core.access.formats import reader
from heartfly.core.access.request import Parser, Unread
from heartfly.core.events import FUTURE

MOST_OF_BATCH = 1_000
MOST_BYTES = 1024 * 1024
MOST_SAMPLES = 5
MOST_NAMES = 100_000
"""Customers and routes that are told apart for people; past it, only those that are known already are counted on."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A line that could not be read: where it stands, and why."""

    place: str
    reason: str
    text: str


@dataclass(slots=True)
class Seen:
    """`n_lines`: without empty ones and comments. `unread`: by reason."""

    n_lines: int = 0
    n_requests: int = 0
    n_before: int = 0
    n_ahead: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    first_at: datetime | None = None
    last_at: datetime | None = None
    customers: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    example: str = ""

    @property
    def n_unread(self) -> int:
        return self.unread.total()


class Import:
    def __init__(
        self,
        shape: Shape,
        put: Callable[[Sequence[Ready]], None],
        *,
        now: datetime,
        format_: str,
        fields: Mapping[str, str],
        since: datetime | None = None,
        counts_names: bool = False,
    ) -> None:
        """`put` takes a batch. `since`: what happened before is passed over. LogFormatError, FieldMapError.

        `counts_names`: of customers and routes.
        """
        self._shape = shape
        self._put = put
        self._ahead = now + FUTURE
        self._format = format_
        self._fields = fields
        self._since = since
        self._counts_names = counts_names
        self._batch: list[Ready] = []
        self._n_bytes = 0
        self.seen = Seen()
        reader(format_, fields=fields)  # whether it can be read is known before any file is

    def file(self, name: str) -> OneFile:
        return OneFile(self, name, reader(self._format, fields=self._fields), Ids(self._shape.source))

    def now_is(self, now: datetime) -> None:
        self._ahead = now + FUTURE

    def take(self, place: Callable[[], str], raw: bytes, read: Parser, ids: Ids) -> None:
        line = raw.decode("utf-8", "replace")
        found = read(line)
        if found is None:
            return
        seen = self.seen
        seen.n_lines += 1
        if isinstance(found, Unread):
            seen.unread[found] += 1
            if len(seen.samples) < MOST_SAMPLES:
                seen.samples.append(Sample(place(), found, line[:200]))
            return
        # Before anything is passed over: the id of what follows must not depend on it.
        id_ = ids.of(raw, found.at)
        seen.n_requests += 1
        if self._since is not None and found.at < self._since:
            seen.n_before += 1
            return
        if found.at > self._ahead:
            seen.n_ahead += 1
            return
        text, customer, route = event_text(found, id_, self._shape)
        self._note(found.at, text)
        if self._counts_names:
            self._count(customer, f"{found.method or '-'} {route or '-'}")
        self._batch.append(Ready(found.at, text))
        self._n_bytes += len(text)
        if len(self._batch) >= MOST_OF_BATCH or self._n_bytes >= MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._batch:
            batch, self._batch, self._n_bytes = self._batch, [], 0
            self._put(batch)

    def _note(self, at: datetime, text: str) -> None:
        seen = self.seen
        seen.example = seen.example or text
        if seen.first_at is None or at < seen.first_at:
            seen.first_at = at
        if seen.last_at is None or at > seen.last_at:
            seen.last_at = at

    def _count(self, customer: str, route: str) -> None:
        for counts, name in ((self.seen.customers, customer), (self.seen.routes, route)):
            if name in counts or len(counts) < MOST_NAMES:
                counts[name] += 1


class OneFile:
    """A file, or what has come to be at its name: it has a header and a count of its own."""

    def __init__(self, whole: Import, name: str, read: Parser, ids: Ids) -> None:
        self._whole = whole
        self._name = name
        self._read = read
        self._ids = ids
        self._n = 0

    def take(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self._n += 1
            self._whole.take(self._place, line.rstrip(b"\r"), self._read, self._ids)

    def _place(self) -> str:
        return f"{self._name}:{self._n}"
