"""All of a SQLite database in PostgreSQL: every row as it was, or nothing at all."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from heartfly.accounts.commands import create_user
from heartfly.accounts.invites import invite
from heartfly.accounts.second_step import demand, switch_on
from heartfly.audit.chain_key import key_in
from heartfly.audit.fasten import fasten
from heartfly.audit.record import Action, record
from heartfly.cli import main
from heartfly.clock import SystemClock
from heartfly.core import totp
from heartfly.core.words import PingKind
from heartfly.db import postgres
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.migrate import upgrade
from heartfly.db.models import (
    channels,
    checks,
    dead_letters,
    event_conflicts,
    events,
    metadata,
    ping_bodies,
    pings,
    projects,
    usage_metadata,
    users,
)
from heartfly.db.parts import MAIN, USAGE
from heartfly.errors import StoreError
from heartfly.sealing import load_or_create
from heartfly.upkeep.move import digest, move, set_sequences
from heartfly.usage.apply import EventApplier
from heartfly.usage.ingest import EventIngest
from tests.sim_clock import SimClock
from tests.world import SEALER, TEST, make_world

pytestmark = pytest.mark.postgres

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECRET = b"12345678901234567890"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def source(tmp_path: Path, ids: IdSource) -> Any:
    """A stopped SQLite database in which much has happened."""
    database = Database(url="", data_dir=tmp_path / "data", clock=SystemClock())
    upgrade(database.engine)
    database.start()
    for slug in ("main", "acme"):
        world = await make_world(database, ids, T0, slug=slug)
        gates = '[{"metric": "rows", "op": ">=", "value": "10", "level": "fail"}]'
        for name in ("Näch­tlich", "Report 'ß\\t"):
            check = await world.check(T0, name=name, gates=gates, tags=["a", "ü"], slug=f"job-{name[0].lower()}")
            for n, kind in enumerate([PingKind.START, PingKind.SUCCESS, PingKind.FAIL, PingKind.LOG, PingKind.SUCCESS]):
                body = b"\x00\xff\\N\trows=%d.123456789012345678\n" % (5 + 10 * n)
                await world.ping(check, T0 + n * MINUTE, kind, method="POST", body=body, body_size=len(body))
        await database.write(
            lambda tx, pid=world.project.pid: tx.conn.execute(  # type: ignore[misc]
                sa.insert(channels).values(
                    pid=pid, id=ids.next(T0), uuid=f"u{pid}", kind="slack", name="ops", events=["check.down"],
                    config_enc=SEALER.seal(b"{}"), created_at=T0, rev=1,
                )
            )
            and None
        )  # fmt: skip
    await database.write(lambda tx: _people(tx, ids))
    await database.stop()
    reopened = Database(url="", data_dir=tmp_path / "data", clock=SystemClock())
    yield reopened
    reopened.close()


@pytest.fixture
async def usage(source: Database, tmp_path: Path, ids: IdSource) -> Any:
    """The other part of it: events of two projects, and what came wrong."""
    database = Database(url="", data_dir=tmp_path / "data", clock=SystemClock(), part=USAGE)
    upgrade(database.engine, USAGE)
    database.start()
    ingest = EventIngest(database, EventApplier(ids), SimClock(T0), keep=timedelta(days=400))
    at = T0.isoformat()
    for pid in (1, 2):
        found = [
            {
                "transaction_id": f"t{n}",
                "customer_id": "ü",
                "timestamp": at,
                "event_type": "t",
                "properties": {"n": "\\N\t"},
            }
            for n in range(5)
        ]
        told = await ingest.take(pid, [*found, found[0] | {"event_type": "other"}, {"none": 1}], wire="native")
        assert 7 == len(told)
    await database.stop()
    reopened = Database(url="", data_dir=tmp_path / "data", clock=SystemClock(), part=USAGE)
    yield reopened
    reopened.close()


def _people(tx: Tx, ids: IdSource) -> None:
    """Somebody with a second step, and somebody who is invited."""
    user_id = create_user(tx, email="ada@example.com", password_hash="x", is_admin=True, actor=TEST, at=T0, ids=ids)
    code = totp.code_of(SECRET, totp.step_of(T0))
    switch_on(tx, user_id, SECRET, code, sealer=SEALER, actor=TEST, at=T0, ids=ids)
    pid = tx.conn.execute(sa.select(sa.func.min(projects.c.id))).scalar_one()
    invite(tx, pid, email="joan@example.com", role="viewer", actor=TEST, at=T0, ids=ids)


def rows_of(connection: sa.Connection, of: sa.MetaData = metadata) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))]
        for table in of.sorted_tables
    }


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for part, tables in ((MAIN, metadata), (USAGE, usage_metadata)):
        engine = postgres.writing_engine(url, part)
        with engine.connect() as connection:
            found |= rows_of(connection, tables)
        engine.dispose()
    return found


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.mark.anyio
async def test_every_row_arrives_as_it_was(source: Database, usage: Database, postgres_url: str) -> None:
    told: list[tuple[str, int, int]] = []
    moved = move(source, usage, postgres_url, progress=lambda table, done, of: told.append((table, done, of)))

    with source.engine.connect() as connection, usage.engine.connect() as of_usage:
        before = rows_of(connection) | rows_of(of_usage, usage_metadata)
    after = everything(postgres_url)
    assert {name: sorted(rows, key=repr) for name, rows in before.items()} == {
        name: sorted(rows, key=repr) for name, rows in after.items()
    }
    assert {name: len(rows) for name, rows in before.items()} == moved.rows
    assert (20, 20, 4, 2) == tuple(moved.rows[t.name] for t in (pings, ping_bodies, checks, channels))
    assert any(value == Decimal("15.123456789012345678") for row in after["run_metrics"] for value in row)
    assert (10, 2, 2) == tuple(moved.rows[t.name] for t in (events, event_conflicts, dead_letters))
    assert moved.n_compared == moved.n_rows  # of so few, all
    assert all(done <= of for _, done, of in told)
    assert told[-1][1] == told[-1][2]


@pytest.mark.anyio
async def test_into_a_database_that_is_in_use_nothing_is_moved(
    source: Database, usage: Database, postgres_url: str, ids: IdSource, tmp_path: Path
) -> None:
    other = Database(url=postgres_url, data_dir=tmp_path / "other", clock=SystemClock())
    other.start()
    await make_world(other, ids, T0, slug="theirs")
    await other.stop()
    before = everything(postgres_url)

    with pytest.raises(StoreError, match="the target is in use: its table"):
        move(source, usage, postgres_url)

    assert before == everything(postgres_url)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("spoils", "says"),
    [
        ("NEW.agent := 'somebody else'; RETURN NEW", "pings: a row did not arrive as it was"),
        ("RETURN CASE WHEN NEW.n = 3 THEN NULL ELSE NEW END", r"pings: \d+ of \d+ rows arrived"),
        ("RAISE EXCEPTION 'no room'", "pings: no room; nothing was moved"),
    ],
)
async def test_what_does_not_arrive_as_it_was_moves_nothing(
    source: Database, usage: Database, postgres_url: str, spoils: str, says: str
) -> None:
    execute(
        postgres_url,
        f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {spoils}; END $$",
        "CREATE TRIGGER spoil BEFORE INSERT ON pings FOR EACH ROW EXECUTE FUNCTION spoil()",
    )

    with pytest.raises(StoreError, match=says):
        move(source, usage, postgres_url)
    assert {0} == {len(rows) for rows in everything(postgres_url).values()}

    execute(postgres_url, "DROP TRIGGER spoil ON pings")
    assert 20 == move(source, usage, postgres_url).rows["pings"]  # a second run finds an empty database


class KilledError(Exception):
    """The process dies here."""


@pytest.mark.anyio
async def test_killed_on_the_way_it_leaves_nothing_and_can_begin_again(
    source: Database, usage: Database, postgres_url: str
) -> None:
    for table in ("projects", "pings", "runs"):

        def die(now: str, _done: int, _of: int, table: str = table) -> None:
            if now == table:
                raise KilledError

        with pytest.raises(KilledError):
            move(source, usage, postgres_url, progress=die)
        assert {0} == {len(rows) for rows in everything(postgres_url).values()}

    assert 20 == move(source, usage, postgres_url).rows["pings"]


@pytest.mark.anyio
async def test_whoever_moved_goes_on_there(
    source: Database, usage: Database, postgres_url: str, tmp_path: Path
) -> None:
    move(source, usage, postgres_url)
    database = Database(url=postgres_url, data_dir=tmp_path / "there", clock=SystemClock())
    database.start()
    async with database.read() as read:
        found = (await read.execute(sa.select(checks).order_by(checks.c.id))).all()
        sealed = (await read.execute(sa.select(channels.c.config_enc))).scalars().all()
        ada = (await read.execute(sa.select(users.c.id))).scalar_one()
    later = T0 + MINUTE
    code = totp.code_of(SECRET, totp.step_of(later))
    await database.write(lambda tx: demand(tx, ada, code, sealer=SEALER, at=later))
    await database.stop()

    assert 4 == len(found)
    assert [b"{}", b"{}"] == [SEALER.open(each) for each in sealed]


@pytest.mark.anyio
async def test_the_chain_of_the_audit_holds_where_it_was_moved_to(
    ids: IdSource, postgres_url: str, tmp_path: Path
) -> None:
    """With facts that PostgreSQL keeps otherwise than SQLite."""
    data = tmp_path / "data"
    database = Database(url="", data_dir=data, clock=SystemClock())
    usage = Database(url="", data_dir=data, clock=SystemClock(), part=USAGE)
    upgrade(database.engine)
    upgrade(usage.engine, USAGE)
    database.start()
    sealer = load_or_create(data / "secret.key")
    pid = (await make_world(database, ids, T0)).project.pid
    numbers = {"e": 1e5, "large": 1e23, "binary": 2.0**60, "largest": 1.7e308, "zero": -0.0, "one": 1.0}
    odd = numbers | {"many": [True, None, 0.1, 1.5e-7, 10**30], "text": "ß\x00😀"}

    def work(tx: Tx) -> None:
        record(tx, pid, actor=TEST, action=Action.CHECK_EDIT, of="check:1", before=odd, after={}, at=T0, ids=ids)
        fasten(tx, key_in(tx, sealer), at=T0)

    await database.write(work)
    await database.stop()

    def verified(**env: str) -> tuple[int, int, str]:
        result = CliRunner().invoke(main, ["audit", "verify", "--json", "--data", str(data)], env=env)
        said = json.loads(result.output)
        return result.exit_code, said["holding"], said["newest"]

    there = verified()
    move(database, usage, postgres_url)

    assert (0, 2) == there[:2]
    assert there == verified(HEARTFLY_DATABASE__URL=postgres_url)


def test_sequences_go_on_behind_what_was_copied(postgres_url: str) -> None:
    table = sa.Table(
        "counted",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("text", sa.Text),
    )
    engine = postgres.writing_engine(postgres_url)
    with engine.begin() as connection:
        table.create(connection)
        set_sequences(connection, [table])
        assert 1 == connection.execute(sa.insert(table).values(text="first").returning(table.c.id)).scalar_one()
        connection.execute(sa.insert(table).values(id=41, text="copied"))
        set_sequences(connection, [table])
        assert 42 == connection.execute(sa.insert(table).values(text="next").returning(table.c.id)).scalar_one()
    engine.dispose()


def test_a_digest_is_the_same_for_what_means_the_same_and_no_other() -> None:
    row = (1, "a", T0, Decimal("1.50"), b"\x00", {"b": 1, "a": [2]}, None, True)
    same = (1, "a", T0.astimezone(UTC), Decimal("1.5"), b"\x00", {"a": [2], "b": 1}, None, True)

    assert digest(row) == digest(same)
    for place, other in enumerate((2, "b", T0 + MINUTE, Decimal("1.51"), b"\x01", {"a": [3], "b": 1}, 0, False)):
        assert digest(row) != digest([*row[:place], other, *row[place + 1 :]])


N_CHECKS, N_PINGS = 10_000, 1_000_000


@pytest.mark.slow
@pytest.mark.anyio
async def test_ten_thousand_checks_and_a_million_pings(tmp_path: Path, ids: IdSource, postgres_url: str) -> None:
    database = Database(url="", data_dir=tmp_path / "data", clock=SystemClock())
    upgrade(database.engine)
    database.start()
    world = await make_world(database, ids, T0)
    first = await world.check(T0)
    await world.ping(first, T0)
    await database.stop()
    database = Database(url="", data_dir=tmp_path / "data", clock=SystemClock())
    with database.engine.begin() as connection:
        _multiply(connection, checks, N_CHECKS, lambda n: {"id": n, "uuid": f"c{n}", "slug_key": f"s{n}"})
        _multiply(
            connection, pings, N_PINGS, lambda n: {"check_id": n % N_CHECKS, "n": 10 + n // N_CHECKS, "seq": n}
        )  # fmt: skip
    began = time.perf_counter()

    usage = Database(url="", data_dir=tmp_path / "data", clock=SystemClock(), part=USAGE)
    upgrade(usage.engine, USAGE)
    moved = move(database, usage, postgres_url)

    usage.close()
    print(f"{moved.n_rows} rows in {time.perf_counter() - began:.0f} s, {moved.n_compared} compared")
    database.close()
    assert (N_CHECKS + 1, N_PINGS + 1) == (moved.rows["checks"], moved.rows["pings"])
    assert moved.n_compared >= 2000
    execute(postgres_url, f"DO $$ BEGIN ASSERT (SELECT sum(seq) FROM pings) >= {N_PINGS * (N_PINGS - 1) // 2}; END $$")


def _multiply(connection: sa.Connection, table: sa.Table, n: int, differs: Any) -> None:
    """The one row that is there, `n` times more."""
    row = dict(connection.execute(sa.select(table)).one()._mapping)
    numbers: Iterator[int] = iter(range(n))
    while piece := list(itertools.islice(numbers, 10_000)):
        connection.execute(sa.insert(table), [row | differs(number) for number in piece])
