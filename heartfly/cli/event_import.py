"""What imports of files into events share: what was seen, batches, how far it is, what is told and the exit code.

What a line of a log means, or a row of a CSV: log_import.py, calls_import.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import reduce
from typing import Any, NoReturn

import rich_click as click

from heartfly.cli.client import connected
from heartfly.cli.log_sending import MOST_OF_EVENTS, Fate, Outgoing, Ready
from heartfly.cli.output import AS_JSON, DURATION, counted, plain, print_json, since_instant
from heartfly.core.access.request_columns import RequestColumns
from heartfly.core.by_column import MAX_EVENTS as MOST_OF_COLUMNS
from heartfly.core.events import FUTURE, instant_of
from heartfly.sender import SenderError, TurnedAwayError
from heartfly.sender.times import RealTime

REJECTED, TURNED_AWAY, GAVE_UP = 3, 4, 75
MOST_BYTES = 2 * 1024 * 1024
"""Characters, nearly all of one byte: what is too large after all is sent by halves."""
_MOST_SAMPLES = 5
_MOST_OF_SAMPLE = 200
_MOST_NAMES = 100_000
"""Names that are told apart for people; past it, only those that are known already are counted on."""
_MOST_OF_SOURCE = 100
_SHOW_EACH_S = 0.5
_TOP = 10


def sending(*, asks: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of each import, and `api`. `asks`: a dry run asks the server, too, if there is a key for it."""
    what = "ask what would become of it; nothing is stored." if asks else "ask no server."
    options = (
        click.option(
            "--give-up-after", type=DURATION, help="Try a batch no longer than this, such as 10m.  [for ever]"
        ),
        click.option("--dry-run", is_flag=True, help=f"Say what would be sent; {what}"),
        click.option("--progress/--no-progress", default=None, help="Show how far it is.  [on a terminal]"),
        AS_JSON,
        connected(keyless="dry_run") if asks else connected(offline="dry_run"),
    )
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


@dataclass(frozen=True, slots=True)
class Sample:
    """What could not be read: where it stands, and why."""

    place: str
    reason: str
    text: str


@dataclass(slots=True)
class Seen:
    """`n_read`: lines or rows, without empty ones. `n_understood`: of those. `unread`: by reason.

    `names`: how often each customer was there, each route, and so on; empty if nobody is told.
    """

    names: Mapping[str, Counter[str]]
    n_read: int = 0
    n_understood: int = 0
    n_before: int = 0
    n_ahead: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    first_at: datetime | None = None
    last_at: datetime | None = None
    example: str = ""

    @property
    def n_unread(self) -> int:
        return self.unread.total()


class Batches:
    """Counts what is seen, and hands events on, many at once."""

    def __init__(
        self,
        put: Callable[[Sequence[Ready]], None],
        *,
        now: datetime,
        since: datetime | None,
        names: Sequence[str] = (),
        put_columns: Callable[[RequestColumns], object] | None = None,
    ) -> None:
        """`since`: what happened before is passed over. `names`: which kinds of names are counted."""
        self._put = put
        self._put_columns = put_columns
        self._columns = RequestColumns()
        self._ahead = now + FUTURE
        self._since = since
        self._batch: list[Ready] = []
        self._n_bytes = 0
        self.seen = Seen({one: Counter() for one in names})

    def now_is(self, now: datetime) -> None:
        self._ahead = now + FUTURE

    def unread(self, place: str, reason: str, text: str) -> None:
        seen = self.seen
        seen.n_read += 1
        seen.unread[reason] += 1
        if len(seen.samples) < _MOST_SAMPLES:
            seen.samples.append(Sample(place, reason, text[:_MOST_OF_SAMPLE]))

    def is_wanted(self, at: datetime) -> bool:
        """Of one that was understood: whether it is neither too early nor yet to come. Counts it."""
        seen = self.seen
        seen.n_read += 1
        seen.n_understood += 1
        if self._since is not None and at < self._since:
            seen.n_before += 1
            return False
        if at > self._ahead:
            seen.n_ahead += 1
            return False
        return True

    def take(self, ats: Sequence[datetime], texts: Sequence[str]) -> None:
        """As `is_wanted` and `add`, of many that were understood."""
        if not ats:
            return
        first, last = min(ats), max(ats)
        if last > self._ahead or (self._since is not None and first < self._since):
            for at, text in zip(ats, texts, strict=True):
                if self.is_wanted(at):
                    self.add(at, text)
            return
        seen = self.seen
        seen.n_read += len(ats)
        seen.n_understood += len(ats)
        self._saw(first, texts[0])
        self._saw(last, texts[0])
        self._batch += map(Ready._make, zip(ats, texts, strict=True))
        self._n_bytes += sum(map(len, texts))
        while len(self._batch) >= MOST_OF_EVENTS:
            full, self._batch = self._batch[:MOST_OF_EVENTS], self._batch[MOST_OF_EVENTS:]
            self._n_bytes -= sum(len(one.text) for one in full)
            self._put(full)
        if self._n_bytes >= MOST_BYTES:
            self.flush()

    def take_columns(self, found: RequestColumns) -> None:
        """As `take`; by column, if these are to be handed on so and all of them are wanted."""
        if not len(found):
            return
        first, last = min(found.ats), max(found.ats)
        unwanted = last > self._ahead or (self._since is not None and first < self._since)
        if self._put_columns is None or unwanted:
            self.take(found.ats, found.events())
            return
        seen, waiting = self.seen, self._columns
        seen.n_read += len(found)
        seen.n_understood += len(found)
        self._saw(first, "")
        self._saw(last, "")
        waiting.add(found)
        while len(waiting) >= MOST_OF_COLUMNS:
            self._put_columns(waiting.first(MOST_OF_COLUMNS))

    def _saw(self, at: datetime, text: str) -> None:
        seen = self.seen
        seen.example = seen.example or text
        if seen.first_at is None or at < seen.first_at:
            seen.first_at = at
        if seen.last_at is None or at > seen.last_at:
            seen.last_at = at

    def add(self, at: datetime, text: str) -> None:
        self._saw(at, text)
        self._batch.append(Ready(at, text))
        self._n_bytes += len(text)
        if len(self._batch) >= MOST_OF_EVENTS or self._n_bytes >= MOST_BYTES:
            self.flush()

    def count(self, kind: str, name: str) -> None:
        counts = self.seen.names[kind]
        if name in counts or len(counts) < _MOST_NAMES:
            counts[name] += 1

    def flush(self) -> None:
        self._flush_columns()
        if self._batch:
            batch, self._batch, self._n_bytes = self._batch, [], 0
            self._put(batch)

    def _flush_columns(self) -> None:
        if self._put_columns is not None and len(self._columns):
            columns, self._columns = self._columns, RequestColumns()
            self._put_columns(columns)


# --- what was asked for


def source_of(text: str) -> str:
    """UsageError."""
    if len(text) > _MOST_OF_SOURCE or not text.isprintable():
        raise click.UsageError(f"--source must be up to {_MOST_OF_SOURCE} characters that can be printed.")
    return text


def since_at(given: str | None) -> datetime | None:
    """UsageError."""
    if given is None:
        return None
    text = since_instant(given)
    at = instant_of(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    if at is None:
        raise click.UsageError(f"--since {given} is no span such as 30d, and no instant such as 2026-03-02T01:30:00Z.")
    return at


# --- on the way


class Progress:
    """One line on a terminal that changes. `shows`: whether there is one."""

    def __init__(self, time: RealTime, *, shows: bool, read: str) -> None:
        """`read`: what is counted, in the plural."""
        self._time = time
        self._shows = shows
        self._read = read
        self._begun = self._shown = time.monotonic()

    def show(self, name: str, n: int, done: int, total: int) -> None:
        """`done`, `total`: in bytes."""
        now = self._time.monotonic()
        if self._shows and now - self._shown >= _SHOW_EACH_S:
            self._shown = now
            far = how_far(n, done, total, now - self._begun, read=self._read)
            click.echo(f"\r\x1b[K{plain(name)}: {far}", err=True, nl=False)

    def say(self, sentence: str) -> None:
        self.clear()
        tell(plain(sentence))

    def clear(self) -> None:
        if self._shows:
            click.echo("\r\x1b[K", err=True, nl=False)


def how_far(n: int, done: int, total: int, seconds: float, *, read: str) -> str:
    """`45 %, 120,000 lines, 52,000/s, 3 s left`. `total` 0: nobody knows how much there is."""
    rate = n / seconds if seconds > 0 else 0.0
    words = [f"{n:,} {read}", f"{rate:,.0f}/s"]
    if total and done:
        words.insert(0, f"{100 * min(done, total) // total} %")
        words.append(f"{max(0.0, seconds * (total - done) / done):,.0f} s left")
    return ", ".join(words)


# --- what is told at the end


@dataclass(frozen=True, slots=True)
class Words:
    """`read`: what a file is made of, such as a line. `understood`: what that is, such as a request."""

    read: str
    understood: str


def ended(
    seen: Seen,
    out: Outgoing | None,
    failed: Sequence[str],
    trouble: SenderError | None,
    words: Words,
    *,
    as_json: bool,
) -> None:
    """Tells it, and leaves the program unless all went well. `out` None: nobody was asked. `failed`: files, and why."""
    fate = None if out is None else out.fate
    _report(seen, fate, failed, words, as_json=as_json, trial=out is None or out.trial)
    if trouble is not None:
        again = "" if out is not None and out.trial else " Run it again: what was accepted is known, and counts once."
        tell(f"{trouble}.{again}")
        _leave(TURNED_AWAY if isinstance(trouble, TurnedAwayError) else GAVE_UP)
    if fate is not None and fate.rejected:
        _leave(REJECTED)
    if failed or (seen.n_unread and not seen.n_understood):
        _leave(1)


def _leave(code: int) -> NoReturn:
    raise SystemExit(code)


def _report(seen: Seen, fate: Fate | None, failed: Sequence[str], words: Words, *, as_json: bool, trial: bool) -> None:
    if as_json:
        print_json(_facts(seen, fate, failed, words, trial=trial))
        return
    passed = [f"{counted(n, words.understood)} {why}" for n, why in (
        (seen.n_before, "before --since"), (seen.n_ahead, "more than a day ahead"),
        (fate.too_old if fate is not None else 0, "from before events are kept"),
    ) if n]  # fmt: skip
    click.echo(
        f"{counted(seen.n_read, words.read)}: {counted(seen.n_understood, words.understood)},"
        f" {seen.n_unread} that cannot be read" + (f"; passed over: {', '.join(passed)}." if passed else ".")
    )
    if trial:
        _foretell(seen, fate)
    if fate is not None:
        _tell_fate(fate, would="would be " if trial else "")
    for why, n in seen.unread.most_common(_TOP):
        click.echo(f"  {counted(n, words.read)}: {plain(why)}")
    for sample in seen.samples:
        click.echo(f"    {plain(sample.place)}: {plain(sample.text)}")
    for one in failed:
        tell(plain(one))


def _tell_fate(fate: Fate, *, would: str) -> None:
    click.echo(
        f"{counted(fate.accepted, 'event')} {would}accepted, {fate.duplicate} known already"
        + (f", {fate.conflict} known with other content" if fate.conflict else "")
        + (f", {fate.rejected} {would}rejected" if fate.rejected else "") + "."
    )  # fmt: skip
    for why, n in fate.reasons.items():
        click.echo(f"  {n} rejected: {plain(why)}")


def _foretell(seen: Seen, fate: Fate | None) -> None:
    n = seen.n_understood - seen.n_before - seen.n_ahead - (fate.too_old if fate is not None else 0)
    if not n or seen.first_at is None or seen.last_at is None:
        click.echo("Nothing would be sent.")
        return
    # Which of them are too old only the server knows.
    span = "" if fate is not None and fate.too_old else f", from {_told_at(seen.first_at)} to {_told_at(seen.last_at)}"
    click.echo(f"{counted(n, 'event')} would be sent{span}, such as")
    click.echo(f"  {plain(seen.example)}")
    for what, counts in seen.names.items():
        click.echo(f"{counted(len(counts), what.removesuffix('s'))}, the most frequent:")
        for name, times in counts.most_common(_TOP):
            click.echo(f"  {times:>10,}  {plain(name)}")


def _facts(seen: Seen, fate: Fate | None, failed: Sequence[str], words: Words, *, trial: bool) -> dict[str, Any]:
    became = None if fate is None else asdict(fate)
    return {
        f"{words.read}s": seen.n_read,
        f"{words.understood}s": seen.n_understood,
        "unread": seen.n_unread,
        "unread_reasons": dict(seen.unread.most_common(_TOP)),
        "samples": [asdict(one) for one in seen.samples],
        "before_since": seen.n_before,
        "ahead": seen.n_ahead,
        "first_at": _told_at(seen.first_at),
        "last_at": _told_at(seen.last_at),
        "failed": list(failed),
        "sent": None if trial else became,
        "foretold": became if trial else None,
    } | {what: dict(counts.most_common()) for what, counts in seen.names.items()}


def _told_at(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def why_of(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__


def tell(sentence: str) -> None:
    click.echo(sentence, err=True)
