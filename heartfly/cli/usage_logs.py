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
from pathlib import Path
from typing import Any

import rich_click as click

from heartfly.cli.client import Client
from heartfly.cli.event_import import Progress, Words, ended, sending, since_at, source_of, tell, why_of
from heartfly.cli.log_files import UNREADABLE, LogFile, Tail
from heartfly.cli.log_import import Import, OneFile
from heartfly.cli.log_sending import Outgoing, Ready
from heartfly.core.access.as_event import Ips, Shape
from heartfly.core.access.customers import CustomerRuleError, Customers, Table, rule_of, table_of
from heartfly.core.access.formats import FORMATS
from heartfly.core.access.json_lines import FieldMapError
from heartfly.core.access.log_format import LogFormatError
from heartfly.core.paths import PathRuleError, Rules, rules_of
from heartfly.sender import SenderError, Target
from heartfly.sender.times import RealTime

_LOOK_EACH_S = 0.5


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
@sending()
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
    out = None if dry_run else Outgoing(target, tell=tell, patience_s=give_up_after, stop=stop)
    time = RealTime()
    try:
        whole = Import(
            _shape(**shaping), out.put if out is not None else _nowhere,
            now=time.now(), format_=_format(format_), fields=dict(_pair(one) for one in fields),
            since=since_at(since), counts_names=dry_run, put_columns=None if out is None else out.put,
        )  # fmt: skip
    except (LogFormatError, FieldMapError) as error:
        raise click.UsageError(f"{'--format' if isinstance(error, LogFormatError) else '--field'} {error}.") from error
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # millions of objects come and go, and none of them holds another in a ring
    shown = Progress(time, shows=sys.stderr.isatty() if progress is None else progress, read="lines")
    run = _Run(whole, stop, time, shown)
    trouble: SenderError | None = None
    try:
        run.follow(files) if follow else run.all_of(files)
        whole.flush()
        if out is not None:
            out.close()
    except SenderError as error:
        trouble = error
    shown.clear()
    ended(whole.seen, out, run.failed, trouble, Words("line", "request"), as_json=as_json)


class _Run:
    """Goes through files. `failed`: those that could not be read, or not to their end, with the reason."""

    def __init__(self, whole: Import, stop: threading.Event, time: RealTime, progress: Progress) -> None:
        self._whole = whole
        self._stop = stop
        self._time = time
        self._progress = progress
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
                self._progress.show(name, self._whole.seen.n_read, before + file.done, total)
            if file.is_unfinished:
                self._progress.say(f"{name}: its last line has no end yet, and was left; it is taken once it has one.")

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
                        self._progress.show(name, self._whole.seen.n_read, 0, 0)
                        if self._stop.is_set():
                            break
                    said.pop(name, None)
                except OSError as error:
                    if said.get(name) != (why := why_of(error)):
                        said[name] = why
                        self._progress.say(f"{name}: {why}; it is looked at again")
            into = {key: file for key, file in into.items() if key[1] in tails[key[0]].numbers}
            self._whole.flush()
            self._time.wait(_LOOK_EACH_S, self._stop)
        for tail in tails.values():
            tail.close()


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
    return Shape(rules, whose, Ips(ips), ip_secret or "", source_of(source))


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
