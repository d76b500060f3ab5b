"""`heartfly usage import-logs`: each line of an access log becomes an event, once, however often it is imported.

Exit codes: 0 done; 1 a file or no line at all could be read; 2 not understood; 3 the server rejected some; 4 it turns
us away; 75 patience is over. To run it again is safe after any.
"""

from __future__ import annotations

import csv
import gc
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.log_files import UNREADABLE, LogFile, Tail
from heartfly.cli.log_import import Import, OneFile, Seen
from heartfly.cli.log_sending import Fate, Outgoing, Ready
from heartfly.cli.output import AS_JSON, DURATION, counted, plain, print_json, since_instant
from heartfly.core.access.as_event import Ips, Shape
from heartfly.core.access.customers import CustomerRuleError, Customers, Table, rule_of, table_of
from heartfly.core.access.formats import FORMATS
from heartfly.core.access.json_lines import FieldMapError
from heartfly.core.access.log_format import LogFormatError
from heartfly.core.events import instant_of
from heartfly.core.paths import PathRuleError, Rules, rules_of
from heartfly.sender import SenderError, Target, TurnedAwayError
from heartfly.sender.times import RealTime

REJECTED, TURNED_AWAY, GAVE_UP = 3, 4, 75
_LOOK_EACH_S = 0.5
_SHOW_EACH_S = 0.5
_TOP = 10
_MOST_OF_SOURCE = 100


@click.command("import-logs")
@click.argument("files", metavar="FILE|-…", nargs=-1, required=True)
@click.option(
    "--format", "format_", default="auto", show_default=True,
    help=f"One of {', '.join(FORMATS)}; or a log_format of nginx, or @FILE that holds one.",
)  # fmt: skip
@click.option("--field", "fields", multiple=True, metavar="NAME=PATH", help="Of lines of JSON: what stands where.")
@click.option(
    "--customer", "customers", multiple=True, metavar="RULE",
    help="field:NAME, key:NAME, path:N, host or user; the first that finds something says whose it is.",
)  # fmt: skip
@click.option(
    "--customers",
    "table",
    type=click.File("r", encoding="utf-8-sig"),
    help="CSV: what is found, whose it is. `abc*`: by its start.",
)
@click.option(
    "--routes", type=click.File("r", encoding="utf-8-sig"), help="Route templates and rules for paths, one a line."
)
@click.option(
    "--ip", "ips", type=click.Choice([one.value for one in Ips]), default=Ips.TRUNCATE.value, show_default=True,
    help="What is kept of addresses.",
)  # fmt: skip
@click.option("--ip-secret", envvar="HEARTFLY_IP_SECRET", help="For --ip hash.")
@click.option("--source", default="", help="Who wrote the logs, such as web-1: equal lines of two sources are two.")
@click.option("--since", help="Pass over what is older: 30d, or an instant.")
@click.option("--follow", is_flag=True, help="Go on with what is added, through rotation, until it is stopped.")
@click.option("--give-up-after", type=DURATION, help="Try a batch no longer than this, such as 10m.  [for ever]")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; ask no server.")
@click.option("--progress/--no-progress", default=None, help="Show how far it is.  [on a terminal]")
@AS_JSON
@connected(offline="dry_run")
def import_logs(
    *,
    api: Client,
    files: tuple[str, ...],
    format_: str,
    fields: tuple[str, ...],
    follow: bool,
    since: str | None,
    dry_run: bool,
    give_up_after: int | None,
    progress: bool | None,
    as_json: bool,
    **shaping: Any,
) -> None:
    """Make an event `http.request` of each line of access logs: plain or packed files, or `-`. Again is safe."""
    if follow and "-" in files:
        raise click.UsageError("--follow is for files; a pipe is read to its end anyway.")
    stop = threading.Event()
    target = Target(api.url, api.key)
    out = None if dry_run else Outgoing(target, tell=_tell, patience_s=give_up_after, stop=stop)
    time = RealTime()
    try:
        whole = Import(
            _shape(**shaping), out.put if out is not None else _nowhere,
            now=time.now(), format_=_format(format_), fields=dict(_pair(one) for one in fields),
            since=since_at(since), counts_names=dry_run,
        )  # fmt: skip
    except (LogFormatError, FieldMapError) as error:
        raise click.UsageError(f"{'--format' if isinstance(error, LogFormatError) else '--field'} {error}.") from error
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # millions of objects come and go, and none of them holds another in a ring
    run = _Run(whole, stop, time, shows=sys.stderr.isatty() if progress is None else progress)
    trouble: SenderError | None = None
    try:
        run.follow(files) if follow else run.all_of(files)
        whole.flush()
        if out is not None:
            out.close()
    except SenderError as error:
        trouble = error
    run.clear()
    _report(whole.seen, None if out is None else out.fate, run.failed, as_json=as_json)
    if trouble is not None:
        _tell(f"{trouble}. Run it again: what was accepted is known, and counts once.")
        raise SystemExit(TURNED_AWAY if isinstance(trouble, TurnedAwayError) else GAVE_UP)
    if out is not None and out.fate.rejected:
        raise SystemExit(REJECTED)
    if run.failed or (whole.seen.n_unread and not whole.seen.n_requests):
        raise SystemExit(1)


class _Run:
    """Goes through files. `failed`: those that could not be read, or not to their end, with the reason."""

    def __init__(self, whole: Import, stop: threading.Event, time: RealTime, *, shows: bool) -> None:
        self._whole = whole
        self._stop = stop
        self._time = time
        self._shows = shows
        self._begun = self._shown = time.monotonic()
        self.failed: list[str] = []

    def all_of(self, names: Sequence[str]) -> None:
        sizes = [Path(name).stat().st_size if name != "-" and Path(name).is_file() else 0 for name in names]
        total = 0 if "-" in names else sum(sizes)
        for n, name in enumerate(names):
            try:
                self._one(name, sum(sizes[:n]), total)
            except UNREADABLE as error:
                self.failed.append(f"{name}: {why_of(error)}")

    def _one(self, name: str, before: int, total: int) -> None:
        with closing(LogFile(None if name == "-" else Path(name), sys.stdin.buffer)) as file:
            into = self._whole.file(name)
            for lines in file.pieces():
                into.take(lines)
                self._show(name, before + file.done, total)
            if file.is_unfinished:
                self._say(f"{name}: its last line has no end yet, and was left; it is taken once it has one.")

    def follow(self, names: Sequence[str]) -> None:
        """Until somebody stops it; what was read by then is sent."""
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, lambda *_: self._stop.set())
        tails = {name: Tail(Path(name)) for name in names}
        into: dict[tuple[str, int], OneFile] = {}
        said: dict[str, str] = {}
        while not self._stop.is_set():
            self._whole.now_is(self._time.now())
            for name, tail in tails.items():
                try:
                    for number, lines in tail.pieces():
                        if (file := into.get((name, number))) is None:
                            into[name, number] = file = self._whole.file(name)
                        file.take(lines)
                        self._show(name, 0, 0)
                        if self._stop.is_set():
                            break
                    said.pop(name, None)
                except OSError as error:
                    if said.get(name) != (why := why_of(error)):
                        said[name] = why
                        self._say(f"{name}: {why}; it is looked at again")
            into = {key: file for key, file in into.items() if key[1] in tails[key[0]].numbers}
            self._whole.flush()
            self._time.wait(_LOOK_EACH_S, self._stop)
        for tail in tails.values():
            tail.close()

    def _show(self, name: str, done: int, total: int) -> None:
        now = self._time.monotonic()
        if self._shows and now - self._shown >= _SHOW_EACH_S:
            self._shown = now
            click.echo(f"\r\x1b[K{plain(name)}: {how_far(self._whole.seen.n_lines, done, total, now - self._begun)}",
                       err=True, nl=False)  # fmt: skip

    def _say(self, sentence: str) -> None:
        self.clear()
        _tell(plain(sentence))

    def clear(self) -> None:
        if self._shows:
            click.echo("\r\x1b[K", err=True, nl=False)


def how_far(n_lines: int, done: int, total: int, seconds: float) -> str:
    """`45 %, 120,000 lines, 52,000/s, 3 s left`. `total` 0: nobody knows how much there is."""
    rate = n_lines / seconds if seconds > 0 else 0.0
    words = [f"{n_lines:,} lines", f"{rate:,.0f}/s"]
    if total and done:
        words.insert(0, f"{100 * min(done, total) // total} %")
        words.append(f"{max(0.0, seconds * (total - done) / done):,.0f} s left")
    return ", ".join(words)


def _nowhere(_: Sequence[Ready]) -> None:
    """Nothing is sent."""


# --- what was asked for


def _shape(
    *, customers: tuple[str, ...], table: Any, routes: Any, ips: str, ip_secret: str | None, source: str
) -> Shape:
    if ips == Ips.HASH.value and not ip_secret:
        raise click.UsageError(
            "--ip hash needs a --ip-secret (or HEARTFLY_IP_SECRET): without one, hashes of addresses can be undone."
        )
    if len(source) > _MOST_OF_SOURCE or not source.isprintable():
        raise click.UsageError(f"--source must be up to {_MOST_OF_SOURCE} characters that can be printed.")
    try:
        rules: Rules = Rules() if routes is None else rules_of(routes)
    except PathRuleError as error:
        raise click.UsageError(f"--routes, {error}.") from error
    except UnicodeDecodeError as error:
        raise click.UsageError("--routes is no text in UTF-8.") from error
    try:
        whose = Customers([rule_of(one) for one in customers], Table() if table is None else table_of(table))
    except CustomerRuleError as error:
        raise click.UsageError(f"--customer{'s,' if str(error).startswith('line') else ''} {error}.") from error
    except UnicodeDecodeError as error:
        raise click.UsageError("--customers is no text in UTF-8.") from error
    except csv.Error as error:
        raise click.UsageError(f"--customers is no CSV: {error}.") from error
    if table is not None and not customers:
        raise click.UsageError("--customers says whose a thing is; say with --customer where it is found.")
    return Shape(rules, whose, Ips(ips), ip_secret or "", source)


def _format(given: str) -> str:
    if given.startswith("@"):
        try:
            return Path(given[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"--format {given}: {why_of(error)}.") from error
    if given not in FORMATS and "$" not in given:
        raise click.UsageError(f"--format {given} is none of {', '.join(FORMATS)}, and no log_format.")
    return given


def _pair(given: str) -> tuple[str, str]:
    name, found, path = given.partition("=")
    if not (name and found and path):
        raise click.UsageError(f"--field {given} is not NAME=PATH.")
    return name, path


def since_at(given: str | None) -> datetime | None:
    if given is None:
        return None
    text = since_instant(given)
    at = instant_of(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    if at is None:
        raise click.UsageError(f"--since {given} is no span such as 30d, and no instant such as 2026-03-02T01:30:00Z.")
    return at


def why_of(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__


# --- what is told


def _report(seen: Seen, fate: Fate | None, failed: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json(_facts(seen, fate, failed))
        return
    passed = [f"{counted(n, 'request')} {why}" for n, why in (
        (seen.n_before, "before --since"), (seen.n_ahead, "more than a day ahead"),
        (fate.too_old if fate is not None else 0, "from before events are kept"),
    ) if n]  # fmt: skip
    click.echo(
        f"{counted(seen.n_lines, 'line')}: {counted(seen.n_requests, 'request')}, {seen.n_unread} that cannot be read"
        + (f"; passed over: {', '.join(passed)}." if passed else ".")
    )
    if fate is not None:
        click.echo(
            f"{counted(fate.accepted, 'event')} accepted, {fate.duplicate} known already"
            + (f", {fate.conflict} known with other content" if fate.conflict else "")
            + (f", {fate.rejected} rejected" if fate.rejected else "") + "."
        )  # fmt: skip
        for why, n in fate.reasons.items():
            click.echo(f"  {n} rejected: {plain(why)}")
    else:
        _foretell(seen)
    for why, n in seen.unread.most_common(_TOP):
        click.echo(f"  {counted(n, 'line')}: {why}")
    for sample in seen.samples:
        click.echo(f"    {plain(sample.place)}: {plain(sample.text)}")
    for one in failed:
        _tell(plain(one))


def _foretell(seen: Seen) -> None:
    n = seen.n_requests - seen.n_before - seen.n_ahead
    if seen.first_at is None or seen.last_at is None:
        click.echo("Nothing would be sent.")
        return
    click.echo(
        f"{counted(n, 'event')} would be sent, from {told_at(seen.first_at)} to {told_at(seen.last_at)}, such as"
    )
    click.echo(f"  {plain(seen.example)}")
    for what, counts in (("routes", seen.routes), ("customers", seen.customers)):
        click.echo(f"{len(counts)} {what}, the most frequent:")
        for name, times in counts.most_common(_TOP):
            click.echo(f"  {times:>10,}  {plain(name)}")


def _facts(seen: Seen, fate: Fate | None, failed: Sequence[str]) -> dict[str, Any]:
    return {
        "lines": seen.n_lines,
        "requests": seen.n_requests,
        "unread": seen.n_unread,
        "unread_reasons": dict(seen.unread.most_common(_TOP)),
        "samples": [asdict(one) for one in seen.samples],
        "before_since": seen.n_before,
        "ahead": seen.n_ahead,
        "first_at": told_at(seen.first_at),
        "last_at": told_at(seen.last_at),
        "failed": list(failed),
        "sent": None if fate is None else asdict(fate),
    } | ({} if fate is not None else {
        "routes": dict(seen.routes.most_common()), "customers": dict(seen.customers.most_common()),
    })  # fmt: skip


def told_at(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _tell(sentence: str) -> None:
    click.echo(sentence, err=True)
