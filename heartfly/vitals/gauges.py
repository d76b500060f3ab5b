"""What is read at the moment of asking: queues, lags, sizes. What is counted as it happens is instruments.py's.

Each is cheap however much the database holds, and whatever cannot be read now is left out: a scrape must answer above
all when something is wrong.
"""

from __future__ import annotations

import asyncio
import platform
import resource
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly import __version__
from heartfly.db.database import Database
from heartfly.db.migrate import HEAD
from heartfly.instruments import Family, Sample, gauge
from heartfly.logs import logger
from heartfly.monitor.watch import Watcher
from heartfly.notify.age import Undelivered, undelivered
from heartfly.vitals.alerting import alerting
from heartfly.vitals.canary import Told, told
from heartfly.vitals.readiness import Facts, reasons

_READ_LIMIT_S = 3.0
_PROC = Path("/proc/self")

log = logger("heartfly.metrics")


class Gauges:
    def __init__(
        self,
        *,
        database: Database,
        watcher: Watcher,
        facts: Callable[[], Facts],
        started_at: datetime,
        n_unfolded: Callable[[], int] = lambda: 0,
        n_over_endpoints: Callable[[], int] = lambda: 0,
        n_over_call_names: Callable[[], int] = lambda: 0,
    ) -> None:
        self._database = database
        self._watcher = watcher
        self._facts = facts
        self._started_at = started_at
        self._n_unfolded = n_unfolded
        self._n_over_endpoints = n_over_endpoints
        self._n_over_call_names = n_over_call_names

    async def families(self) -> list[Family]:
        facts = self._facts()
        return [*self._state(facts), *await self._inside(facts), *_disk(facts), *self._sizes(), *self._process()]

    def _state(self, facts: Facts) -> Iterator[Family]:
        kind = "postgresql" if self._database.on_postgres else "sqlite"
        python = platform.python_version()
        yield gauge(
            "heartfly_build_info", "Always 1; what runs.", 1,
            version=__version__, schema=HEAD, database=kind, python=python,
        )  # fmt: skip
        yield gauge("heartfly_ready", "1 while /readyz says that traffic may come.", float(not reasons(facts)))
        yield gauge("heartfly_leader", "1 on the node that judges.", float(self._watcher.leads))
        yield gauge(
            "heartfly_cut_off",
            "1 on the node that judges while nothing that is sent to our own address reaches us.",
            float(facts.cut_off_since is not None),
        )
        yield gauge("heartfly_writes_waiting", "Writes that wait for the group commit.", self._database.n_queued)
        yield gauge(
            "heartfly_usage_windows_failing",
            "Hours and days of usage that could not be folded when it was last tried.",
            self._n_unfolded(),
        )
        yield gauge(
            "heartfly_usage_projects_over_endpoints",
            "Projects with requests of no endpoint of their own, as there are more than usage.endpoints.",
            self._n_over_endpoints(),
        )
        yield gauge(
            "heartfly_usage_projects_over_call_names",
            "Projects with calls of names that are not told apart, as there are more than usage.call_names.",
            self._n_over_call_names(),
        )
        yield from _spool(facts)
        if facts.watermark is not None and facts.last_beat_at is not None:
            yield gauge(
                "heartfly_watermark_lag_seconds",
                "How far back the instant lies up to which silence is judged.",
                max(0.0, (facts.now - facts.watermark).total_seconds()),
            )
            yield gauge(
                "heartfly_beat_age_seconds",
                "How long ago the last beat was committed.",
                max(0.0, (facts.now - facts.last_beat_at).total_seconds()),
            )

    async def _inside(self, facts: Facts) -> list[Family]:
        """What the database says, if it says anything in time."""
        try:
            async with asyncio.timeout(_READ_LIMIT_S), self._database.read() as read:
                found = await undelivered(read)
                rules = await alerting(read, facts.now)
                newest = await told(read, most=1)
                size = await _size(read) if self._database.on_postgres else None
        except Exception as error:  # noqa: BLE001 - whoever scrapes sees it as heartfly_database_readable 0
            log.warning("metrics", error=type(error).__name__)
            return [_readable(0)]
        inside = [_readable(1), _waiting(found, facts.now), *_canary(newest, facts.now), *rules]
        return inside if size is None else [*inside, _database_bytes(size)]

    def _sizes(self) -> Iterator[Family]:
        path = self._database.path
        if path is not None:
            yield _database_bytes(_length(path))
            yield gauge(
                "heartfly_database_wal_bytes",
                "SQLite's log of what is not in the file yet.",
                _length(path.with_name(path.name + "-wal")),
            )

    def _process(self) -> Iterator[Family]:
        """Under the names that all Prometheus clients use."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = Sample(used.ru_utime + used.ru_stime)
        yield Family("process_cpu_seconds_total", "counter", "CPU time, of user and system.", (cpu_s,))
        yield gauge("process_start_time_seconds", "When the process started, since 1970.", self._started_at.timestamp())
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield gauge("process_max_fds", "Files that may be open.", most)
        if _PROC.exists():
            yield gauge("process_open_fds", "Files that are open.", sum(1 for _ in (_PROC / "fd").iterdir()))
            pages = int((_PROC / "statm").read_text(encoding="ascii").split()[1])
            yield gauge("process_resident_memory_bytes", "Memory in use.", pages * resource.getpagesize())


def _spool(facts: Facts) -> Iterator[Family]:
    n, n_bytes, oldest_at = 0, 0, facts.now
    if facts.spool is not None:
        n, n_bytes, oldest_at = facts.spool.n, facts.spool.n_bytes, facts.spool.oldest_at
    yield gauge("heartfly_spool_pings", "Pings on this node's disk that are not in the database yet.", n)
    yield gauge("heartfly_spool_bytes", "What its spool takes on the disk.", n_bytes)
    yield gauge(
        "heartfly_spool_oldest_seconds",
        "How long ago the oldest of them was received.",
        max(0.0, (facts.now - oldest_at).total_seconds()),
    )


def _readable(value: int) -> Family:
    return gauge("heartfly_database_readable", "1 when a question to the database was answered just now.", value)


def _canary(newest: Sequence[Told], now: datetime) -> Iterator[Family]:
    for one in newest:
        yield gauge(
            "heartfly_canary_latency_seconds",
            "From the deadline of the canary's last miss to the message that told of it.",
            one.latency.total_seconds(),
        )
        yield gauge(
            "heartfly_canary_age_seconds",
            "How long ago the deadline was of the canary's last miss that was told.",
            max(0.0, (now - one.at).total_seconds()),
        )


def _waiting(found: Undelivered, now: datetime) -> Family:
    def age(since: datetime | None) -> float:
        return 0.0 if since is None else max(0.0, (now - since).total_seconds())

    samples = (
        Sample(age(found.in_order), (("channel", "in_order"),)),
        Sample(age(found.in_trouble), (("channel", "in_trouble"),)),
    )
    about = "How long the oldest alert has been waiting, by how its channel does."
    return Family("heartfly_oldest_undelivered_seconds", "gauge", about, samples)


def _database_bytes(size: float) -> Family:
    return gauge("heartfly_database_bytes", "What the database takes on its disk.", size)


async def _size(read: AsyncConnection) -> int:
    size: int = (await read.execute(sa.text("SELECT pg_database_size(current_database())"))).scalar_one()
    return size


def _disk(facts: Facts) -> Sequence[Family]:
    if facts.room is None:
        return ()
    return (
        gauge("heartfly_disk_free_bytes", "Room on the disk of a SQLite database.", facts.room.free),
        gauge("heartfly_disk_bytes", "What that disk holds in all.", facts.room.total),
    )


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
