"""Every setting, its unit, its default and what it may be.

config.example.toml is this file's twin and docs/configuration.md its explanation (tests hold the three together). Where
the values come from is load.py's; what a setting *does* is decided where it is used.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec.structs import force_setattr
from typing_extensions import override

from heartfly.config.accounts import Accounts
from heartfly.config.disk import Disk, Spool
from heartfly.config.outgoing import Outgoing
from heartfly.config.section import MASK, Network, Port, Seconds, Section, networks_in
from heartfly.config.server import Server
from heartfly.config.smtp import Smtp
from heartfly.config.syslog import Syslog
from heartfly.core.node_roles import missing
from heartfly.errors import InvalidValueError

Count = Annotated[int, msgspec.Meta(ge=1)]

SQLITE_FILE = "heartfly.db"
NIGHTLY = "20 2 * * *"
_SHORTEST_DAYS = 34
_FOR_EVER_DAYS = 36_500
"""A hundred years: no event is older."""


class Database(Section, frozen=True):
    url: str = ""
    """Empty: SQLite in the data directory; read it through `Settings.database_url`."""

    def __post_init__(self) -> None:
        url = self.url
        scheme, _, rest = url.partition("://")
        if scheme in {"postgresql", "postgres"}:
            # SQLAlchemy's default driver for the bare name changed in 2.1: we always name ours.
            force_setattr(self, "url", f"postgresql+psycopg://{rest}")
        elif scheme == "sqlite" and (rest[:1] != "/" or rest in {"/", "/:memory:"} or "mode=memory" in rest):
            raise ValueError("url: Expected sqlite:///FILE, as memory would lose acknowledged pings")
        elif url and scheme not in {"sqlite", "postgresql+psycopg"}:
            raise ValueError("url: Expected postgresql://… or sqlite:///FILE")

    @override
    def _shown(self, name: str) -> object:
        return re.sub(r"(://[^:/]*):.*@", rf"\1:{MASK}@", self.url.partition("?")[0])

    @property
    def passwords(self) -> tuple[str, ...]:
        """Whatever in the URL is a password, each as it stands there and decoded."""
        before, _, query = self.url.partition("?")
        user_info, at, _ = before.partition("://")[2].rpartition("@")
        found = {user_info.partition(":")[2] if at else "", *parse_qs(query).get("password", ())}
        return tuple(sorted({text for raw in found for text in (raw, unquote(raw)) if text}))


class Data(Section, frozen=True):
    dir: Path = Path("heartfly-data")


class Mail(Section, frozen=True):
    masked = frozenset({"password"})

    host: str = ""
    """Empty: no mail is sent; the link of an invite is shown to copy instead."""
    port: Port = 587
    username: str = ""
    password: str = ""
    security: Literal["none", "starttls", "tls"] = "starttls"
    from_address: str = ""
    from_name: str = "Heartfly"
    timeout_s: Seconds = 20.0

    def __post_init__(self) -> None:
        if self.host and "@" not in self.from_address:
            raise ValueError("from_address: Expected an address, as mail.host is set")
        if self.password and not self.username:
            raise ValueError("username: Expected a name, as mail.password is set")
        if any(c in self.from_address + self.from_name for c in "\r\n\0"):
            raise ValueError("from_name: Expected one line")


class Apprise(Section, frozen=True):
    """Addresses of other services, each as `name=address`; channels of the kind apprise choose one by its name."""

    masked = frozenset({"addresses"})

    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for i, text in enumerate(self.addresses):
            name, _, address = text.partition("=")
            if not re.fullmatch(r"[A-Za-z0-9_.-]{1,50}", name, re.ASCII) or "://" not in address:
                raise ValueError(f"addresses[{i}]: Expected name=scheme://…")
        if len(self.by_name) < len(self.addresses):
            raise ValueError("addresses: Expected each name once")

    @property
    def by_name(self) -> dict[str, str]:
        return {name: address for name, _, address in (text.partition("=") for text in self.addresses)}


class Log(Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for people on a terminal, JSON everywhere else."""


class Pings(Section, frozen=True):
    max_body_bytes: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 100_000
    rate_per_minute: Count = 1200
    """For each check. Above it signals still count, but an unchanged status stores no row."""
    queue: Count = 10_000
    keep_per_check: Count = 1000
    keep_bodies_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 30


class Runs(Section, frozen=True):
    keep_days: Annotated[int, msgspec.Meta(ge=7, le=36_500)] = 90
    """At least a week: signals that come late ask for what was up to four days before them."""
    keep_per_check: Annotated[int, msgspec.Meta(ge=1000)] = 150_000
    """Counted by pings. With a start and an end every five seconds, the shortest period, that is four days."""


class Limits(Section, frozen=True):
    """How much there may be, so that a mistake or a leaked key fills no disk. None binds who uses Heartfly as meant."""

    projects: Count = 1_000
    checks: Count = 20_000
    """In each project, as are the next four."""
    channels: Count = 500
    bodies_mb: Annotated[int, msgspec.Meta(ge=0)] = 10_000
    """Of what pings said: beyond it, the oldest of a check makes room for its newest. 0: any."""
    events: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of usage, as they are kept: beyond it they are refused, and sent again later. 0: any."""
    new_checks_per_minute: Count = 300
    """By pings with `create=1`."""
    events_per_minute: Count = 2_400_000
    """Of one key, in each process. Sending events does not count as requests."""
    connections_per_address: Annotated[int, msgspec.Meta(ge=0)] = 1_000
    """Of one client: an IPv4 address, or the /64 of an IPv6 one. Not of trusted proxies and this machine. 0: any."""


class Alerts(Section, frozen=True):
    """Storms on people's channels (email, chat); a webhook always gets every event."""

    storm_window_s: Seconds = 60.0
    storm_threshold: Count = 10
    keep_days: Annotated[int, msgspec.Meta(ge=7, le=36_500)] = 90
    """At least a week: a delivery is tried for more than a day, and people look back."""


class Usage(Section, frozen=True):
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 400
    """At least as long as senders expect that an event which is sent again is known. 0: for ever."""
    keep_by_minute_hours: Annotated[int, msgspec.Meta(ge=48, le=100_000)] = 48
    """Of requests; what they come to by the hour and day stays."""
    keep_by_hour_days: Annotated[int, msgspec.Meta(ge=90, le=36_500)] = 90
    """Of requests, and of the slowest among them; what they come to by the day stays for ever."""
    endpoints: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 1_000
    """Of a project; requests to others are counted together."""
    slow_ms: Annotated[int, msgspec.Meta(ge=1, le=3_600_000)] = 1_000
    call_names: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 2_000
    """Of a project, of calls: products, endpoints, users, keys and tags, so many of each; others are together."""

    def __post_init__(self) -> None:
        if 0 < self.keep_days < _SHORTEST_DAYS:
            raise ValueError(f"keep_days: Expected {_SHORTEST_DAYS} or more, or 0, which is for ever")

    @property
    def keep(self) -> timedelta:
        return timedelta(days=self.keep_days or _FOR_EVER_DAYS)


class Archive(Section, frozen=True):
    """Of events of usage that are old: into files, by a job, and out of the database."""

    enabled: bool = False
    after_days: Annotated[int, msgspec.Meta(ge=35, le=36_500)] = 90
    """Then their days are sealed, and what comes of a day before is refused."""
    format: Literal["ndjson", "parquet"] = "ndjson"
    """Parquet needs the extra of that name."""
    calls_only: bool = False
    """Events `api.call` alone; others stay as long as events are kept."""
    dir: str = ""
    """Empty: `archive` in the data directory."""
    restored_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 7
    """How long a day that was put back stays before it goes again."""


class Reports(Section, frozen=True):
    """Of customers, that are mailed by themselves."""

    wait_days: Annotated[int, msgspec.Meta(ge=0, le=30)] = 3
    """After a period has ended, for all its days to be final. Then it is mailed as it is."""
    link_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 30
    """How long the link in such a mail works."""
    addresses: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    """Of a project, to which reports are mailed: of all mailings together."""


class Backup(Section, frozen=True):
    """Of a SQLite database, by itself; a PostgreSQL database has tools of its own."""

    schedule: str = NIGHTLY
    """A cron expression, in the zone of the first project. Empty: none is made."""
    dir: str = ""
    """Empty: `backups` in the data directory."""
    keep: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 7

    def __post_init__(self) -> None:
        if self.schedule and self.schedule != NIGHTLY:
            # Here, as it takes a tenth of a second that each command would pay.
            from heartfly.core.schedule import Kind, parse  # noqa: PLC0415

            try:
                parse(Kind.CRON, expression=self.schedule)
            except InvalidValueError as error:
                raise ValueError(f"schedule: {error.message}") from error


class Monitor(Section, frozen=True):
    beat_s: Annotated[float, msgspec.Meta(gt=0, le=2)] = 1.0
    blind_after_s: Seconds = 2.0
    hold_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 2.0
    canary_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 3_600  # 0: there is none
    volume_guard: bool = True

    def __post_init__(self) -> None:
        if 0 < self.canary_s < 5:
            raise ValueError("canary_s: Expected 0, or at least 5")
        if self.blind_after_s <= self.beat_s:
            raise ValueError("blind_after_s: Expected more than monitor.beat_s, or every beat would be a gap")


class Heartbeat(Section, frozen=True):
    """Who is told that Heartfly itself is alive, and raises the alarm when it is not told."""

    masked = frozenset({"url"})

    url: str = ""
    """Empty: nobody. A secret: whoever knows it can keep the listener quiet."""
    period_s: Annotated[float, msgspec.Meta(ge=5, le=86_400)] = 60.0

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url: Expected http://… or https://…")


class Metrics(Section, frozen=True):
    """Who may read `/metrics`."""

    masked = frozenset({"token"})

    token: str = ""
    """Empty: those in `allow` need none, and nobody else may. Set: all need it."""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")

    def __post_init__(self) -> None:
        list(networks_in("allow", self.allow))
        if self.token and (len(self.token) < 16 or not self.token.isascii() or not self.token.isprintable()):
            raise ValueError("token: Expected at least 16 characters of ASCII, such as `openssl rand -hex 24` makes")

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(networks_in("allow", self.allow))


class Settings(Section, frozen=True):
    server: Server = Server()
    accounts: Accounts = Accounts()
    database: Database = Database()
    data: Data = Data()
    disk: Disk = Disk()
    mail: Mail = Mail()
    outgoing: Outgoing = Outgoing()
    apprise: Apprise = Apprise()
    log: Log = Log()
    pings: Pings = Pings()
    spool: Spool = Spool()
    runs: Runs = Runs()
    limits: Limits = Limits()
    alerts: Alerts = Alerts()
    monitor: Monitor = Monitor()
    heartbeat: Heartbeat = Heartbeat()
    metrics: Metrics = Metrics()
    backup: Backup = Backup()
    usage: Usage = Usage()
    archive: Archive = Archive()
    reports: Reports = Reports()
    syslog: Syslog = Syslog()
    smtp: Smtp = Smtp()

    def __post_init__(self) -> None:
        lacks = missing(self.server.roles)
        if lacks and not self.database_url.startswith("postgresql"):
            raise ValueError(f"server.roles: Expected all on SQLite, which has one node; missing: {', '.join(lacks)}")

    @property
    def database_url(self) -> str:
        return self.database.url or f"sqlite:///{self.data.dir.absolute() / SQLITE_FILE}"

    @property
    def backup_dir(self) -> Path:
        return Path(self.backup.dir) if self.backup.dir else self.data.dir / "backups"

    @property
    def archive_dir(self) -> Path:
        return Path(self.archive.dir) if self.archive.dir else self.data.dir / "archive"

    @property
    def events_taken(self) -> timedelta:
        """How long ago an event may have happened that comes now: days that are archived are sealed."""
        after = timedelta(days=self.archive.after_days)
        return min(self.usage.keep, after) if self.archive.enabled else self.usage.keep

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must never be written anywhere, for the log's redaction."""
        known = (
            self.mail.password,
            *self.database.passwords,
            *self.outgoing.secrets,
            *self.apprise.by_name.values(),
            self.heartbeat.url,
            self.metrics.token,
        )
        return tuple(secret for secret in known if secret)
