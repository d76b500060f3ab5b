"""`heartfly usage import-calls`: each row of a CSV of calls to other people's APIs becomes an event, once, however
often it is imported.

Exit codes: 0 done; 1 a file or no row at all could be read; 2 not understood; 3 the server rejected some; 4 it turns us
away; 75 patience is over. To run it again is safe after any.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import rich_click as click

from heartfly.cli.calls_import import UNREADABLE, CsvFile, Import, Seen
from heartfly.cli.client import Client, connected
from heartfly.cli.log_sending import Fate, Outgoing
from heartfly.cli.output import AS_JSON, DURATION, counted, plain, print_json
from heartfly.cli.usage_logs import GAVE_UP, REJECTED, TURNED_AWAY, how_far, since_at, told_at, why_of
from heartfly.core.call_csv import NAMES
from heartfly.core.zones import is_zone
from heartfly.errors import InvalidValueError
from heartfly.sender import SenderError, Target, TurnedAwayError
from heartfly.sender.times import RealTime

_SHOW_EACH_S = 0.5
_LOOK_AFTER = 256
_TOP = 10
_MOST_OF_SOURCE = 100
_DELIMITERS = {"auto": "", "tab": "\t"}


@click.command("import-calls")
@click.argument("files", metavar="FILE|-…", nargs=-1, required=True)
@click.option(
    "--map", "mapped", multiple=True, metavar="COLUMN=PROPERTY",
    help=f"Which column is what: {', '.join(NAMES)}, or units.KIND. One that is called so already needs no word.",
)  # fmt: skip
@click.option("--set", "fixed", multiple=True, metavar="PROPERTY=TEXT", help="What is the same in each row.")
@click.option("--zone", help="Of times that tell none, such as Europe/Berlin.")
@click.option("--delimiter", default="auto", show_default=True, help="One character, or `tab`.")
@click.option("--source", default="", help="Whose file it is, such as gateway-1: equal rows of two sources are two.")
@click.option("--since", help="Pass over what is older: 30d, or an instant.")
@click.option("--give-up-after", type=DURATION, help="Try a batch no longer than this, such as 10m.  [for ever]")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; ask no server.")
@click.option("--progress/--no-progress", default=None, help="Show how far it is.  [on a terminal]")
@AS_JSON
@connected(offline="dry_run")
def import_calls(
    *,
    api: Client,
    files: tuple[str, ...],
    mapped: tuple[str, ...],
    fixed: tuple[str, ...],
    zone: str | None,
    delimiter: str,
    source: str,
    since: str | None,
    give_up_after: int | None,
    dry_run: bool,
    progress: bool | None,
    as_json: bool,
) -> None:
    """Make an event `api.call` of each row of a CSV: plain or packed files, or `-`. Again is safe."""
    if zone is not None and not is_zone(zone):
        raise click.UsageError(f"--zone {zone} is no time zone, such as Europe/Berlin.")
    if len(found := _DELIMITERS.get(delimiter, delimiter)) > 1:
        raise click.UsageError("--delimiter must be one character, `tab` or `auto`.")
    if len(source) > _MOST_OF_SOURCE or not source.isprintable():
        raise click.UsageError(f"--source must be up to {_MOST_OF_SOURCE} characters that can be printed.")
    stop, time = threading.Event(), RealTime()
    target = Target(api.url, api.key)
    out = None if dry_run else Outgoing(target, tell=_tell, patience_s=give_up_after, stop=stop)
    whole = Import(
        (lambda _: None) if out is None else out.put,
        mapped=_pairs(mapped, "--map", "COLUMN=PROPERTY"), fixed=_pairs(fixed, "--set", "PROPERTY=TEXT"),
        zone=None if zone is None else ZoneInfo(zone), delimiter=found, source=source, now=time.now(),
        since=since_at(since),
    )  # fmt: skip
    run = _Run(whole, time, shows=sys.stderr.isatty() if progress is None else progress)
    trouble: SenderError | None = None
    try:
        run.all_of(files)
        whole.flush()
        if out is not None:
            out.close()
    except SenderError as error:
        trouble = error
    except InvalidValueError as error:
        raise click.UsageError(f"--{error.field}: {error.message}.") from error
    finally:
        run.clear()
    _report(whole.seen, None if out is None else out.fate, run.failed, as_json=as_json)
    if trouble is not None:
        _tell(f"{trouble}. Run it again: what was accepted is known, and counts once.")
        raise SystemExit(TURNED_AWAY if isinstance(trouble, TurnedAwayError) else GAVE_UP)
    if out is not None and out.fate.rejected:
        raise SystemExit(REJECTED)
    if run.failed or (whole.seen.n_unread and not whole.seen.n_calls):
        raise SystemExit(1)


class _Run:
    """Goes through files. `failed`: those that could not be read, or not to their end, with the reason."""

    def __init__(self, whole: Import, time: RealTime, *, shows: bool) -> None:
        self._whole = whole
        self._time = time
        self._shows = shows
        self._begun = self._shown = time.monotonic()
        self.failed: list[str] = []

    def all_of(self, names: Sequence[str]) -> None:
        sizes = [Path(name).stat().st_size if name != "-" and Path(name).is_file() else 0 for name in names]
        total = 0 if "-" in names else sum(sizes)
        for n, name in enumerate(names):
            try:
                file = CsvFile(None if name == "-" else Path(name), sys.stdin.buffer)
                with file.text() as text:
                    for read, _ in enumerate(self._whole.file(name, text)):
                        if read % _LOOK_AFTER == 0:
                            self._show(name, sum(sizes[:n]) + file.done, total)
            except UNREADABLE as error:
                self.failed.append(f"{name}: {why_of(error)}")

    def _show(self, name: str, done: int, total: int) -> None:
        now = self._time.monotonic()
        if self._shows and now - self._shown >= _SHOW_EACH_S:
            self._shown = now
            far = how_far(self._whole.seen.n_rows, done, total, now - self._begun)
            click.echo(f"\r\x1b[K{plain(name)}: {far}", err=True, nl=False)

    def clear(self) -> None:
        if self._shows:
            click.echo("\r\x1b[K", err=True, nl=False)


def _pairs(given: Sequence[str], option: str, shape: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        # A column may have any name; a property has no `=` in it.
        name, is_there, value = one.rpartition("=") if option == "--map" else one.partition("=")
        if not (name and is_there and value):
            raise click.UsageError(f"{option} {one} is not {shape}.")
        if name in found:
            raise click.UsageError(f"{option} {name} is said twice.")
        found[name] = value
    return found


# --- what is told


def _report(seen: Seen, fate: Fate | None, failed: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json(_facts(seen, fate, failed))
        return
    passed = [f"{counted(n, 'call')} {why}" for n, why in (
        (seen.n_before, "before --since"), (seen.n_ahead, "more than a day ahead"),
        (fate.too_old if fate is not None else 0, "from before events are kept"),
    ) if n]  # fmt: skip
    click.echo(
        f"{counted(seen.n_rows, 'row')}: {counted(seen.n_calls, 'call')}, {seen.n_unread} that cannot be read"
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
        click.echo(f"  {counted(n, 'row')}: {plain(why)}")
    for sample in seen.samples:
        click.echo(f"    {plain(sample.place)}: {plain(sample.text)}")
    for one in failed:
        _tell(plain(one))


def _foretell(seen: Seen) -> None:
    n = seen.n_calls - seen.n_before - seen.n_ahead
    if seen.first_at is None or seen.last_at is None:
        click.echo("Nothing would be sent.")
        return
    click.echo(
        f"{counted(n, 'event')} would be sent, from {told_at(seen.first_at)} to {told_at(seen.last_at)}, such as"
    )
    click.echo(f"  {plain(seen.example)}")
    for what, counts in (("providers", seen.providers), ("customers", seen.customers)):
        click.echo(f"{len(counts)} {what}, the most frequent:")
        for name, times in counts.most_common(_TOP):
            click.echo(f"  {times:>10,}  {plain(name)}")


def _facts(seen: Seen, fate: Fate | None, failed: Sequence[str]) -> dict[str, Any]:
    return {
        "rows": seen.n_rows,
        "calls": seen.n_calls,
        "unread": seen.n_unread,
        "unread_reasons": dict(seen.unread.most_common(_TOP)),
        "samples": [asdict(one) for one in seen.samples],
        "before_since": seen.n_before,
        "ahead": seen.n_ahead,
        "first_at": told_at(seen.first_at),
        "last_at": told_at(seen.last_at),
        "providers": dict(seen.providers.most_common()),
        "customers": dict(seen.customers.most_common()),
        "failed": list(failed),
        "sent": None if fate is None else asdict(fate),
    }


def _tell(sentence: str) -> None:
    click.echo(sentence, err=True)
