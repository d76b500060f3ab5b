"""Usage lies beside the checks: tables, migrations and a writer of its own, one database to whoever keeps it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.migrate import USAGE_HEAD, alembic_config, current, upgrade
from heartfly.db.models import (
    backfill_events,
    dirty_hours,
    event_corrections,
    event_ids,
    events,
    metadata,
    node_batches,
    proofs,
    usage_metadata,
    usage_names,
    windows,
)
from heartfly.db.parts import PARTS, USAGE
from heartfly.errors import StoreError
from heartfly.usage.apply import hash_of
from heartfly.usage.generations import unswept

pytestmark = pytest.mark.anyio


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Database:
    """The usage part without a schema, beside a main part that has one."""
    if database_url:
        main = Database(url=database_url, data_dir=tmp_path, clock=SystemClock())
        with main.engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA usage CASCADE")
        main.close()
    else:
        main = Database(url="", data_dir=tmp_path, clock=SystemClock())
        upgrade(main.engine)
        main.close()
    return Database(url=database_url, data_dir=tmp_path, clock=SystemClock(), part=USAGE)


def test_migrations_make_what_the_models_say(empty: Database) -> None:
    assert upgrade(empty.engine, USAGE)
    assert not upgrade(empty.engine, USAGE)
    empty.engine.dispose()

    with empty.engine.connect() as connection:
        assert USAGE_HEAD == current(connection, USAGE)
        own = MigrationContext.configure(
            connection, opts={"compare_type": True, "version_table": USAGE.version_table, "include_name": _of_usage}
        )
        assert [] == list(compare_metadata(own, usage_metadata))
    empty.close()


def _of_usage(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or name in usage_metadata.tables


def test_the_head_that_the_code_knows_is_the_newest_migration(empty: Database) -> None:
    with empty.engine.connect() as connection:
        assert USAGE_HEAD == ScriptDirectory.from_config(alembic_config(connection, USAGE)).get_current_head()
        assert current(connection, USAGE) is None
    empty.close()


def test_days_that_were_proved_before_proofs_stay_proved_for_every_meter(empty: Database) -> None:
    with empty.engine.connect() as connection:
        command.upgrade(alembic_config(connection, USAGE), "0003")
    at = "'2026-03-02 00:00:00+00'" if empty.on_postgres else "1772409600000000"
    no_bytes = "''::bytea" if empty.on_postgres else "x''"
    with empty.engine.begin() as connection:
        for number in (1, 2):
            connection.exec_driver_sql(
                "INSERT INTO meters (pid, id, uuid, slug, name, unit, rev, created_at)"
                f" VALUES (7, {number}, 'u{number}', 's{number}', 'n', '', 1, {at})"
            )
        for day, state in enumerate(["final", "amended", "provisional"], start=1):
            connection.exec_driver_sql(
                "INSERT INTO usage_days (pid, day, zone, from_at, to_at, state, figures, mismatch)"
                f" VALUES (7, '2026-03-0{day}', 'UTC', {at}, {at}, '{state}', '{{}}', '')"
            )
        connection.exec_driver_sql(
            "INSERT INTO windows (pid, tier, start_at, end_at, gen, n_events, ids_sum)"
            f" VALUES (7, 'day', {at}, {at}, 5, 0, {no_bytes})"
        )

    upgrade(empty.engine, USAGE)

    with empty.engine.connect() as connection:
        kept = connection.execute(sa.select(proofs).order_by(proofs.c.day, proofs.c.meter_id)).all()
        assert [5] == list(connection.execute(sa.select(windows.c.proved_gen)).scalars())
    assert [(1, 1, False), (1, 2, False), (2, 1, True), (2, 2, True)] == [
        (row.day.day, row.meter_id, row.amended) for row in kept
    ]
    assert {(False, b"")} == {(row.moved, bytes(row.fingerprint)) for row in kept}
    empty.close()


def test_events_that_came_before_they_took_less_room_are_the_same_ones(empty: Database) -> None:
    with empty.engine.connect() as connection:
        command.upgrade(alembic_config(connection, USAGE), "0005")
    at = "'2026-03-02 00:00:00+00'" if empty.on_postgres else "1772409600000000"
    names = ["0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B-D9CB-469F-A165-70867728950E", "t-1"]
    with empty.engine.begin() as connection:
        for number, name in enumerate(names, start=1):
            content = f"{at}, {at}, 1, 2, '{name}', '{{}}'"
            connection.exec_driver_sql(
                "INSERT INTO events (pid, id, received_at, at, type_id, subject_id, transaction_id, properties)"
                f" VALUES ({number}, {number << 40}, {content})"
            )
            connection.exec_driver_sql(
                "INSERT INTO event_corrections (pid, event_id, id, kind, made_at, made_by, reason, received_at, at,"
                " type_id, subject_id, transaction_id, properties)"
                f" VALUES (7, {number}, 1, 'void', {at}, '', '', {content})"
            )

    upgrade(empty.engine, USAGE)

    with empty.engine.connect() as connection:
        kept = connection.execute(sa.select(events).order_by(events.c.id)).all()
        assert [(number, number << 40) for number in (1, 2, 3)] == [(row.pid, row.id) for row in kept]
        assert names == [row.transaction_id for row in kept]
        assert {(datetime(2026, 3, 2, tzinfo=UTC), 1, 2, "{}")} == {
            (row.at, row.type_id, row.subject_id, row.properties) for row in kept
        }
        for table in (events, event_corrections):
            this = sa.select(table.c.transaction_id).where(table.c.transaction_id == names[0])
            assert [names[0]] == list(connection.execute(this).scalars())
    empty.close()


def test_events_that_were_known_before_ids_took_less_room_are_known_still(empty: Database) -> None:
    with empty.engine.connect() as connection:
        command.upgrade(alembic_config(connection, USAGE), "0007")
    at = "'2026-03-02 00:00:00+00'" if empty.on_postgres else "1772409600000000"
    mark = "%s" if empty.on_postgres else "?"
    names = [f"t-{number}" for number in range(20)]
    with empty.engine.begin() as connection:
        for number, name in enumerate(names):
            whole = hashlib.blake2b(name.encode(), digest_size=16).digest()
            connection.exec_driver_sql(
                "INSERT INTO event_ids (pid, id_hash, event_id, fingerprint)"
                f" VALUES ({7 + number % 2}, {mark}, {number}, {mark})",
                (whole, b"12345678"),
            )
        connection.exec_driver_sql(
            "INSERT INTO backfill_events (pid, backfill_id, id, id_hash, fingerprint, received_at, at, type_id,"
            " subject_id, transaction_id, properties)"
            f" VALUES (7, 1, 1, {mark}, {mark}, {at}, {at}, 1, 2, 't-1', '{{}}')",
            (hashlib.blake2b(b"t-1", digest_size=16).digest(), b"12345678"),
        )

    upgrade(empty.engine, USAGE)

    with empty.engine.connect() as connection:
        kept = connection.execute(sa.select(event_ids).order_by(event_ids.c.event_id)).all()
        in_set = connection.execute(sa.select(backfill_events)).one()
    assert [(7 + number % 2, hash_of(name), number, b"123456") for number, name in enumerate(names)] == [
        (row.pid, bytes(row.id_hash), row.event_id, bytes(row.fingerprint)) for row in kept
    ]
    assert (hash_of("t-1"), b"123456") == (bytes(in_set.id_hash), bytes(in_set.fingerprint))
    empty.close()


def test_of_windows_that_were_there_before_nobody_is_said_to_have_left_anything(empty: Database) -> None:
    with empty.engine.connect() as connection:
        command.upgrade(alembic_config(connection, USAGE), "0006")
    at = "'2026-03-02 00:00:00+00'" if empty.on_postgres else "1772409600000000"
    no_bytes = "''::bytea" if empty.on_postgres else "x''"
    with empty.engine.begin() as connection:
        for tier in ("hour", "day"):
            connection.exec_driver_sql(
                "INSERT INTO windows (pid, tier, start_at, end_at, gen, n_events, ids_sum)"
                f" VALUES (7, '{tier}', {at}, {at}, 5, 0, {no_bytes})"
            )

    upgrade(empty.engine, USAGE)

    with empty.engine.connect() as connection:
        assert [False, False] == list(connection.execute(sa.select(windows.c.unswept)).scalars())
        assert [] == connection.execute(unswept(datetime(2026, 3, 3, tzinfo=UTC))).all()
    empty.close()


def test_hours_with_requests_that_came_before_requests_were_summed_up_are_folded_anew(empty: Database) -> None:
    with empty.engine.connect() as connection:
        command.upgrade(alembic_config(connection, USAGE), "0007")
    at, later = ("'2026-03-02 00:00:00+00'", "'2026-03-02 01:00:00+00'")
    if not empty.on_postgres:
        at, later = "1772409600000000", "1772413200000000"
    no_bytes = "''::bytea" if empty.on_postgres else "x''"
    with empty.engine.begin() as connection:
        for pid, kind, text in ((7, "type", "http.request"), (8, "subject", "http.request"), (9, "type", "other")):
            connection.exec_driver_sql(
                f"INSERT INTO usage_names (pid, id, kind, text) VALUES ({pid}, {pid}, '{kind}', '{text}')"
            )
            for tier, start, sealed in (("hour", at, "NULL"), ("day", at, "NULL"), ("hour", later, at)):
                connection.exec_driver_sql(
                    "INSERT INTO windows (pid, tier, start_at, end_at, gen, seq, n_events, ids_sum, sealed_at)"
                    f" VALUES ({pid}, '{tier}', {start}, {start}, 5, 4, 0, {no_bytes}, {sealed})"
                )

    upgrade(empty.engine, USAGE)

    with empty.engine.connect() as connection:
        marks = connection.execute(sa.select(dirty_hours)).all()
    assert [(7, datetime(2026, 3, 2, tzinfo=UTC), 4)] == [(row.pid, row.hour, row.seq) for row in marks]
    empty.close()


def test_what_an_upgrade_sorts_is_no_load_on_memory_and_it_may_take_long(empty: Database) -> None:
    asked = ["statement_timeout", "lock_timeout"] if empty.on_postgres else ["temp_store"]
    usual: list[list[str]] = []
    meanwhile: list[list[str]] = []

    def bounds(connection: sa.Connection) -> list[str]:
        verb = "SHOW" if empty.on_postgres else "PRAGMA"
        driver = connection.connection.driver_connection
        assert driver is not None
        return [str(driver.execute(f"{verb} {name}").fetchone()[0]) for name in asked]

    def look(connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith("CREATE INDEX"):
            meanwhile.append(bounds(connection))

    with empty.engine.connect() as connection:
        usual.append(bounds(connection))
    sa.event.listen(empty.engine, "before_cursor_execute", look)
    upgrade(empty.engine, USAGE)
    sa.event.remove(empty.engine, "before_cursor_execute", look)

    if not empty.on_postgres:
        with empty.engine.connect() as connection:
            usual.append(bounds(connection))
        in_memory, in_a_file = ["2"], ["1"]
        assert [in_memory, in_memory] == usual
        assert in_a_file in meanwhile
        assert [in_a_file] * len(meanwhile) == meanwhile
    else:
        assert "0" not in usual[0]
        assert ["0", "0"] in meanwhile
        assert [["0", "0"]] * len(meanwhile) == meanwhile
    empty.close()


def test_a_schema_that_is_newer_than_the_program_is_left_alone(empty: Database) -> None:
    upgrade(empty.engine, USAGE)
    with empty.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE usage_version SET version_num = '9999'")

    with pytest.raises(StoreError, match="newer than this Heartfly"):
        upgrade(empty.engine, USAGE)
    empty.close()


def test_a_table_belongs_to_one_part() -> None:
    assert not metadata.tables.keys() & usage_metadata.tables.keys()
    assert len(PARTS) == len({part.file for part in PARTS}) == len({part.version_table for part in PARTS})
    assert len([lane for part in PARTS for lane in part.lanes]) == len({lane for part in PARTS for lane in part.lanes})


async def test_both_write_and_read_side_by_side(db: Database, usage_db: Database) -> None:
    name = {"pid": 1, "id": 1, "kind": "type", "text": "api.request"}
    await usage_db.write(lambda tx: tx.conn.execute(sa.insert(usage_names), [name]))
    n = await db.write(lambda tx: tx.conn.execute(sa.text("SELECT count(*) FROM checks")).scalar())

    async with usage_db.read() as read:
        assert [name] == [dict(row) for row in (await read.execute(sa.select(usage_names))).mappings()]
    assert 0 == n


async def test_on_postgresql_each_writer_has_a_number_of_its_own(db: Database, usage_db: Database) -> None:
    if not db.on_postgres:
        assert usage_db.path is not None
        assert db.path is not None
        assert usage_db.path.parent == db.path.parent
        return
    for database in (db, usage_db):
        await database.write(lambda tx: tx.conn.execute(sa.text("SELECT 1")))

    async with db.read() as read:
        lanes = (await read.execute(sa.select(node_batches.c.lane).order_by(node_batches.c.lane))).scalars().all()
    assert [1, 3] == [lane for lane in lanes if lane]


async def test_whatever_one_read_of_usage_asks_is_of_one_instant_and_the_next_read_sees_what_came(
    usage_db: Database,
) -> None:
    asked = sa.select(sa.func.count()).select_from(usage_names)
    row = {"pid": 1, "id": 1, "kind": "type", "text": "api.call"}

    async with usage_db.read() as read:
        before = (await read.execute(asked)).scalar_one()
        await usage_db.write(lambda tx: tx.conn.execute(sa.insert(usage_names).values(row)))
        meanwhile = (await read.execute(asked)).scalar_one()
    async with usage_db.read() as read:
        after = (await read.execute(asked)).scalar_one()

    assert (0, 0, 1) == (before, meanwhile, after)
