"""From lines to batches: what of a log becomes events, what is passed over, and what is told of it at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from heartfly.cli.event_import import Batches, Seen
from heartfly.cli.log_sending import Ready
from heartfly.core.access.as_event import Ids, Shape, event_text, with_id
from heartfly.core.access.formats import reader, takes_usual
from heartfly.core.access.request import Parser, Unread
from heartfly.core.access.usual import UsualLines


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
        names = ("routes", "customers") if counts_names else ()
        self._batches = Batches(put, now=now, since=since, names=names)
        self._format = format_
        self._fields = fields
        self._counts_names = counts_names
        reader(format_, fields=fields)  # whether it can be read is known before any file is
        self._usual = UsualLines(shape) if takes_usual(format_, fields) and not counts_names else None

    def file(self, name: str) -> OneFile:
        return OneFile(self, name, reader(self._format, fields=self._fields), Ids(self._shape.source))

    @property
    def seen(self) -> Seen:
        return self._batches.seen

    def now_is(self, now: datetime) -> None:
        self._batches.now_is(now)

    def take(self, lines: Sequence[bytes], read: Parser, ids: Ids, place: Callable[[int], str]) -> None:
        """`place`: how the n-th of these lines is called, from 0."""
        if self._usual is None:
            for n, raw in enumerate(lines):
                self._one(raw, read, ids, place, n)
            return
        id_of, ats, texts = ids.of, [], []
        for n, usual in enumerate(self._usual.read(lines)):
            if usual is None:
                self._one(lines[n], read, ids, place, n)
            else:
                at, rest = usual
                ats.append(at)
                texts.append(with_id(id_of(lines[n], at), rest))
        self._batches.take(ats, texts)

    def _one(self, raw: bytes, read: Parser, ids: Ids, place: Callable[[int], str], n: int) -> None:
        line = raw.decode("utf-8", "replace")
        found, batches = read(line), self._batches
        if found is None:
            return
        if isinstance(found, Unread):
            batches.unread(place(n), found, line)
            return
        # Before anything is passed over: the id of what follows must not depend on it.
        id_ = ids.of(raw, found.at)
        if not batches.is_wanted(found.at):
            return
        text, customer, route = event_text(found, id_, self._shape)
        if self._counts_names:
            batches.count("routes", f"{found.method or '-'} {route or '-'}")
            batches.count("customers", customer)
        batches.add(found.at, text)

    def flush(self) -> None:
        self._batches.flush()


class OneFile:
    """A file, or what has come to be at its name: it has a header and a count of its own."""

    def __init__(self, whole: Import, name: str, read: Parser, ids: Ids) -> None:
        self._whole = whole
        self._name = name
        self._read = read
        self._ids = ids
        self._n = 0

    def take(self, lines: Sequence[bytes]) -> None:
        if any(line.endswith(b"\r") for line in lines):
            lines = [line.rstrip(b"\r") for line in lines]
        self._whole.take(lines, self._read, self._ids, self._place)
        self._n += len(lines)

    def _place(self, n: int) -> str:
        return f"{self._name}:{self._n + n + 1}"
