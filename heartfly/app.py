"""The composition root: settings in, a running Heartfly out. Lists what runs in the background.

Everything is wired here and nowhere else; nothing is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from heartfly import __version__
from heartfly.accounts.first_owner import SetupToken, has_users
from heartfly.accounts.last_use import LastUse
from heartfly.api.front import Front
from heartfly.api.health import Health
from heartfly.api.metrics import MetricsDoor
from heartfly.api.ping import PingDoor
from heartfly.api.state import ApiState
from heartfly.checks.erase_project import finish_all
from heartfly.checks.history import remove_leftovers
from heartfly.core.node_roles import NodeRole
from heartfly.db.afar import Afar
from heartfly.db.room import room
from heartfly.doctor.examine import examine
from heartfly.errors import HeartflyError
from heartfly.ground import Ground
from heartfly.jobs import catalogue
from heartfly.jobs.run import Jobs
from heartfly.limits.apply import LimitApplier
from heartfly.limits.book import Book
from heartfly.limits.checker import Checker
from heartfly.limits.tracked import TrackedCalls
from heartfly.limits.upkeep import LimitUpkeep
from heartfly.logs import logger
from heartfly.monitor.blind import Beat, Hearing
from heartfly.monitor.judge import Judge
from heartfly.monitor.leader import Leader
from heartfly.monitor.volume_guard import VolumeGuard
from heartfly.monitor.watch import Watcher
from heartfly.net.http import OutgoingHttp
from heartfly.net.rules import Rules
from heartfly.net.urls import own_hosts
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.base import Channel, ChannelContext, Reach
from heartfly.notify.courier import Courier
from heartfly.notify.dispatch import POLL, POLL_OF_OTHERS, Dispatcher
from heartfly.notify.letters import Letters
from heartfly.notify.mail_server import mail_settings
from heartfly.pings.apply import PingApplier
from heartfly.pings.bodies import Bodies
from heartfly.pings.ingest import Ingest
from heartfly.pings.rate import RateLimiter
from heartfly.pings.replay import Replay
from heartfly.pings.spool import Spool
from heartfly.server.by_mail import mail_listener
from heartfly.server.forwarded import client_address
from heartfly.server.syslog import SyslogListener
from heartfly.usage.apply import EventApplier
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.close_day import Closer
from heartfly.usage.end_of_project import remove_strays
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.held_days import HeldDays
from heartfly.usage.ingest import EventIngest
from heartfly.usage.kept_events import KeptEvents
from heartfly.usage.requests import Limits
from heartfly.vitals.canary import KIND as CANARY
from heartfly.vitals.canary import Canary, CanaryChannel
from heartfly.vitals.filling import look_now_and_then
from heartfly.vitals.gauges import Gauges
from heartfly.vitals.heartbeat import Heartbeat
from heartfly.vitals.readiness import Facts
from heartfly.vitals.surroundings import MB, Surroundings, Thresholds
from heartfly.web import FIRST_SEGMENTS
from heartfly.web.feed import Feeds

log = logger("heartfly")

LETTERS_LIMIT_S = 2.0
"""So long the end waits for mail that is on its way."""


class App:
    """A node of Heartfly: one event loop, its writer threads, and the services listed in `run`."""

    def __init__(self, ground: Ground, *, kinds: Mapping[str, Channel] = CHANNELS) -> None:
        """`kinds`: how each kind of channel sends. `beside`: what else shall run in the background."""
        settings = ground.settings
        self.ground = ground
        self._kinds = {**kinds, CANARY: CanaryChannel()}
        self.beside: list[Callable[[asyncio.Event], Awaitable[None]]] = []
        self.base_url = settings.server.public_url
        self.stop = asyncio.Event()
        self.ended = asyncio.Event()
        """Set when the last request was answered: until then deadlines are judged, also while draining."""
        self.failed = False
        """A service of the background ended by itself; the process ends with an error, for its supervisor to see."""
        clock, database, ids, count = ground.clock, ground.database, ground.ids, ground.instruments
        self.surroundings = Surroundings(
            database,
            room=None if database.path is None else partial(room, database.path.parent),
            thresholds=Thresholds(low=settings.disk.low_mb * MB, floor=settings.disk.floor_mb * MB),
            clock=clock,
            reserve=ground.reserve,
        )
        bodies = Bodies(settings.limits.bodies_mb * MB, self.surroundings.keeps_bodies, count.bodies_dropped.add)
        kept = KeptEvents(settings.limits.events)
        self.beside.append(partial(look_now_and_then, looks=((bodies, database), (kept, ground.usage)), clock=clock))
        applier = PingApplier(
            ids=ids,
            node_id=ground.node_id,
            rate=RateLimiter(per_minute=settings.pings.rate_per_minute),
            keep=catalogue.keep_of(settings),
            bodies=bodies,
            most_checks=settings.limits.checks,
            creating=RateLimiter(per_minute=settings.limits.new_checks_per_minute),
        )
        spool = Spool.of(settings, database, count=count.spooled.add)
        self.ingest = Ingest(database, applier, clock, timed=count.ping_seconds.observe, spool=spool)
        self.replay = Replay(spool, database, applier, clock)
        book = Book()
        of_limits = LimitApplier(book, ids)
        self.checker = Checker(ground.usage, book, of_limits, clock, count=count.limit_checks.add)
        self.limit_upkeep = LimitUpkeep(ground.usage, of_limits, self.checker, clock, leads=self._leads)
        events = EventApplier(ids, calls=TrackedCalls(of_limits))
        self.events = EventIngest(ground.usage, events, clock, keep=settings.events_taken, kept=kept)
        limits = Limits(
            endpoints=settings.usage.endpoints,
            slow_us=settings.usage.slow_ms * 1_000,
            call_names=settings.usage.call_names,
        )
        self.folder = Folder(ground.usage, clock, ids, hands=Hands(), leads=self._leads, limits=limits)
        self.closer = Closer(ground.usage, self.folder, clock, ids)
        self.held_days = HeldDays(ground.usage, self.closer, clock, leads=self._leads)
        self.letters = Letters(mail_settings(settings), self.base_url, clock)
        self.jobs = Jobs(
            database,
            kinds=[
                *catalogue.catalogue(settings, clock, usage=ground.usage, sealer=ground.sealer, ids=ids),
                catalogue.daily_usage(ground.usage, self.closer),
                catalogue.customer_reports(
                    settings,
                    usage=ground.usage,
                    letters=self.letters,
                    hands=self.closer.hands,
                    sealer=ground.sealer,
                    ids=ids,
                ),
                catalogue.data_watches(database, usage=ground.usage, ingest=self.ingest, ids=ids),
                catalogue.alert_rules(database, usage=ground.usage, ids=ids),
                catalogue.budgets(database, usage=ground.usage, ids=ids),
            ],
            ingest=self.ingest,
            clock=clock,
            ids=ids,
            node_id=ground.node_id,
        )
        hearing = Hearing.of(settings, on_postgres=database.on_postgres)
        beat = Beat(
            node_id=ground.node_id,
            ids=ids,
            hearing=hearing,
            version=__version__,
            roles=settings.server.roles,
            under_way=self.ingest.under_way,
            refusals=self.ingest.refusals,
            spooled=self.ingest.backlog,
            count=count.blind,
        )
        self.watcher = Watcher(
            database,
            beat=beat,
            judge=Judge(ids=ids),
            leader=Leader(node_id=ground.node_id, clock=clock, may_lead=NodeRole.JUDGE in settings.server.roles),
            clock=clock,
            hearing=hearing,
            lost=count.lease_losses.add,
            guard=VolumeGuard.of(
                settings, beat=beat, tally=self.ingest.tally, clock=clock, count=count.volume_guard.add
            ),
        )
        self.courier = Courier(database, make=self._dispatcher, leave=self._hang_up)
        every = timedelta(seconds=settings.monitor.canary_s) or None
        self.canary = Canary(
            database, every=every, ingest=self.ingest, sealer=ground.sealer, clock=clock, ids=ids, leads=self._leads
        )
        self.heartbeat = self._heartbeat() if settings.heartbeat.url else None
        self.serves = NodeRole.SERVE in settings.server.roles
        self.syslog = self._syslog() if settings.syslog.listen and self.serves else None
        self.smtp = mail_listener(settings, self.ingest, count=count.pings.add) if self.serves else None
        trusted = settings.server.proxy_networks
        self.last_use = LastUse(database, clock)
        self.state = ApiState(
            database=database,
            usage=ground.usage,
            events=self.events,
            checker=self.checker,
            closer=self.closer,
            clock=clock,
            ids=ids,
            sealer=ground.sealer,
            settings=settings,
            base_url=self.base_url,
            last_use=self.last_use,
            letters=self.letters,
            client_address=lambda scope: client_address(scope, trusted),
            instruments=count,
            reach=self._reach(),
        )
        self.setup = SetupToken()
        self.feeds = Feeds(database, clock, stop=self.stop)
        gauges = Gauges(
            database=database,
            watcher=self.watcher,
            facts=self.facts,
            started_at=clock.now(),
            n_unfolded=lambda: self.folder.n_failing,
            n_over_endpoints=lambda: self.folder.n_over,
            n_over_call_names=lambda: self.folder.n_calls_over,
        )
        self.front = Front(
            self.state,
            health=Health(self.facts, pulse=lambda: self.canary.pulse),
            ping=PingDoor(
                self.ingest,
                max_body=settings.pings.max_body_bytes,
                client_address=lambda scope: client_address(scope, trusted),
                count=count.pings.add,
            ),
            metrics=MetricsDoor(
                count,
                gauges=gauges.families,
                token=settings.metrics.token,
                allow=settings.metrics.networks,
                client_address=lambda scope: client_address(scope, trusted),
                proxied=bool(trusted),
            ),
            pages=self._pages,
            page_paths=FIRST_SEGMENTS,
            serves=self.serves,
        )

    def _pages(self) -> Any:
        from heartfly.web.pages import pages  # noqa: PLC0415 - they need the framework, as the API does
        from heartfly.web.state import web_state  # noqa: PLC0415 - the same

        settings = self.ground.settings
        doctor = partial(examine, settings, mail_settings=mail_settings(settings), clock=self.ground.clock)
        return pages(web_state(self.state, self.setup, self.feeds, facts=self.facts, doctor=doctor))

    async def is_new(self) -> bool:
        """Nobody can sign in yet."""
        async with self.ground.database.read() as read:
            return not await has_users(read)

    def _leads(self) -> bool:
        return self.watcher.leads

    def _dispatcher(self, database: Afar) -> Dispatcher:
        """Made in the courier's thread, as are the connections that it keeps."""
        ground, settings = self.ground, self.ground.settings
        self._http = self._outgoing(of_alerts=True)
        return Dispatcher(
            database,
            context=ChannelContext(http=self._http, mail=mail_settings(settings), apprise=settings.apprise.by_name),
            sealer=ground.sealer,
            clock=ground.clock,
            ids=ground.ids,
            settings=settings.alerts,
            base_url=self.base_url,
            node_id=ground.node_id,
            count=ground.instruments.delivery,
            kinds=self._kinds,
            gives_way=lambda: self.watcher.hurries,
            poll=POLL if NodeRole.JUDGE in settings.server.roles else POLL_OF_OTHERS,
        )

    def _outgoing(self, *, of_alerts: bool) -> OutgoingHttp:
        """For the event loop that it is made in."""
        wanted, rules = self.ground.settings.outgoing, self._rules()
        return OutgoingHttp(
            allow=rules.allow, own_hosts=rules.own_hosts, allowed_ports=rules.ports, only_to=rules.only_to,
            proxy=wanted.forward_proxy, total_deadline_s=wanted.deadline_s, of_alerts=of_alerts,
            user_agent=f"Heartfly/{__version__}",
        )  # fmt: skip

    def _rules(self) -> Rules:
        settings, wanted = self.ground.settings, self.ground.settings.outgoing
        return Rules(
            allow=wanted.private_networks, ports=wanted.allowed_ports, only_to=wanted.listed,
            own_hosts=own_hosts(self.base_url, settings.server.host, settings.server.port),
            by_proxy=bool(wanted.proxy),
        )  # fmt: skip

    def _reach(self) -> Reach:
        settings = self.ground.settings
        return Reach(mail=bool(settings.mail.host), rules=self._rules(), apprise=settings.apprise.by_name)

    def _heartbeat(self) -> Heartbeat:
        """InvalidValueError: the URL is none that could ever be called."""
        wanted, http = self.ground.settings.heartbeat, self._outgoing(of_alerts=False)
        return Heartbeat(
            url=http.check_url(wanted.url, field="heartbeat.url"),
            period=timedelta(seconds=wanted.period_s),
            database=self.ground.database,
            watcher=self.watcher,
            http=http,
            clock=self.ground.clock,
            count=self.ground.instruments.heartbeats.add,
        )

    def _syslog(self) -> SyslogListener:
        ground = self.ground
        return SyslogListener(
            ground.settings.syslog, usage=self.events, database=ground.database, clock=ground.clock,
            count=ground.instruments.syslog,
        )  # fmt: skip

    def turned_away(self) -> None:
        """A connection above the cap was told 503. It may have been a ping."""
        self.ground.instruments.turned_away.add()
        self.ingest.refused()

    def crowded(self) -> None:
        """A client has too many connections. It excuses nobody's silence, or anybody could make us deaf on paper."""
        self.ground.instruments.turned_away.add()

    async def _hang_up(self) -> None:
        await self._http.aclose()

    def facts(self) -> Facts:
        """What readiness is judged by."""
        looked, database = self.watcher.last_beat, self.ground.database
        return Facts(
            now=self.ground.clock.now(),
            last_beat_at=self.watcher.last_beat_at,
            watermark=looked.watermark if looked is not None else None,
            due=looked.next_wake_at if looked is not None else None,
            cut_off_since=looked.cut_off_since if looked is not None else None,
            broken=database.broken,
            stopping=self.stop.is_set(),
            refused_s=database.refused_s,
            stuck_s=database.stuck_s,
            room=self.surroundings.room,
            is_below_floor=self.surroundings.is_below_floor,
            schema=self.surroundings.schema,
            skew=self.surroundings.skew,
            spool=self.ingest.backlog(),
        )

    async def start(self) -> None:
        """Open for reads and writes, and say that we hear. Call before anything listens."""
        self.ground.database.start()
        self.ground.usage.start()
        self.ground.database.listen(self.watcher.heard)
        await self.surroundings.look()
        self.ground.database.listen(self.jobs.heard)
        await self.replay.open()
        await self.watcher.join()
        if self.syslog is not None:
            await self.syslog.open()
        if self.smtp is not None:
            await self.smtp.open()

    async def tidy(self) -> None:
        """What a crash in the middle of a long delete left behind; no ping waits for it."""
        ground = self.ground
        await remove_leftovers(ground.database)
        await carry_or_wait(ground.usage, ground.database)
        await finish_all(ground.database, clock=ground.clock, ids=ground.ids, sealer=ground.sealer)
        await remove_strays(ground.usage, ground.database)

    def background(self) -> Sequence[Awaitable[Any]]:
        """Everything that runs beside the doors. The courier has a thread: to send alerts takes computing."""
        roles = self.ground.settings.server.roles
        heartbeat = [] if self.heartbeat is None else [self.heartbeat.run(self.ended)]
        services = (self.watcher, self.last_use, self.surroundings, self.feeds, self.canary, self.ground.damage_watch)
        sending = [self.courier.run(self.ended)] if NodeRole.SEND in roles else []
        jobs = [self.jobs.run(self.ended)] if NodeRole.JUDGE in roles else []
        others = (self.folder, self.held_days, self.limit_upkeep, self.replay)
        syslog = [] if self.syslog is None else [self.syslog.run(self.ended)]
        smtp = [] if self.smtp is None else [self.smtp.run(self.ended)]
        running = [service.run(self.ended) for service in (*services, *others)]
        return [*running, *sending, *jobs, *heartbeat, *(run(self.ended) for run in self.beside), *syslog, *smtp]

    async def finish(self) -> None:
        """Leave: the last beat, what is queued, and every connection."""
        try:
            await self.watcher.leave()
        except HeartflyError as error:
            # A database that is away cannot be told; our silence since the last beat will be blind time.
            log.warning("leave", error=str(error))
        await self.replay.close()
        await self.letters.settle(limit_s=LETTERS_LIMIT_S)
        await self.ground.usage.stop()
        await self.ground.database.stop()
