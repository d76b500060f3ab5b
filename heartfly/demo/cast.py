"""Who is in the demo: the checks with their schedules, tags and habits, and what is the matter with some of them.

All of it follows from the seed and from `now`: schedules are chosen so that what shall be the case now is the case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any

import msgspec

from heartfly.checks.config import CheckConfig
from heartfly.core.gates import Gate, Level, Op
from heartfly.core.schedule import Kind
from heartfly.demo.habits import Habit, Scene, Trouble

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`age`: how long before now it was made. `paused`: how long ago somebody paused it."""

    config: CheckConfig
    habit: Habit
    age: timedelta
    paused: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deafness:
    """When Heartfly itself could not hear, as spans before now."""

    began: timedelta
    lasted: timedelta
    cause: str


DEAF = (
    Deafness(began=40 * DAY + 7 * HOUR, lasted=95 * MINUTE, cause="stopped"),
    Deafness(began=26 * HOUR, lasted=25 * MINUTE, cause="stopped"),
)


def cast(n: int, *, now: datetime, days: int, chance: Random) -> list[Part]:
    """So many checks: first those whose state was chosen, then as many as are missing, most of them well."""
    parts = [*_chosen(now, days)][:n]
    taken = {part.config.name for part in parts}
    crowd = [one for one in _crowd() if one[0] not in taken]
    for name, tags in crowd[: n - len(parts)]:
        parts.append(_ordinary(name, tags, days=days, chance=chance))
    return parts


# --- those whose state was chosen --------------------------------------------------------------------


def _chosen(now: datetime, days: int) -> Iterator[Part]:
    age = days * DAY
    fell = (now - 41 * MINUTE).replace(second=0, microsecond=0)
    yield Part(
        config=_config(
            "DB backup", ("prod", "db"), grace=30 * MINUTE, max_run=15 * MINUTE,
            description="Dumps the main database to the backup host. On failure look at the disk of db-1 first.",
            cron=f"{fell.minute} * * * *",
        ),
        habit=Habit(
            lag_s=0.5, run_s=6, starts=True, odds=0.002,
            scenes=(_scene(fell, now + 50 * MINUTE, Trouble.EXITS),),
        ),
        age=min(age, 10 * DAY),
    )  # fmt: skip
    late = (now - 25 * MINUTE).replace(second=0, microsecond=0)
    for name, tags in (("Nightly ETL", ("prod", "etl")), ("Partner feed", ("prod", "shop"))):
        yield Part(
            config=_config(name, tags, grace=HOUR, cron=f"{late.minute} {late.hour} * * *"),
            habit=Habit(run_s=30, odds=0.02, scenes=(_scene(late, now + 12 * HOUR, Trouble.SILENT),)),
            age=age,
        )
    for i, (name, team) in enumerate(
        (("Billing roll-up", "billing"), ("Video transcode", "shop"), ("Full reindex", "search"))
    ):
        tags, begun = ("prod", team), now - (4 + i) * MINUTE
        yield Part(
            config=_config(
                name, tags, grace=20 * MINUTE, max_run=HOUR, cron=f"{begun.minute} {begun.hour % 6}-23/6 * * *"
            ),
            habit=Habit(run_s=900, starts=True, odds=0.01, runs_since=3 * MINUTE),
            age=age,
        )
    for name, tags, metric in (
        ("Product export", ("prod", "shop"), "rows"),
        ("Search feed", ("prod", "search"), "docs"),
    ):
        gate = Gate(metric, Op.GT, Decimal(1000), Level.WARN)
        begun = (now - 2 * HOUR).replace(second=0, microsecond=0)
        yield Part(
            config=_config(name, tags, grace=30 * MINUTE, cron=f"{begun.minute} {begun.hour} * * *", gates=(gate,)),
            habit=Habit(
                figure=(metric, 18_200), odds=0.02,
                scenes=(_scene(begun, now + 12 * HOUR, Trouble.POOR),),
            ),
            age=age,
        )  # fmt: skip
    unheard = now - DEAF[-1].began + 5 * MINUTE
    weekday = (unheard.weekday() + 1) % 7
    yield Part(
        config=_config(
            "Weekly archive", ("prod", "infra"), grace=10 * MINUTE,
            cron=f"{unheard.minute} {unheard.hour} * * {weekday}",
        ),
        habit=Habit(odds=0.01),
        age=age,
    )  # fmt: skip
    yield Part(
        config=_config("Stripe reconciliation", ("prod", "billing"), grace=HOUR, cron="20 4 * * *"),
        habit=Habit(run_s=240, starts=True, odds=0.03),
        age=age,
    )
    yield Part(
        config=_config("Certificate renewal", ("prod", "infra"), grace=6 * HOUR, cron="0 0 1 * *"),
        habit=Habit(run_s=220),
        age=age,
    )
    for name, tags in (("Tax report", ("staging", "billing")), ("Load test", ("staging", "infra"))):
        yield Part(config=_config(name, tags, grace=HOUR, cron="15 5 * * 1-5"), habit=Habit(never=True), age=2 * HOUR)
    for i, name in enumerate(("Legacy import", "Old newsletter", "Migration helper", "Demo data reset")):
        yield Part(
            config=replace(_config(name, ("staging", "data"), grace=HOUR, cron="40 6 * * *"), sticky=i == 0),
            habit=Habit(odds=0.02),
            age=age,
            paused=(3 + 5 * i) * DAY,
        )


def _scene(from_at: datetime, to_at: datetime, trouble: Trouble) -> Scene:
    return Scene(from_at=from_at, to_at=to_at, trouble=trouble)


# --- the crowd ---------------------------------------------------------------------------------------

_JOBS: dict[str, tuple[str, ...]] = {
    "billing": (
        "Invoice run", "Dunning mails", "Card expiry reminders", "Tax rate update", "Ledger export", "Refund sweep",
        "Revenue report", "Payment reminders",
    ),
    "data": (
        "Warehouse load", "Event compaction", "Feature refresh", "Clickstream import", "Data quality checks",
        "Partition clean-up", "Model training", "Report cache",
    ),
    "infra": (
        "Snapshot verify", "Log rotation", "DNS zone sync", "Disk usage sweep", "Image clean-up", "Config drift scan",
        "Metrics roll-up", "Database vacuum",
    ),
    "shop": (
        "Stock sync", "Price import", "Product feed", "Abandoned carts", "Order export", "Shipping labels",
        "Returns import", "Sitemap build",
    ),
    "mail": (
        "Newsletter queue", "Bounce handling", "Digest mails", "Unsubscribe sync", "DKIM rotation", "Mailbox clean-up",
        "Inbound parser", "Template warm-up",
    ),
    "search": (
        "Index build", "Synonym update", "Suggestions refresh", "Query log roll-up", "Relevance tests", "Crawler",
        "Thumbnail queue", "Cache warm-up",
    ),
    "security": (
        "Vulnerability scan", "Key rotation", "Access review", "Audit export", "Secret scan", "Firewall sync",
        "Session clean-up", "Login anomaly scan",
    ),
    "office": (
        "Payroll export", "Timesheet import", "Staff sync", "Expense sync", "Calendar sync", "Badge access sync",
        "Printer usage", "Board report",
    ),
}  # fmt: skip
_SITES = (
    *("prod", "staging", "eu", "us", "apac", "ca", "uk", "de", "fr", "jp"),
    *("br", "in", "au", "dr", "edge", "partner", "test", "lab"),
)


def _crowd() -> Iterator[tuple[str, tuple[str, ...]]]:
    for site, (team, names) in product(_SITES, _JOBS.items()):
        for name in names:
            yield (name if site == "prod" else f"{name} ({site})"), (site, team)


_ZONES = ("UTC", "UTC", "Europe/Berlin", "Europe/Riga", "America/New_York")


def _ordinary(name: str, tags: tuple[str, ...], *, days: int, chance: Random) -> Part:
    run_s = chance.choice((4.0, 20.0, 45.0, 90.0, 240.0, 420.0))
    starts = chance.random() < 0.25
    max_run = timedelta(seconds=max(600, round(run_s * 4))) if starts else None
    figure = ("rows", chance.choice((1_200, 18_000, 240_000))) if chance.random() < 0.12 else None
    minute, hour, zone = chance.randrange(60), chance.randrange(24), chance.choice(_ZONES)
    gates = (Gate("rows", Op.GT, Decimal(0), Level.FAIL),) if figure is not None else ()
    how_often = chance.random()
    n_troubles = chance.choice((0, 0, 0, 1, 1, 2, 3, 6)) if chance.random() < 0.9 else chance.choice((9, 14))
    age, slots_a_day = days * DAY, 1.0
    timing: dict[str, Any] = {}
    if how_often < 0.02:
        age, slots_a_day = min(age, 7 * DAY), 48
        timing = {"every": 30 * MINUTE}
    elif how_often < 0.07:
        age, slots_a_day = min(age, 14 * DAY), 24
        timing = {"every": HOUR}
    elif how_often < 0.17:
        timing, slots_a_day = {"every": 12 * HOUR}, 2
    elif how_often < 0.35:
        timing = {"every": DAY}
    elif how_often < 0.74:
        timing = {"cron": f"{minute} {hour} * * *", "zone": zone}
    elif how_often < 0.86:
        timing, slots_a_day = {"cron": f"{minute} {hour} * * 1-5", "zone": zone}, 5 / 7
    elif how_often < 0.96:
        timing, slots_a_day = {"cron": f"{minute} {hour} * * {chance.randrange(7)}", "zone": zone}, 1 / 7
    else:
        timing, slots_a_day = {"cron": f"{minute} {hour} 1 * *", "zone": zone}, 1 / 30
    grace = timedelta(minutes=chance.choice((15, 20, 30))) if slots_a_day > 2 else chance.choice((1, 2)) * HOUR
    return Part(
        config=_config(name, tags, grace=grace, max_run=max_run, gates=gates, **timing),
        habit=Habit(
            lag_s=chance.choice((0.4, 1.0, 3.0, 30.0)),
            run_s=run_s,
            starts=starts,
            figure=figure,
            odds=min(0.2, n_troubles / max(1.0, slots_a_day * age.days)),
        ),
        age=age - timedelta(hours=chance.randrange(48)),
    )


def _config(
    name: str,
    tags: tuple[str, ...],
    *,
    grace: timedelta,
    max_run: timedelta | None = None,
    cron: str | None = None,
    every: timedelta | None = None,
    zone: str = "UTC",
    gates: tuple[Gate, ...] = (),
    description: str = "",
) -> CheckConfig:
    return CheckConfig(
        name=name,
        slug=re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        tags=tags,
        description=description,
        kind=(Kind.PERIOD if cron is None else Kind.CRON).value,
        period_s=0 if every is None else round(every.total_seconds()),
        expression=cron or "",
        zone=zone,
        grace_s=round(grace.total_seconds()),
        max_run_s=None if max_run is None else round(max_run.total_seconds()),
        gates=msgspec.json.encode(gates).decode() if gates else "",
    )
