"""`heartfly audit verify`: whether the audit is what its chain holds, also while Heartfly serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich_click as click
import sqlalchemy as sa
from click.exceptions import Exit
from rich.console import Console
from rich.progress import track
from sqlalchemy import Connection

from heartfly.audit import verify as audit_verify
from heartfly.audit.chain import Link
from heartfly.audit.chain_key import key_of
from heartfly.audit.verify import Fault, Found
from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import AS_JSON, counted, print_json
from heartfly.config import Settings
from heartfly.db import tenant
from heartfly.db.migrate import HEAD, current
from heartfly.db.models import audit_clasps, projects
from heartfly.db.parts import MAIN
from heartfly.db.snapshots import Place, snapshot
from heartfly.errors import StoreError
from heartfly.sealing import Sealer, read_keys

_SHOWN = 20
_NOTED = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Looked:
    found: Found
    newest: Link
    n_waiting: int
    noted: str
    """What is wrong with the clasp that was noted; empty: nothing."""
    names: dict[int, str]
    """Of projects, by number."""


@click.command("verify")
@click.option("--noted", help="A clasp that was noted down elsewhere, NUMBER:HASH, which must be there as it was.")
@AS_JSON
@CONFIG
@DATA
def verify(*, noted: str | None, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Look at each entry of the audit beside what its chain holds. Only reads. Exit 1: something does not hold.

    It needs the database and secret.key, and no server. The newest clasp, which is told last, is what to note down:
    the end of a chain that was cut off, or a whole chain made anew, is seen by nothing else.
    """
    wanted = _noted(noted)
    settings = settings_from(config, DATA__DIR=data)
    with snapshot(_place(settings)) as connection:
        if current(connection, MAIN) != HEAD:
            raise StoreError("the schema is not that of this version: run `heartfly migrate` first")
        looked = _look(connection, _sealer(settings), wanted)
    if as_json:
        print_json(_wire(looked))
    else:
        _tell(looked)
    if looked.found.faults or looked.noted:
        raise Exit(1)


def _noted(noted: str | None) -> Link | None:
    if noted is None:
        return None
    read = _NOTED.fullmatch(noted.strip().lower())
    if read is None:
        raise click.BadParameter("must be NUMBER:HASH, as this command tells it", param_hint="--noted")
    return Link(int(read[1]), bytes.fromhex(read[2]))


def _place(settings: Settings) -> Place:
    """StoreError: there is nothing to look at."""
    url = settings.database_url
    path = None if url.startswith("postgresql") else Path(url.removeprefix("sqlite:///"))
    if path is not None and not path.exists():
        raise StoreError(f"there is no database at {path}")
    return Place(url, path, MAIN)


def _sealer(settings: Settings) -> Sealer:
    """Of the key that is there; none is made here."""
    path = settings.data.dir / "secret.key"
    if not path.exists():
        raise StoreError(
            f"there is no secret.key in {settings.data.dir}, without which nothing can be shown: say --data"
        )
    return Sealer(read_keys(path))


def _look(connection: Connection, sealer: Sealer, noted: Link | None) -> _Looked:
    key, found = key_of(connection, sealer), Found()
    newest = _newest(connection)
    n_waiting = connection.execute(audit_verify.waiting()).scalar_one()
    if key is not None:
        gone = audit_verify.truly_gone(key, connection.execute(audit_verify.projects_gone()))
        behind, began = audit_verify.START, None
        for clasps in track(_batches(connection), "Verifying", console=Console(stderr=True), transient=True):
            entries = connection.execute(audit_verify.entries_of(behind.number, clasps[-1].number))
            began = clasps[0].at if clasps[0].number == 1 else began
            behind = audit_verify.look(key, clasps, entries, gone, behind=behind, began=began, into=found)
        found.faults += audit_verify.told_strays(connection.execute(audit_verify.strays(newest.number)))
    wrong = "" if noted is None else _compared(connection, noted, newest)
    return _Looked(found, newest, n_waiting, wrong, _names(connection, found.faults))


def _batches(connection: Connection) -> Iterator[Any]:
    after = 0
    while clasps := audit_verify.batch_of(connection.execute(audit_verify.next_clasps(after)).all()):
        yield clasps
        after = clasps[-1].number


def _newest(connection: Connection) -> Link:
    row = connection.execute(audit_verify.newest_clasp()).first()
    return audit_verify.START if row is None else Link(row.number, row.hash)


def _compared(connection: Connection, noted: Link, newest: Link) -> str:
    query = sa.select(audit_clasps.c.hash).where(audit_clasps.c.number == noted.number)
    there = connection.execute(query).scalar()
    if there is None and noted.number > newest.number:
        return f"clasp {noted.number} was noted, and the chain ends with {newest.number}: its end was cut off"
    if there != noted.hash:
        return f"clasp {noted.number} is not the one that was noted: the chain was made anew from there or before"
    return ""


def _names(connection: Connection, faults: list[Fault]) -> dict[int, str]:
    pids = {fault.pid for fault in faults if fault.pid is not None}
    living = ~projects.c.slug.startswith(tenant.ERASED)
    query = sa.select(projects.c.id, projects.c.slug).where(living)
    return {row.id: row.slug for row in connection.execute(query) if row.id in pids}


def _wire(looked: _Looked) -> dict[str, Any]:
    found = looked.found
    return {
        "clasps": found.n_clasps,
        "holding": found.n_holding,
        "redacted": found.n_redacted,
        "gone": found.n_gone,
        "late": found.n_late,
        "waiting": looked.n_waiting,
        "newest": _spelled(looked.newest),
        "noted": looked.noted or None,
        "faults": len(found.faults),
        "told": [
            {"clasp": one.clasp, "project": _project(looked, one), "entry": one.id, "what": one.what}
            for one in found.faults[:_SHOWN]
        ],
    }


def _project(looked: _Looked, fault: Fault) -> str | None:
    return None if fault.pid is None else looked.names.get(fault.pid, str(fault.pid))


def _spelled(link: Link) -> str | None:
    return f"{link.number}:{link.hash.hex()}" if link.number else None


def _tell(looked: _Looked) -> None:
    found = looked.found
    if looked.newest.number:
        click.echo(f"As they were: {_entries(found.n_holding)}, in {counted(found.n_clasps, 'clasp')}.")
    for n, what in (
        (found.n_redacted, "redacted: names went from them as a customer was erased"),
        (found.n_gone, "gone with projects that were deleted"),
        (found.n_late, "older than a day as they came into the chain: brought over late, or dated back"),
        (looked.n_waiting, "in no clasp yet, which proves nothing about them"),
    ):
        if n:
            click.echo(f"{_entries(n)} {what}.")
    for fault in found.faults[:_SHOWN]:
        click.echo(f"Does not hold: {fault.words(_project(looked, fault))}.")
    if len(found.faults) > _SHOWN:
        click.echo(f"And {len(found.faults) - _SHOWN} more.")
    if looked.noted:
        click.echo(f"Does not hold: {looked.noted}.")
    if looked.newest.number:
        click.echo(f"The newest clasp, to be noted down elsewhere: {_spelled(looked.newest)}")
    else:
        click.echo("There is no chain yet: the job audit-chain begins it.")


def _entries(n: int) -> str:
    return f"{n} {'entry' if n == 1 else 'entries'}"
