"""What the doctor says of the database and the mail server: both are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs

from heartfly.backup.marks import mark
from heartfly.clock import SystemClock
from heartfly.config import Data, Settings
from heartfly.config import Database as DatabaseSettings
from heartfly.config.accounts import Accounts
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.instance import identify
from heartfly.db.models import channels, nodes, passkeys, users
from heartfly.db.sqlite import UNFINISHED
from heartfly.doctor import database, mail
from heartfly.doctor.examine import examine
from heartfly.doctor.finding import Finding, Level
from heartfly.net.http import OutgoingHttp
from heartfly.notify.channels.base import ChannelContext
from tests.notify.conftest import mail_settings
from tests.notify.post_office import PostOffice
from tests.notify.receivers import SmtpScript
from tests.sim_clock import SimClock
from tests.world import make_world

pytestmark = pytest.mark.anyio

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR
SECOND = timedelta(seconds=1)


@pytest.fixture
async def clock() -> SimClock:
    return SimClock(SystemClock().now())  # PostgreSQL has a clock of its own


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Of the fixture `db`."""
    return Settings(data=Data(dir=tmp_path / "data"), database=DatabaseSettings(url=database_url))


async def findings(settings: Settings, clock: SimClock) -> dict[str, Finding]:
    return {one.name: one for one in await database.look(settings, clock)}


async def test_a_database_in_order(db: Database, settings: Settings, clock: SimClock) -> None:
    await db.write(identify)
    found = await findings(settings, clock)

    assert {"schema", "clocks", "alerts", "instance", "server"} <= found.keys()
    assert {"server"} == {name for name, one in found.items() if one.level is not OK}
    assert db.on_postgres == ("durability" in found)
    assert "never restored" in found["instance"].found


async def test_it_says_what_is_demanded_of_people_and_how_many_have_it(
    db: Database, settings: Settings, clock: SimClock
) -> None:
    required = structs.replace(settings, accounts=Accounts(second_step="required"))
    assert "0 of 0 have" in (await findings(required, clock))["sign-in"].found

    def people(tx: Tx) -> None:
        for n, totp in ((1, b"sealed"), (2, None), (3, None)):
            row = {"id": n, "email": f"{n}@example.com", "email_norm": f"{n}@example.com", "password_hash": "x"}
            tx.conn.execute(sa.insert(users).values(row | {"zone": "UTC", "created_at": clock.now(), "totp_enc": totp}))
        row = {"id": 1, "user_id": 2, "credential": "c", "public_key": b"", "n_uses": 0, "name": "Phone"}
        tx.conn.execute(sa.insert(passkeys).values(row | {"created_at": clock.now()}))

    await db.write(people)
    told = [(await findings(one, clock))["sign-in"] for one in (settings, required)]
    assert [OK, OK] == [one.level for one in told]
    assert "a password is enough (accounts.second_step); 2 of 3 have a second step or a passkey" == told[0].found
    assert "more than a password is demanded of everybody" in told[1].found
    assert "2 of 3 have a second step or a passkey, and 1 can do nothing until it is set up" in told[1].found


async def test_a_project_that_says_nearly_too_much_is_told_of(
    db: Database, settings: Settings, clock: SimClock, ids: IdSource
) -> None:
    world = await make_world(db, ids, clock.now())
    check = await world.check(clock.now())

    async def found(most_mb: int) -> tuple[Level, str]:
        limits = structs.replace(settings.limits, bodies_mb=most_mb)
        one = (await findings(structs.replace(settings, limits=limits), clock))["bodies"]
        return one.level, one.found

    assert (OK, "0 projects with what pings said, at most 0.0 MB in one, of 1 MB (limits.bodies_mb)") == await found(1)
    await world.ping(check, clock.now(), body=bytes(950_000))

    assert WARNING is (await found(1))[0]
    assert (OK, "1 project with what pings said, at most 0.9 MB in one, of 2 MB (limits.bodies_mb)") == await found(2)
    assert (OK, "1 project with what pings said, at most 0.9 MB in one; there is no bound (limits.bodies_mb)") == (
        await found(0)
    )


async def test_it_is_told_when_it_was_restored(db: Database, settings: Settings, clock: SimClock) -> None:
    assert "no name yet" in (await findings(settings, clock))["instance"].found
    await db.write(lambda tx: mark(tx, at=clock.now(), backup_at=clock.now() - timedelta(days=3)))

    assert (
        f"a backup of {clock.now() - timedelta(days=3):%Y-%m-%d}" in (await findings(settings, clock))["instance"].found
    )


async def node(
    db: Database,
    clock: SimClock,
    *,
    ahead: timedelta = timedelta(),
    left: bool = False,
    n: int = 1,
    roles: Sequence[str] = ("serve", "judge", "send"),
) -> None:
    at = clock.now() + ahead
    values: dict[str, Any] = {"id": n, "started_at": at, "beat_at": at, "heard_through": at, "version": ""}
    values |= {"left_at": at if left else None, "roles": list(roles)}
    await db.write(lambda tx: tx.conn.execute(sa.insert(nodes).values(values)) and None)


@pytest.mark.parametrize(("ago", "level"), [(9, OK), (10, WARNING)])
async def test_whether_somebody_serves(
    db: Database, settings: Settings, clock: SimClock, ago: int, level: Level
) -> None:
    await node(db, clock, ahead=-ago * SECOND)

    assert level is (await findings(settings, clock))["server"].level


async def test_a_role_that_nobody_has_is_named(db: Database, settings: Settings, clock: SimClock) -> None:
    await node(db, clock, roles=["serve"])
    await node(db, clock, n=2, roles=["judge", "send"], left=True)
    lacking = (await findings(settings, clock))["server"]
    await node(db, clock, n=3, roles=["judge", "send"])

    assert (ERROR, "1 node, and none of them has the role judge or send") == (lacking.level, lacking.found)
    assert OK is (await findings(settings, clock))["server"].level


async def test_who_left_serves_no_more(db: Database, settings: Settings, clock: SimClock) -> None:
    await node(db, clock, left=True)

    assert WARNING is (await findings(settings, clock))["server"].level


@pytest.mark.parametrize(("ahead", "level"), [(2.0, OK), (2.1, ERROR), (3600, ERROR)])
async def test_a_clock_that_was_set_back(
    db: Database, settings: Settings, clock: SimClock, ahead: float, level: Level
) -> None:
    await node(db, clock, ahead=ahead * SECOND)

    assert level is (await findings(settings, clock))["clocks"].level


async def test_a_clock_that_differs_from_the_database_s(db: Database, settings: Settings) -> None:
    found = await findings(settings, SimClock(SystemClock().now() + timedelta(minutes=5)))

    assert (ERROR if db.on_postgres else OK) is found["clocks"].level


@pytest.fixture
async def post(db: Database, clock: SimClock) -> AsyncIterator[PostOffice]:
    http = OutgoingHttp(allow=(), own_hosts=(), user_agent="Heartfly/test")
    office = PostOffice(db, IdSource(1), ChannelContext(http=http, mail=None), clock.now())
    await office.open()
    yield office
    await http.aclose()


@pytest.mark.parametrize(
    ("trouble", "waits", "level"),
    [
        (False, timedelta(seconds=30), OK),
        (False, timedelta(seconds=31), WARNING),
        (False, timedelta(minutes=10, seconds=1), ERROR),
        (True, timedelta(hours=20), WARNING),
    ],
)
async def test_how_long_people_have_been_waiting(
    post: PostOffice, settings: Settings, clock: SimClock, waits: timedelta, level: Level, *, trouble: bool
) -> None:
    channel = await post.webhook("https://example.com/hook")
    await post.alerts([channel.channel_id], ["check:1", "check:2"], at=clock.now() - waits)
    await post.alert([channel.channel_id], "check:3", at=clock.now())
    if trouble:
        values = {"retrying_since": clock.now()}
        await post.db.write(lambda tx: tx.conn.execute(sa.update(channels).values(values)) and None)

    found = (await findings(settings, clock))["alerts"]

    assert (level, trouble) == (found.level, "in trouble" in found.found)


async def test_of_many_channels_the_one_that_waits_longest_counts(
    post: PostOffice, settings: Settings, clock: SimClock
) -> None:
    made = [await post.webhook(f"https://example.com/{n}") for n in range(4)]
    for minutes, channel in enumerate(made, start=1):
        await post.alert([channel.channel_id], at=clock.now() - minutes * timedelta(minutes=1))

    assert "for 4 min" in (await findings(settings, clock))["alerts"].found


@pytest.mark.parametrize(("version", "level"), [("0001", WARNING), ("9999", ERROR)])
async def test_another_schema(db: Database, settings: Settings, clock: SimClock, version: str, level: Level) -> None:
    statement = f"UPDATE alembic_version SET version_num = '{version}'"
    await db.write(lambda tx: tx.conn.exec_driver_sql(statement) and None)

    found = await findings(settings, clock)

    assert level is found["schema"].level
    assert "alerts" not in found


async def test_a_place_without_a_database_is_no_fault(tmp_path: Path, clock: SimClock) -> None:
    found = await findings(Settings(data=Data(dir=tmp_path)), clock)

    assert [("database", OK)] == [(name, one.level) for name, one in found.items()]


async def test_half_a_restore_is_an_error(tmp_path: Path, clock: SimClock) -> None:
    (tmp_path / UNFINISHED).touch()
    found = await findings(Settings(data=Data(dir=tmp_path)), clock)

    assert (ERROR, True) == (found["database"].level, "heartfly restore" in found["database"].advice)


async def test_what_is_no_database_is_an_error(tmp_path: Path, clock: SimClock) -> None:
    (tmp_path / "heartfly.db").write_bytes(b"dear diary " * 1000)

    found = await findings(Settings(data=Data(dir=tmp_path)), clock)

    assert (ERROR, True) == (found["database"].level, "not a database" in found["database"].found)


async def test_a_postgresql_that_is_away_is_an_error_without_its_password(tmp_path: Path, clock: SimClock) -> None:
    url = "postgresql://nobody:hunter2@127.0.0.1:1/none"
    settings = Settings(data=Data(dir=tmp_path), database=DatabaseSettings(url=url))
    found = await findings(settings, clock)

    assert ERROR is found["database"].level
    assert "hunter2" not in str(found)


@pytest.mark.postgres
async def test_a_forgetful_postgresql_is_an_error(postgres_url: str, tmp_path: Path, clock: SimClock) -> None:
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit TO off')
    engine.dispose()

    found = await findings(Settings(data=Data(dir=tmp_path), database=DatabaseSettings(url=postgres_url)), clock)

    assert (ERROR, True) == (found["durability"].level, "synchronous_commit=off" in found["durability"].found)


# --- mail


async def test_a_mail_server_is_asked_without_a_mail() -> None:
    async with SmtpScript() as server:
        found = await mail.look(mail_settings(server.port), base_url="http://beat.example.org")

    assert (OK, True) == (found.level, "answers in clear" in found.found)
    assert ["EHLO", "QUIT"] == [command.split()[0] for command in server.commands]


async def test_no_mail_server_is_no_fault() -> None:
    assert OK is (await mail.look(None, base_url="http://x")).level


@pytest.mark.parametrize(
    ("answers", "security", "said"),
    [
        ({"GREETING": "554 go away"}, "none", "554"),
        ({"EHLO": "250 mx"}, "starttls", "STARTTLS"),
        ({"EHLO": None}, "none", "cannot be used"),
    ],
)
async def test_a_mail_server_that_would_take_none(answers: dict[str, str | None], security: str, said: str) -> None:
    async with SmtpScript(**answers) as server:
        found = await mail.look(mail_settings(server.port, security=security), base_url="http://x")

    assert (ERROR, True) == (found.level, said in found.found), found


async def test_a_mail_server_that_says_nothing_is_given_up() -> None:
    async with SmtpScript(greeting=SmtpScript.WAIT) as server:
        settings = replace(mail_settings(server.port), timeout_s=0.2)
        async with asyncio.timeout(60):
            found = await mail.look(settings, base_url="http://x")

    assert ERROR is found.level


async def test_a_mail_server_that_is_not_there() -> None:
    assert ERROR is (await mail.look(mail_settings(1), base_url="http://x")).level


# --- all of it


async def test_everything_is_looked_at_once(db: Database, settings: Settings, clock: SimClock) -> None:
    found = await examine(settings, mail_settings=None, clock=clock)

    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    assert {"disk", "clock", "time zones", "base_url", "mail", "schema", "alerts"} <= set(names)
    assert db.on_postgres == ("sqlite" not in names)
    assert [] == [one for one in found if (one.level is OK) != (not one.advice)]
