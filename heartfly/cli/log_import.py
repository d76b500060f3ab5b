"""From lines to batches: what of a log becomes events, what is passed over, and what is told of it at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from heartfly.cli.event_import import Batches, Seen
from heartfly.cli.log_sending import Ready
from heartfly.core.access.as_event import Shape, event_text, with_id
from heartfly.core.access.formats import reader, takes_usual
from heartfly.core.access.line_ids import Ids
from heartfly.core.access.request import Parser, Request, Unread
from heartfly.core.access.request_columns import RequestColumns
from heartfly.core.access.usual import Parted, Usual, UsualLines, none_usual


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
        put_columns: Callable[[RequestColumns], object] | None = None,
    ) -> None:
        """`put` takes a batch, and `put_columns` one of usual requests by column; None: they go to `put` as well.

        `since`: what happened before is passed over. `counts_names`: of customers and routes. LogFormatError,
        FieldMapError.
        """
        self._shape = shape
        names = ("routes", "customers") if counts_names else ()
        self._batches = Batches(put, now=now, since=since, names=names, put_columns=put_columns)
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
        parted = none_usual(len(lines)) if self._usual is None else self._usual.read(lines)
        if parted.plain is None:
            parted.columns.ids = ids.of_all(lines, parted.columns.ats)
            self._batches.take_columns(parted.columns)
        else:
            self._take_mixed(lines, parted, parted.plain, read=read, ids=ids, place=place)

    def _take_mixed(
        self,
        lines: Sequence[bytes],
        parted: Parted,
        is_plain: Sequence[bool],
        *,
        read: Parser,
        ids: Ids,
        place: Callable[[int], str],
    ) -> None:
        """Some of them are read line by line."""
        columns = parted.columns
        plain, others = iter(columns.ats), iter(parted.others)
        found: list[tuple[bytes, datetime, Usual | Request | None]] = []
        for n, (raw, of_columns) in enumerate(zip(lines, is_plain, strict=True)):
            if of_columns:
                found.append((raw, next(plain), None))
            elif (made := next(others) or self._read(raw, read, place, n)) is not None:
                found.append((raw, made[0], made))
        # Of all in their order, before anything is passed over: the id of what follows must not depend on it.
        names = ids.of_all([raw for raw, _, _ in found], [at for _, at, _ in found])
        told = list(zip(names, found, strict=True))
        columns.ids = [name for name, (_, _, made) in told if made is None]
        self._batches.take_columns(columns)
        usual = [(name, made) for name, (_, _, made) in told if made is not None and not isinstance(made, Request)]
        self._batches.take([at for _, (at, _) in usual], [with_id(name, rest) for name, (_, rest) in usual])
        for name, (_, _, made) in told:
            if isinstance(made, Request):
                self._add(made, name)

    def _read(self, raw: bytes, read: Parser, place: Callable[[int], str], n: int) -> Request | None:
        line = raw.decode("utf-8", "replace")
        told = read(line)
        if isinstance(told, Unread):
            self._batches.unread(place(n), told, line)
            return None
        return told

    def _add(self, found: Request, name: str) -> None:
        batches = self._batches
        if not batches.is_wanted(found.at):
            return
        text, customer, route = event_text(found, name, self._shape)
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
