"""Each morning those who chose it are told what the day before was, on Mondays what the week was: once, and in full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from heartfly.checks import commands
from heartfly.config import Alerts
from heartfly.core.words import AlertKind, PingKind
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, blind_intervals, channels, incidents, job_runs, notifications, projects, runs
from heartfly.jobs.daily_sums import sum_days
from heartfly.jobs.digest import NAME, digesting
from heartfly.jobs.digest_figures import MOST_NAMED
from heartfly.monitor.judge import Judge
from heartfly.net.addresses import parse_allow_private
from heartfly.net.http import OutgoingHttp
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.commands import Changed, create_channel, delete_channel
from heartfly.notify.digest_readers import still_there
from heartfly.notify.dispatch import Dispatcher
from heartfly.sealing import Sealer
from tests.jobs.workshop import DAY, HOUR, MINUTE, T0, Workshop, kind_of
from tests.notify.conftest import mail_settings
from tests.notify.receivers import HttpReceiver
from tests.notify.test_email_delivery import Mailbox, server
from tests.sim_clock import SimClock
from tests.world import SEALER, TEST, World, make_world

pytestmark = pytest.mark.anyio

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SEVEN = 7 * HOUR
BASE_URL = "https://heartfly.example.com"


class Digests:
    """The job each hour, in a world of which time passes as the test says."""

    def __init__(self, world: World, clock: SimClock) -> None:
        self.world = world
        work = digesting(sealer=SEALER, ids=world.ids)
        self.shop = Workshop(world, clock, kind_of(work, name=NAME, expression="0 * * * *"))

    async def at(self, instant: datetime) -> Any:
        """Let it run then; its run."""
        await self.shop.go(instant)
        return (await self.shop.runs())[-1]

    async def chosen(
        self, digest: str | None, *, name: str = "ops", kind: str = "email", config: Any = None, **rest: Any
    ) -> Changed:
        asked = (config or {"to": "ops@example.com"}) | ({"digest": digest} if digest else {})
        pid, sealer = rest.get("pid", self.world.project.pid), rest.get("sealer", SEALER)
        return await self.world.db.write(
            lambda tx: create_channel(
                tx, pid, kind=kind, name=name, config=asked, at=MONDAY, ids=self.world.ids, sealer=sealer
            )
        )

    async def told(self) -> list[tuple[str, str, Any]]:
        """Each digest that was put into the outbox: its key, the channel that gets it, and what it says."""
        query = (
            sa.select(alerts.c.key, channels.c.name, alerts.c.payload)
            .join(notifications, sa.and_(notifications.c.pid == alerts.c.pid, notifications.c.alert_id == alerts.c.id))
            .join(channels, channels.c.id == notifications.c.channel_id)
            .where(alerts.c.kind == AlertKind.DIGEST)
            .order_by(alerts.c.id, channels.c.name)
        )
        return [(row.key, row.name, row.payload["digest"]) for row in await self.world._all(query)]

    async def keys(self) -> list[tuple[str, str]]:
        return [(key.removeprefix("digest:"), name) for key, name, _ in await self.told()]

    async def says(self) -> Any:
        ((_, _, digest),) = await self.told()
        return digest

    async def judge(self, at: datetime) -> None:
        judge = Judge(ids=self.world.ids)
        await self.world.db.write(lambda tx: judge.judge(tx, through=at, now=at))

    async def write(self, statement: Any) -> None:
        await self.world.db.write(lambda tx: tx.conn.execute(statement).rowcount)


@pytest.fixture
async def digests(world: World, clock: SimClock) -> Digests:
    made = Digests(world, clock)
    await made.shop.look()
    return made


@pytest.fixture
async def http() -> AsyncIterator[OutgoingHttp]:
    made = OutgoingHttp(allow=parse_allow_private(value=True), own_hosts=(), user_agent="Heartfly/test")
    yield made
    await made.aclose()


async def deliver(digests: Digests, http: OutgoingHttp, *, port: int, now: datetime) -> None:
    dispatcher = Dispatcher(
        digests.world.db,
        context=ChannelContext(http=http, mail=mail_settings(port)),
        sealer=SEALER,
        clock=digests.shop.clock,
        ids=digests.world.ids,
        settings=Alerts(),
        base_url=BASE_URL,
        node_id=1,
    )
    await dispatcher.round(now)


def text_of(mailbox: Mailbox) -> str:
    (envelope,) = mailbox.envelopes
    assert isinstance(envelope.content, bytes)
    mail: Any = message_from_bytes(envelope.content, policy=policy.default)
    return f"{mail['Subject']}\n{mail.get_body(('plain',)).get_content()}".replace("\r\n", "\n")


# --- what it tells


async def test_a_good_day_is_a_short_mail(world: World, digests: Digests, http: OutgoingHttp) -> None:
    for n in range(3):
        check = await world.check(T0, name=f"check-{n}", every=DAY, grace=HOUR)
        await world.ping(check, T0)
    await digests.chosen("daily")

    await digests.at(MONDAY + DAY + SEVEN)
    mailbox = Mailbox()
    async with server(mailbox) as port:
        await deliver(digests, http, port=port, now=MONDAY + DAY + SEVEN)

    said = text_of(mailbox)
    assert said.startswith("DAILY DIGEST: Main, Mon 2 Mar: all 3 checks were up\n")
    assert "\nAll 3 checks were up on Mon 2 Mar.\n" in said
    assert "Runs:    3 ok\n" in said
    assert "* " not in said


async def test_a_bad_day_names_what_was_down_what_is_and_for_how_long(
    world: World, digests: Digests, http: OutgoingHttp
) -> None:
    names = ("stays-down", "came-back", "fine")
    stays, back, fine = [await world.check(T0, name=name, every=300 * DAY, grace=HOUR) for name in names]
    for check in (stays, back, fine):
        await world.ping(check, T0)
    await world.ping(stays, T0 + 2 * HOUR, PingKind.FAIL)
    await world.ping(back, T0 + 3 * HOUR, PingKind.FAIL)
    await world.ping(back, T0 + 4 * HOUR + 5 * MINUTE)
    acked = sa.update(incidents).where(incidents.c.source_id == stays.id)
    await digests.write(acked.values(acked_at=T0 + 3 * HOUR, acked_by="ada@example.com"))
    await digests.chosen("daily")

    await digests.at(MONDAY + DAY + SEVEN)
    mailbox = Mailbox()
    async with server(mailbox) as port:
        await deliver(digests, http, port=port, now=MONDAY + DAY + SEVEN)

    said = text_of(mailbox)
    assert "2 of 3 checks were down on Mon 2 Mar, and 1 is down now.\n" in said
    assert "* DOWN: stays-down since Mon 2 Mar, 12:00 UTC (19 h), acknowledged by ada@example.com\n" in said
    assert "* WAS DOWN: came-back for 1 h 5 min\n" in said
    assert "Runs:    4 ok, 2 failed\n" in said
    assert "fine" not in said


async def test_it_comes_to_chats_too(world: World, digests: Digests, http: OutgoingHttp) -> None:
    await world.ping(await world.check(T0, every=DAY), T0)
    async with HttpReceiver() as receiver:
        await digests.chosen("daily", kind="slack", config={"url": f"{receiver.url}/hook"})
        await digests.at(MONDAY + DAY + SEVEN)
        await deliver(digests, http, port=1, now=MONDAY + DAY + SEVEN)

    (request,) = receiver.requests
    assert b"The only check was up on Mon 2 Mar." in request.body


async def test_late_degraded_and_silent_checks_are_named_and_those_that_have_their_time_are_not(
    world: World, digests: Digests
) -> None:
    seven = MONDAY + DAY + SEVEN
    late = await world.check(T0, name="late", every=20 * HOUR, grace=DAY)
    on_time = await world.check(T0, name="on time", every=21 * HOUR, grace=DAY)
    for check in (late, on_time):
        await world.ping(check, T0)
    await world.check(T0, name="never pinged", every=HOUR)
    await world.check(seven - MINUTE, name="made just now", every=HOUR)
    warned = await world.check(
        T0, name="warned", every=300 * DAY, gates='[{"metric":"rows","op":">","value":"0","level":"warn"}]'
    )
    await world.ping(warned, T0, body=b"rows=0", body_size=6)
    await digests.chosen("daily")

    await digests.at(seven)

    digest = await digests.says()
    lists = {name: [one["check_name"] for one in digest[name]] for name in ("late", "degraded", "never")}
    assert {"late": ["late"], "degraded": ["warned"], "never": ["never pinged"]} == lists
    assert (1, 1, 1) == (digest["n_late"], digest["n_degraded"], digest["n_never"])


@pytest.mark.parametrize(
    ("well_again", "named"), [(-MINUTE, []), (MINUTE, ["warned"]), (DAY, ["warned"]), (DAY + HOUR, ["warned"])]
)
async def test_who_was_degraded_from_before_the_day_is_named_too(
    world: World, digests: Digests, well_again: timedelta, named: list[str]
) -> None:
    tuesday = MONDAY + DAY
    warned = await world.check(
        T0, name="warned", every=300 * DAY, gates='[{"metric":"rows","op":">","value":"0","level":"warn"}]'
    )
    await world.ping(warned, T0, body=b"rows=0", body_size=6)
    await world.ping(warned, tuesday + well_again, body=b"rows=1", body_size=6)
    await digests.chosen("daily")

    await digests.at(tuesday + DAY + SEVEN)

    assert named == [one["check_name"] for one in (await digests.says())["degraded"]]


async def test_time_in_which_heartfly_could_not_hear_is_told_with_the_runs_that_it_touched(
    world: World, digests: Digests
) -> None:
    check = await world.check(T0, every=HOUR, grace=10 * MINUTE)
    await world.ping(check, T0)
    ends = ((1, 59, 66), (2, 60, 70), (3, -60 * 24, -60 * 23))  # two overlap, one was the day before
    for n, (number, from_min, to_min) in enumerate(ends):
        gap = {"id": number, "node_id": n, "from_at": T0 + from_min * MINUTE, "to_at": T0 + to_min * MINUTE}
        await digests.write(sa.insert(blind_intervals).values(gap | {"cause": "stopped"}))
    await digests.judge(T0 + 80 * MINUTE)
    await world.ping(check, T0 + 90 * MINUTE)
    assert "unverified" in [row.outcome for row in await world.runs(check)]
    await digests.chosen("daily")

    await digests.at(MONDAY + DAY + SEVEN)

    digest = await digests.says()
    assert (11 * 60, 1) == (digest["blind_s"], digest["n_unverified"])


async def test_channels_that_do_not_deliver_are_named(digests: Digests) -> None:
    seven = MONDAY + DAY + SEVEN
    await digests.chosen("daily")
    hiccup, long, dead = [await digests.chosen(None, name=name) for name in ("hiccup", "long", "dead")]
    for channel, trouble in (
        (hiccup, {"retrying_since": seven - MINUTE}),
        (long, {"retrying_since": seven - HOUR, "last_error": "no answer"}),
        (dead, {"failing_since": seven - DAY, "last_error": "410"}),
    ):
        await digests.write(sa.update(channels).where(channels.c.id == channel.channel_id).values(trouble))

    await digests.at(seven)

    named = [(one["name"], one["error"]) for one in (await digests.says())["channels"]]
    assert [("long", "no answer"), ("dead", "410")] == named


async def test_of_very_many_the_worst_are_named_and_all_are_counted(world: World, digests: Digests) -> None:
    made = [await world.check(T0, name=f"check-{n:02}", every=300 * DAY) for n in range(MOST_NAMED + 5)]
    await world.pings([world.request(check, T0) for check in made])
    await world.pings([world.request(c, T0 + n * MINUTE, PingKind.FAIL) for n, c in enumerate(reversed(made), 1)])
    await digests.chosen("daily")

    await digests.at(MONDAY + DAY + SEVEN)

    digest = await digests.says()
    assert [check.name for check in reversed(made)][:MOST_NAMED] == [one["check_name"] for one in digest["down"]]
    assert {MOST_NAMED + 5} == {digest[name] for name in ("n_down", "n_down_now", "n_down_ever")}


async def test_what_went_down_after_midnight_is_told_as_down_now_and_no_part_of_the_day(
    world: World, digests: Digests
) -> None:
    check = await world.check(T0, name="nightly", every=300 * DAY)
    await world.ping(check, T0)
    await world.ping(check, MONDAY + DAY + 3 * HOUR, PingKind.FAIL)
    await digests.chosen("daily")

    await digests.at(MONDAY + DAY + SEVEN)

    digest = await digests.says()
    assert (0, 1, 1) == (digest["n_down"], digest["n_down_now"], digest["n_down_ever"])
    assert [("nightly", 0)] == [(one["check_name"], one["down_s"]) for one in digest["down"]]


async def test_an_alarm_that_was_not_true_is_none_in_the_digest(world: World, digests: Digests) -> None:
    check = await world.check(T0, every=HOUR, grace=HOUR)
    await world.ping(check, T0)
    await digests.judge(T0 + 3 * HOUR)
    assert "down" == (await world.row(check)).status
    await world.ping(check, T0 + HOUR)  # received in time, committed late
    await digests.chosen("daily")

    await digests.at(MONDAY + DAY + SEVEN)

    digest = await digests.says()
    assert ([], 0, 1) == (digest["down"], digest["n_down_ever"], digest["n_watched"])


async def test_what_ended_after_midnight_is_told_as_it_ended(world: World, digests: Digests) -> None:
    """The day was summed up when its last run was under way, and while an alarm stood that proved wrong."""
    over_midnight = await world.check(T0, name="over midnight", every=DAY, grace=DAY)
    await world.ping(over_midnight, MONDAY + DAY - MINUTE, PingKind.START)
    unheard = await world.check(T0, name="unheard", every=HOUR, grace=HOUR)
    await world.ping(unheard, MONDAY + 20 * HOUR)
    await digests.judge(MONDAY + DAY)
    await digests.chosen("daily")
    sums = Workshop(world, digests.shop.clock, kind_of(sum_days, name="daily-sums", expression="11 * * * *"))
    await sums.look()
    await sums.go(MONDAY + DAY + 11 * MINUTE)
    await world.ping(over_midnight, MONDAY + DAY + HOUR, PingKind.FAIL)
    await world.ping(unheard, MONDAY + 21 * HOUR)  # received in time, committed late

    await digests.at(MONDAY + DAY + SEVEN)

    digest = await digests.says()
    assert 1 == digest["n_failed"]
    assert 0 == sum(one["down_s"] for one in digest["down"] if one["check_name"] == "unheard")


async def test_a_check_that_was_paused_was_watched_until_then(world: World, digests: Digests) -> None:
    for pinged in (True, False):
        check = await world.check(T0, every=300 * DAY)
        if pinged:
            await world.ping(check, T0)
        args = {"at": T0 + HOUR, "ids": world.ids, "actor": TEST}
        await world.db.write(lambda tx, of=check, args=args: commands.pause(tx, of.pid, of.uuid, **args))  # type: ignore[misc]
    await digests.chosen("daily")

    await digests.at(MONDAY + DAY + SEVEN)

    digest = await digests.says()
    assert (2, 1, 2) == (digest["n_checks"], digest["n_watched"], digest["n_paused"])


async def test_other_projects_are_no_part_of_it(world: World, digests: Digests, ids: IdSource) -> None:
    other = await make_world(world.db, ids, T0, slug="other")
    theirs = await other.check(T0, every=300 * DAY)
    await other.ping(theirs, T0)
    await other.ping(theirs, T0 + HOUR, PingKind.FAIL)
    await digests.chosen("daily")

    await digests.at(MONDAY + DAY + SEVEN)

    digest = await digests.says()
    assert (0, 0, 0) == (digest["n_watched"], digest["n_down_ever"], digest["n_failed"])


# --- to whom, and when


async def test_each_gets_what_it_chose(world: World, digests: Digests) -> None:
    for choice in ("daily", "weekly", "both", None):
        await digests.chosen(choice, name=choice or "none")

    await digests.at(MONDAY + 6 * DAY + SEVEN)
    assert [("daily:2026-03-07", "both"), ("daily:2026-03-07", "daily")] == await digests.keys()
    await digests.at(MONDAY + 7 * DAY + SEVEN)

    on_monday = (await digests.keys())[2:]
    daily, week = "daily:2026-03-08", "weekly:2026-03-02"
    assert [(daily, "both"), (daily, "daily"), (week, "both"), (week, "weekly")] == on_monday
    assert {"projects": 1, "digests": 2} == (await digests.shop.runs())[-1].figures


async def test_a_week_is_summed_up_as_a_whole(world: World, digests: Digests) -> None:
    check = await world.check(T0, every=300 * DAY)
    await world.ping(check, T0)
    for day in (1, 3):
        await world.ping(check, T0 + day * DAY, PingKind.FAIL)
        await world.ping(check, T0 + day * DAY + HOUR)
    await digests.chosen("weekly")

    await digests.at(MONDAY + 7 * DAY + SEVEN)

    digest = await digests.says()
    ((name, down_s, n),) = [(one["check_name"], one["down_s"], one["n_incidents"]) for one in digest["down"]]
    assert (check.name, 2 * 3600, 2) == (name, down_s, n)
    assert ("2026-03-02", "2026-03-08") == (digest["first_day"], digest["last_day"])


async def test_where_nobody_chose_one_nothing_is_written(world: World, digests: Digests) -> None:
    await world.ping(await world.check(T0), T0)
    await digests.chosen(None)

    run = await digests.at(MONDAY + DAY + SEVEN)

    assert ("ok", {"projects": 0, "digests": 0}) == (run.outcome, run.figures)
    assert [] == await world._all(sa.select(alerts).where(alerts.c.kind == AlertKind.DIGEST))


async def test_who_chooses_it_later_hears_of_it_the_next_morning(digests: Digests) -> None:
    await digests.at(MONDAY + DAY + SEVEN)
    await digests.chosen("daily")

    await digests.at(MONDAY + DAY + SEVEN + 5 * HOUR)
    assert [] == await digests.keys()
    await digests.at(MONDAY + 2 * DAY + SEVEN)

    assert [("daily:2026-03-03", "ops")] == await digests.keys()


async def test_of_what_was_missed_the_newest_comes(digests: Digests) -> None:
    await digests.chosen("both")
    await digests.at(MONDAY + DAY)

    await digests.at(MONDAY + 9 * DAY + 3 * HOUR)  # after eight days away

    assert [("daily:2026-03-09", "ops"), ("weekly:2026-03-02", "ops")] == await digests.keys()


async def test_a_run_that_is_repeated_after_a_crash_tells_nobody_twice(world: World, digests: Digests) -> None:
    await digests.chosen("both")
    run = await digests.at(MONDAY + 7 * DAY + SEVEN)
    before = await digests.told()
    assert 2 == len(before)

    # It died before it had written how the run ended.
    gone = {"ended_at": None, "end_pinged_at": None, "outcome": None, "lease_until": MONDAY}
    await digests.write(sa.update(job_runs).where(job_runs.c.slot_at == run.slot_at).values(gone))
    again = await digests.at(MONDAY + 7 * DAY + SEVEN + MINUTE)

    assert (run.slot_at, run.epoch + 1, {"projects": 0, "digests": 0}) == (again.slot_at, again.epoch, again.figures)
    assert before == await digests.told()
    assert 2 == len(await world._all(sa.select(notifications)))


@pytest.mark.parametrize(
    ("seven_utc", "day", "up_h"),
    [
        ("2026-03-28T06:00", "2026-03-27", 24),
        ("2026-03-29T05:00", "2026-03-28", 24),  # the clocks went forward that night
        ("2026-03-30T05:00", "2026-03-29", 23),
        ("2026-10-25T06:00", "2026-10-24", 24),
        ("2026-10-26T06:00", "2026-10-25", 25),
    ],
)
async def test_it_is_seven_where_the_project_is_whatever_its_clocks_did(
    world: World, digests: Digests, seven_utc: str, day: str, up_h: int
) -> None:
    seven = datetime.fromisoformat(seven_utc).replace(tzinfo=UTC)
    await digests.write(sa.update(projects).values(zone="Europe/Berlin"))
    check = await world.check(T0, every=300 * DAY)
    await world.ping(check, T0)
    await world.ping(check, T0 + HOUR, PingKind.FAIL)
    await digests.chosen("daily")
    await digests.at(seven - 2 * HOUR)
    n_before = len(await digests.keys())

    await digests.at(seven - MINUTE)
    assert n_before == len(await digests.keys())
    await digests.at(seven)

    key, _, digest = (await digests.told())[-1]
    assert f"digest:daily:{day}" == key
    (down,) = digest["down"]
    assert up_h * 3600 == down["down_s"]


async def test_between_two_hours_it_comes_with_the_next(world: World, digests: Digests, ids: IdSource) -> None:
    other = await make_world(world.db, ids, T0, slug="other")
    elsewhere = sa.update(projects).where(projects.c.id == other.project.pid).values(zone="Asia/Kathmandu")
    await digests.write(elsewhere)
    await digests.chosen("daily", pid=other.project.pid)

    await digests.at(MONDAY + DAY + HOUR)  # 6:45 there
    assert [] == await digests.keys()
    await digests.at(MONDAY + DAY + 2 * HOUR)

    assert [("daily:2026-03-02", "ops")] == await digests.keys()


# --- what stands in the way


async def test_a_zone_that_is_gone_keeps_nobody_elses_digest(world: World, digests: Digests, ids: IdSource) -> None:
    lost = await make_world(world.db, ids, T0, slug="lost")
    await digests.write(sa.update(projects).where(projects.c.id == lost.project.pid).values(zone="Mars/Olympus"))
    await digests.chosen("daily", pid=lost.project.pid, name="theirs")
    await digests.chosen("daily")

    run = await digests.at(MONDAY + DAY + SEVEN)
    await digests.at(MONDAY + DAY + SEVEN + HOUR)

    assert "ok" == run.outcome, "the daily sums fail for it; a digest must remember till when all was told"
    assert [("daily:2026-03-02", "ops")] == await digests.keys()


async def test_a_channel_that_cannot_be_read_keeps_nobody_elses_digest(digests: Digests) -> None:
    await digests.chosen("daily", name="unreadable", sealer=Sealer([Fernet.generate_key()]))
    await digests.chosen("daily")

    run = await digests.at(MONDAY + DAY + SEVEN)

    assert "ok" == run.outcome
    assert [("daily:2026-03-02", "ops")] == await digests.keys()


async def test_a_channel_that_was_deleted_meanwhile_is_told_nothing(world: World, digests: Digests) -> None:
    kept, gone = await digests.chosen("daily"), await digests.chosen("daily", name="gone")
    pid, ids = world.project.pid, (kept.channel_id, gone.channel_id)
    await world.db.write(lambda tx: delete_channel(tx, pid, gone.uuid, at=T0))

    assert {kept.channel_id} == await world.db.write(lambda tx: still_there(tx, pid, ids))
    assert set() == await world.db.write(lambda tx: still_there(tx, pid + 1, ids))


async def test_the_month_tells_by_mail_which_targets_were_kept_and_what_heartfly_did_not_hear(
    world: World, digests: Digests, http: OutgoingHttp
) -> None:
    """March: one check misses a run of two, one keeps its target, one has none and failed once, one was well."""
    names = {"short": '{"on_time":"99"}', "kept": '{"success":"50"}', "failed once": "", "fine": ""}
    for name, slo in names.items():
        check = await world.check(T0, name=name, every=300 * DAY, grace=HOUR, slo=slo)
        await world.ping(check, T0)
        if name == "failed once":
            await world.ping(check, T0 + HOUR, PingKind.FAIL)
        if name == "short":
            missed = {
                "pid": check.pid, "check_id": check.id, "id": world.ids.next(T0), "slot_at": T0 + HOUR,
                "at": T0 + HOUR, "outcome": "missed",
            }  # fmt: skip
            await digests.write(sa.insert(runs).values(missed))
    blind = {"id": 9, "node_id": 1, "from_at": T0 + 2 * HOUR, "to_at": T0 + 3 * HOUR, "cause": "a test"}
    await digests.write(sa.insert(blind_intervals).values(blind))
    await digests.chosen("monthly")
    first_of_april = MONDAY + 30 * DAY

    await digests.at(first_of_april + SEVEN)
    mailbox = Mailbox()
    async with server(mailbox) as port:
        await deliver(digests, http, port=port, now=first_of_april + SEVEN)

    said = text_of(mailbox)
    assert said.startswith("MONTHLY REPORT: Main, March 2026: 1 of 4 checks was down\n")
    assert "\n2 checks have a target, and 1 of them kept it.\n" in said
    assert (
        "* TARGET NOT KEPT: short in time 50 % (target 99 %, 0.98 over the 0.02 that may be bad); went well 100 %"
        in said
    )
    # For how long Heartfly could not hear is said once, and not of each check that was watched all that time.
    assert "* TARGET KEPT: kept in time 100 %; went well 100 % (target 50 %, 0.5 of 0.5 bad runs left)\n" in said
    assert 1 == said.count("could not hear for 1 h")
    assert "1 of 4 checks was down in March 2026" in said
    assert "\nMonth: " in said
    assert "* RUNS: failed once in time 100 %; went well 50 %" in said
    assert "RUNS: fine" not in said
    assert "In time:" in said
    assert [("monthly:2026-03-01", "ops")] == await digests.keys()
