"""`heartfly usage import-calls`: each row of a CSV of calls to other people's APIs becomes an event, once, however
often it is imported.

Exit codes: 0 done; 1 a file or no row at all could be read; 2 not understood; 3 the server rejected some; 4 it turns us
away; 75 patience is over. To run it again is safe after any.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import rich_click as click

from heartfly.cli.calls_import import UNREADABLE, CsvFile, Import
from heartfly.cli.client import Client
from heartfly.cli.event_import import Progress, Words, ended, sending, since_at, source_of, tell, why_of
from heartfly.cli.log_sending import Outgoing
from heartfly.core.call_csv import NAMES
from heartfly.core.zones import is_zone
from heartfly.errors import InvalidValueError
from heartfly.sender import SenderError, Target
from heartfly.sender.times import RealTime

_LOOK_AFTER = 256
_FORETOLD_WITHIN_S = 10
"""A dry run does not wait for a server to come back."""
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
@sending(asks=True)
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
    stop, time = threading.Event(), RealTime()
    target = Target(api.url, api.key)
    patience_s = _FORETOLD_WITHIN_S if dry_run and give_up_after is None else give_up_after
    out = Outgoing(target, tell=tell, patience_s=patience_s, stop=stop, trial=dry_run) if api.key else None
    whole = Import(
        (lambda _: None) if out is None else out.put,
        mapped=_pairs(mapped, "--map", "COLUMN=PROPERTY"), fixed=_pairs(fixed, "--set", "PROPERTY=TEXT"),
        zone=None if zone is None else ZoneInfo(zone), delimiter=found, source=source_of(source), now=time.now(),
        since=since_at(since),
    )  # fmt: skip
    shown = Progress(time, shows=sys.stderr.isatty() if progress is None else progress, read="rows")
    run = _Run(whole, shown)
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
        shown.clear()
    if out is None:
        tell("No server was asked, for want of a key: what it would refuse is not known.")
    ended(whole.seen, out, run.failed, trouble, Words("row", "call"), as_json=as_json)


class _Run:
    """Goes through files. `failed`: those that could not be read, or not to their end, with the reason."""

    def __init__(self, whole: Import, progress: Progress) -> None:
        self._whole = whole
        self._progress = progress
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
                            self._progress.show(name, self._whole.seen.n_read, sum(sizes[:n]) + file.done, total)
            except UNREADABLE as error:
                self.failed.append(f"{name}: {why_of(error)}")


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
