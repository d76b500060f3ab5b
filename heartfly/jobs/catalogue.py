"""Which jobs Heartfly has, when each runs, and how long it may take. Times are of the first project's zone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from heartfly.budgets.rows import projects_with_budgets
from heartfly.checks.config import GateIn
from heartfly.clock import Clock
from heartfly.config import Settings
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.jobs.alert_rules import NAME as ALERT_RULES
from heartfly.jobs.alert_rules import looking as looking_at_rules
from heartfly.jobs.archiving import NAME as ARCHIVE
from heartfly.jobs.archiving import archiving
from heartfly.jobs.audit_chain import chaining
from heartfly.jobs.budgets import NAME as BUDGETS
from heartfly.jobs.budgets import looking as looking_at_budgets
from heartfly.jobs.customer_reports import NAME as CUSTOMER_REPORTS
from heartfly.jobs.customer_reports import Post, mailing
from heartfly.jobs.daily_sums import sum_days
from heartfly.jobs.daily_usage import NAME as DAILY_USAGE
from heartfly.jobs.daily_usage import aggregating
from heartfly.jobs.data_watches import NAME as DATA_WATCHES
from heartfly.jobs.data_watches import watching
from heartfly.jobs.database_check import checking
from heartfly.jobs.digest import digesting
from heartfly.jobs.kind import JobKind
from heartfly.jobs.retention import Kept, sweeping
from heartfly.jobs.scheduled_backup import backing_up
from heartfly.notify.letters import Letters
from heartfly.pings.ingest import Ingest
from heartfly.pings.prune import Keep
from heartfly.rules.defaults import projects_with_calls
from heartfly.rules.queries import living, projects_with_rules
from heartfly.sealing import Sealer
from heartfly.traffic.watches import projects_that_watch
from heartfly.usage.archive.let_go import Rules
from heartfly.usage.close_day import Closer, projects_with_usage
from heartfly.usage.hands import Hands
from heartfly.usage.request_tiers import Kept as RowsKept

_HOUR = timedelta(hours=1)


def keep_of(settings: Settings) -> Keep:
    return Keep(
        pings=settings.pings.keep_per_check,
        runs=settings.runs.keep_per_check,
        run_age=timedelta(days=settings.runs.keep_days),
    )


def catalogue(settings: Settings, clock: Clock, *, usage: Database, sealer: Sealer, ids: IdSource) -> Sequence[JobKind]:
    url = settings.database_url
    path = None if url.startswith("postgresql") else Path(url.removeprefix("sqlite:///"))
    kept = Kept(
        history=keep_of(settings),
        bodies=timedelta(days=settings.pings.keep_bodies_days),
        alerts=timedelta(days=settings.alerts.keep_days),
        events=settings.usage.keep,
        requests=RowsKept(
            minutes=timedelta(hours=settings.usage.keep_by_minute_hours),
            hours=timedelta(days=settings.usage.keep_by_hour_days),
        ),
        archives=settings.archive.enabled,
    )
    return (
        JobKind(
            name="daily-sums",
            title="Heartfly: daily sums",
            about="Heartfly's own job. Sums up each day of each check, once it is over where its project is.",
            expression="11 * * * *",
            grace=_HOUR,
            max_run=_HOUR,
            work=sum_days,
        ),
        JobKind(
            name="digest",
            title="Heartfly: digest",
            about="Heartfly's own job. At 7:00 where a project is, tells what its day or week was, if a channel asks.",
            expression="0 * * * *",
            grace=_HOUR,
            max_run=_HOUR,
            work=digesting(sealer=sealer, ids=ids),
        ),
        JobKind(
            name="retention",
            title="Heartfly: retention",
            about="Heartfly's own job. Removes pings, runs, alerts, deliveries and events that are older than is kept.",
            expression="40 3 * * *",
            grace=2 * _HOUR,
            max_run=6 * _HOUR,
            work=sweeping(kept, usage=usage, sealer=sealer, ids=ids),
        ),
        JobKind(
            name="database-check",
            title="Heartfly: database check",
            about="Heartfly's own job. Looks whether the database is whole and agrees with itself.",
            expression="10 4 * * 0",
            grace=6 * _HOUR,
            max_run=6 * _HOUR,
            work=checking(path, clock),
        ),
        JobKind(
            name="audit-chain",
            title="Heartfly: audit chain",
            about="Heartfly's own job. Brings new entries of the audit into its chain, and looks whether it holds.",
            expression="*/10 * * * *",
            grace=_HOUR,
            max_run=_HOUR,
            work=chaining(sealer=sealer),
        ),
        _archive(settings, usage),
        _backup(settings, path, clock),
    )


def daily_usage(usage: Database, closer: Closer) -> JobKind:
    """An hour and ten minutes after midnight: what comes an hour late reopens no day."""
    return JobKind(
        name=DAILY_USAGE,
        title="Heartfly: daily usage",
        about="Heartfly's own job. Closes each day of usage, and proves that its sums agree with its events.",
        expression="10 1 * * *",
        grace=2 * _HOUR,
        max_run=6 * _HOUR,
        work=aggregating(usage, closer),
        gates=(
            GateIn(metric="reconciled", op="==", value=1),
            GateIn(metric="rejected_share", op="<", value="0.01", level="warn"),
            GateIn(metric="uncounted_share", op="==", value=0, level="warn"),
            GateIn(metric="days_without_a_source", op="==", value=0, level="warn"),
        ),
        projects=partial(projects_with_usage, usage),
    )


def customer_reports(
    settings: Settings, *, usage: Database, letters: Letters, hands: Hands, sealer: Sealer, ids: IdSource
) -> JobKind:
    post = Post(
        letters=letters,
        hands=hands,
        sealer=sealer,
        base_url=settings.server.public_url,
        wait=timedelta(days=settings.reports.wait_days),
        link_lasts=timedelta(days=settings.reports.link_days),
    )
    return JobKind(
        name=CUSTOMER_REPORTS,
        title="Heartfly: customers' reports",
        about="Heartfly's own job. From 7:00 on where a project is, mails customers' reports that are due.",
        expression="20 * * * *",
        grace=_HOUR,
        max_run=_HOUR,
        work=mailing(usage, post, ids=ids),
        off=None if letters.can_send else "no mail server is configured (mail.host)",
    )


def data_watches(database: Database, *, usage: Database, ingest: Ingest, ids: IdSource) -> JobKind:
    async def watching_projects() -> Sequence[int]:
        async with database.read() as main:
            return await projects_that_watch(main)

    return JobKind(
        name=DATA_WATCHES,
        title="Heartfly: data watches",
        about="Heartfly's own job. Looks whether sources and customers are silent, and endpoints degraded.",
        expression="* * * * *",
        grace=timedelta(minutes=5),
        max_run=timedelta(minutes=10),
        work=watching(usage, ingest, ids=ids),
        quiet=timedelta(),
        projects=watching_projects,
    )


def alert_rules(database: Database, *, usage: Database, ids: IdSource) -> JobKind:
    async def projects() -> Sequence[int]:
        async with database.read() as main, usage.read() as events:
            having = {*await projects_with_rules(main), *await projects_with_calls(events)}
            return await living(main, having)

    return JobKind(
        name=ALERT_RULES,
        title="Heartfly: alert rules",
        about="Heartfly's own job. Looks at the project's alert rules each minute, and tells which of them fire.",
        expression="* * * * *",
        grace=timedelta(minutes=5),
        max_run=timedelta(minutes=10),
        work=looking_at_rules(usage, ids=ids),
        quiet=timedelta(),
        projects=projects,
    )


def budgets(database: Database, *, usage: Database, ids: IdSource) -> JobKind:
    async def projects() -> Sequence[int]:
        async with database.read() as main:
            return await projects_with_budgets(main)

    return JobKind(
        name=BUDGETS,
        title="Heartfly: budgets",
        about="Heartfly's own job. Looks what budgets have come to, and tells what they shall be told of.",
        expression="* * * * *",
        grace=timedelta(minutes=5),
        max_run=timedelta(minutes=10),
        work=looking_at_budgets(usage, ids=ids),
        quiet=timedelta(),
        projects=projects,
    )


def _archive(settings: Settings, usage: Database) -> JobKind:
    """Before retention: what goes there is in a file by then."""
    off, folder = None, settings.archive_dir
    if not settings.archive.enabled and not folder.is_dir():
        off = "archive.enabled is false"
    rules = Rules(
        folder=folder,
        format=settings.archive.format,
        after=timedelta(days=settings.archive.after_days),
        calls_only=settings.archive.calls_only,
    )
    return JobKind(
        name=ARCHIVE,
        title="Heartfly: archive",
        about="Heartfly's own job. Takes events of usage that are old into files, and then out of the database.",
        expression="30 2 * * *",
        grace=2 * _HOUR,
        max_run=6 * _HOUR,
        work=archiving(usage, rules, is_on=settings.archive.enabled),
        off=off,
    )


def _backup(settings: Settings, path: Path | None, clock: Clock) -> JobKind:
    off = None
    if path is None:
        off = "the database is PostgreSQL's: back it up with pg_dump or pg_basebackup, together with secret.key"
    elif not settings.backup.schedule:
        off = "backup.schedule is empty"
    return JobKind(
        name="backup",
        title="Heartfly: backup",
        about="Heartfly's own job. Backs up the database and its keys into one file, and keeps the newest few.",
        expression=settings.backup.schedule,
        grace=2 * _HOUR,
        max_run=4 * _HOUR,
        work=backing_up(
            database=path or Path(),
            data_dir=settings.data.dir,
            folder=settings.backup_dir,
            keep=settings.backup.keep,
            clock=clock,
        ),
        off=off,
    )
