"""From lines to batches: what of a log becomes events, what is passed over, and what is told of it at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from heartfly.cli.event_import import Batches, Seen
from heartfly.cli.log_sending import Ready
from heartfly.core.access.as_event import Ids, Shape, event_text, with_id
from heartfly.core.access.formats import reader, takes_usual
from heartfly.core.access.request import Parser, Request, Unread
from heartfly.core.access.usual import Usual, UsualLines


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
        told = [None] * len(lines) if self._usual is None else self._usual.read(lines)
        usual = [one for one in told if one is not None]
        if len(usual) == len(lines):
            self._put(usual, ids.of_all(lines, [at for at, _ in usual]))
        else:
            self._take_mixed(lines, told, read, ids, place)

    def _take_mixed(
        self,
        lines: Sequence[bytes],
        told: Sequence[Usual | None],
        read: Parser,
        ids: Ids,
        place: Callable[[int], str],
    ) -> None:
        """Some of them are read line by line."""
        found: list[tuple[bytes, Usual | Request]] = []
        for n, (raw, one) in enumerate(zip(lines, told, strict=True)):
            if one is not None:
                found.append((raw, one))
                continue
            line = raw.decode("utf-8", "replace")
            other = read(line)
            if isinstance(other, Unread):
                self._batches.unread(place(n), other, line)
            elif other is not None:
                found.append((raw, other))
        # Of all in their order, before anything is passed over: the id of what follows must not depend on it.
        names = ids.of_all([raw for raw, _ in found], [one[0] for _, one in found])
        usual: list[Usual] = []
        of_usual: list[str] = []
        for name, (_, made) in zip(names, found, strict=True):
            if isinstance(made, Request):
                self._add(made, name)
            else:
                usual.append(made)
                of_usual.append(name)
        self._put(usual, of_usual)

    def _put(self, usual: Sequence[Usual], names: Sequence[str]) -> None:
        told = zip(names, usual, strict=True)
        self._batches.take([at for at, _ in usual], [with_id(name, rest) for name, (_, rest) in told])

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
