"""The job that watches a project's data: looks each minute whether sources and customers are silent, or endpoints
degraded, and pings the check of each watch with what it found.

The rules are core's (data_silence.py, degradation.py). Whoever was found silent stays so until he is heard again. A
look that fails says so in its own check, and holds up no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly import __version__
from heartfly.core import data_silence
from heartfly.core.data_silence import GIVEN_UP, Limits, Silence, apart, silence, usual
from heartfly.core.degradation import Standing, degraded, stepped
from heartfly.core.windows import Window
from heartfly.core.words import PingKind
from heartfly.core.zones import is_zone
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import projects
from heartfly.errors import HeartflyError
from heartfly.jobs.kind import Done, Work
from heartfly.pings.ingest import Ingest
from heartfly.pings.request import ByUuid, PingRequest
from heartfly.traffic.watched import (
    deaf,
    endpoints_before,
    endpoints_now,
    quiet_customers,
    quiet_sources,
)
from heartfly.traffic.watches import ALL, JOB, Kind, keep, list_watches, provide_check

NAME = JOB
MOST_TOLD = 50
"""Names that one check tells, the worst first."""
_MOST_NAME = 100


@dataclass(slots=True)
class Look:
    """What a look at a watch found. `wrong`: in words, the worst first. `standing`: for the next look."""

    wrong: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    standing: dict[str, Any] = field(default_factory=dict)
    excused: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        more = len(self.wrong) - MOST_TOLD
        return "; ".join(self.wrong[:MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")


def watching(usage: Database, ingest: Ingest, *, ids: IdSource) -> Callable[[Work], Awaitable[Done]]:
    async def watch(work: Work) -> Done:
        async with work.read() as main:
            rows = await list_watches(main, work.pid)
            name = (await main.execute(sa.select(projects.c.zone).where(projects.c.id == work.pid))).scalar_one()
            blind = apart(await deaf(main, work.now - GIVEN_UP))
        zone = ZoneInfo(name if is_zone(name) else "UTC")
        n_wrong, failed = 0, list[str]()
        for row in rows:
            try:
                look = await _look(usage, row, now=work.now, zone=zone, blind=blind)
            except HeartflyError as error:  # told by the job's own check
                failed.append(f"{_called(row)} could not be looked at: {error}")
                continue
            n_wrong += bool(look.wrong)
            if address := await work.write(partial(_kept, row=row, look=look, at=work.now, ids=ids)):
                await _tell(ingest, address, look)
        figures = {"watches": len(rows), "alarming": n_wrong, "failed": len(failed)}
        return Done(figures=figures, failure="; ".join(failed))

    return watch


def _kept(tx: Tx, row: Any, look: Look, at: datetime, ids: IdSource) -> str:
    """Where to tell it; empty: nowhere."""
    now_is = keep(tx, row, standing=look.standing, words=look.words, at=at)
    return "" if now_is is None else provide_check(tx, now_is, _called(row), at=at, ids=ids)


def _called(row: Any) -> str:
    """What is watched. A customer by his id, as a check's name stays when he is erased."""
    what = {Kind.SOURCE: "silence of source", Kind.CUSTOMER: "silence of customer", Kind.ENDPOINT: "endpoint"}
    one = what[Kind(row.kind)]
    return f"{one}s" if row.what == ALL else f"{one} {row.what}"


async def _tell(ingest: Ingest, address: str, look: Look) -> None:
    target = ByUuid(address)
    seq, now = ingest.arrived(target)
    lines = [*([look.words] if look.wrong else []), *look.excused[:MOST_TOLD]]
    lines += [f"{name}={value}" for name, value in look.figures.items()]
    body = "\n".join(lines).encode()
    try:
        await ingest.submit(
            PingRequest(
                target=target,
                kind=PingKind.FAIL if look.wrong else PingKind.SUCCESS,
                received_at=now,
                seq=seq,
                method="POST",
                scheme="job",
                agent=f"Heartfly/{__version__}",
                body=body,
                body_size=len(body),
                metrics={name: Decimal(value) for name, value in look.figures.items()},
            )
        )
    finally:
        ingest.gone(seq)


async def _look(usage: Database, row: Any, *, now: datetime, zone: ZoneInfo, blind: Sequence[Window]) -> Look:
    kind = Kind(row.kind)
    if kind is Kind.ENDPOINT:
        return await _endpoints(usage, row, now=now, zone=zone)
    return await _silent(usage, row, kind, now=now, zone=zone, blind=blind)


async def _silent(
    usage: Database, row: Any, kind: Kind, *, now: datetime, zone: ZoneInfo, blind: Sequence[Window]
) -> Look:
    limits = Limits(gap=timedelta(seconds=row.limits["gap_s"]), factor=row.limits["factor"], least=row.limits["least"])
    ask = quiet_sources if kind is Kind.SOURCE else quiet_customers
    async with usage.read() as read:
        quiet, n_watched = await ask(read, row.pid, row.what, now=now, gap=limits.gap, zone=zone)
    found: list[tuple[Silence, str]] = []
    look = Look()
    words = data_silence.of_source if kind is Kind.SOURCE else data_silence.of_customer
    for key, one in quiet.items():
        name = one.name[:_MOST_NAME]

        def expected(hour: datetime, one: Any = one) -> data_silence.Came | None:
            return usual(hour, one.came, one.first_at, zone)

        known = row.standing.get(key)
        said: Silence | None
        if known is not None and known["last_at"] == one.last_at.isoformat():
            said = _going_on(known, now - one.last_at)
        else:
            said = silence(one.last_at, now=now, expected=expected, deaf=blind, limits=limits)
            if said is None:
                if silence(one.last_at, now=now, expected=expected, deaf=(), limits=limits) is not None:
                    look.excused.append(f"{name} may have been heard while Heartfly itself did not hear")
                continue
        look.standing[key] = _remembered(said, one.last_at)
        found.append((said, words(name, said)))
    found.sort(key=lambda pair: (-(pair[0].n * (pair[0].lasted // timedelta(seconds=1))), pair[1]))
    look.wrong = [text for _, text in found]
    look.figures = {"watched": n_watched, "silent": len(found)}
    return look


def _remembered(said: Silence, last_at: datetime) -> Mapping[str, Any]:
    return {
        "last_at": last_at.isoformat(),
        "missing": str(said.missing),
        "turns": str(said.turns),
        "n": str(said.n),
        "deaf_s": said.deaf.total_seconds(),
    }


def _going_on(known: Mapping[str, Any], lasted: timedelta) -> Silence:
    """One that was told already: what was usual then."""
    missing, turns, n = (Fraction(known[name]) for name in ("missing", "turns", "n"))
    return Silence(lasted=lasted, missing=missing, turns=turns, n=n, deaf=timedelta(seconds=known["deaf_s"]))


async def _endpoints(usage: Database, row: Any, *, now: datetime, zone: ZoneInfo) -> Look:
    factor, least = row.limits["factor"], row.limits["least"]
    async with usage.read() as read:
        seen = await endpoints_now(read, row.pid, row.what, now=now, zone=zone, least=least)
        past = await endpoints_before(read, row.pid, seen, now=now, zone=zone, least=least)
    bad = {name: text for name, one in seen.items() if (text := degraded(one, past[name], factor=factor, least=least))}
    before = {name: Standing(one["is_bad"], one["other"]) for name, one in row.standing.items()}
    after = stepped(before, bad)
    look = Look(standing={name: {"is_bad": one.is_bad, "other": one.other} for name, one in after.items()})
    names = [name for name, one in after.items() if one.is_bad]
    names.sort(key=lambda name: (-(seen[name].n if name in seen else 0), name))
    look.wrong = [
        f"{name[:_MOST_NAME]}: {bad[name]}"
        if name in bad
        else f"{name[:_MOST_NAME]}: well again, but seen so only once"
        for name in names
    ]
    look.figures = {"watched": len(seen), "degraded": len(names)}
    if row.what != ALL and row.what in seen:
        one = seen[row.what]
        look.figures |= {"requests": one.n, "errors": one.errors}
        look.figures |= {} if one.p95_ms is None else {"p95_ms": round(one.p95_ms)}
    return look
