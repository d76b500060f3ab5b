"""Migrations make exactly the tables that the code uses, and a run that was killed can be run again."""

from __future__ import annotations

import re
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.migrate import HEAD, alembic_config, current, scripts, upgrade
from heartfly.db.models import api_keys, channels, checks, flips, incidents, metadata
from heartfly.db.parts import MAIN, PARTS, Part
from heartfly.errors import StoreError


@pytest.fixture
def empty(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Database]:
    """A database without a schema."""
    database = Database(url=database_url, data_dir=tmp_path, clock=SystemClock())
    if database.on_postgres:
        with database.engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
    yield database
    database.close()


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def test_migrations_make_what_the_models_say(empty: Database) -> None:
    assert upgrade(empty.engine)

    assert [] == differences(empty)
    assert not upgrade(empty.engine)


def test_the_head_that_the_code_knows_is_the_newest_migration(empty: Database) -> None:
    with empty.engine.connect() as connection:
        assert HEAD == ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
        assert current(connection) is None


class Killed(BaseException):
    """The process is gone: nothing after this statement runs, nothing is committed."""


def test_a_migration_killed_at_any_statement_can_be_run_again(empty: Database) -> None:
    for at in (1, 2, 13, 29, 40):
        count = 0

        def kill(conn: sa.Connection, *_: object, at: int = at) -> None:
            nonlocal count
            count += 1
            if count == at + 3:  # the first few look for the version table
                raise Killed

        sa.event.listen(empty.engine, "before_cursor_execute", kill)
        with pytest.raises(Killed):
            upgrade(empty.engine)
        sa.event.remove(empty.engine, "before_cursor_execute", kill)
        empty.engine.dispose()

        with empty.engine.connect() as connection:
            assert set() == set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
    upgrade(empty.engine)
    assert [] == differences(empty)


def upgrade_to(database: Database, version: str) -> None:
    with database.engine.connect() as connection:
        command.upgrade(alembic_config(connection), version)


def kill_at(database: Database, at: int, *verbs: str) -> None:
    """Upgrade, and die at the so manyth statement that begins with one of these."""
    changes = 0

    def kill(conn: sa.Connection, cursor: object, statement: str, *_: object) -> None:
        nonlocal changes
        changes += statement.lstrip().startswith(verbs)
        if changes == at:
            raise Killed

    sa.event.listen(database.engine, "before_cursor_execute", kill)
    with pytest.raises(Killed):
        upgrade(database.engine)
    sa.event.remove(database.engine, "before_cursor_execute", kill)
    database.engine.dispose()


def put_channels(database: Database) -> None:
    """In schema 0001: one that fails, and one that does not."""
    columns = "pid, id, uuid, kind, name, config_enc, events, created_at, failing_since, rev"
    value = "'2026-03-02 03:00:00+00'" if database.on_postgres else "1772420400000000"
    with database.engine.begin() as connection:
        for number, since in enumerate([value, "NULL"]):
            row = f"1, {number}, 'u{number}', 'slack', 'n{number}', '', '[]', {value}, {since}, 1"
            connection.exec_driver_sql(f"INSERT INTO channels ({columns}) VALUES ({row})")


def test_a_later_migration_killed_at_any_statement_keeps_what_is_there(empty: Database) -> None:
    upgrade_to(empty, "0001")
    put_channels(empty)
    for at in range(1, 5):
        kill_at(empty, at, "ALTER", "UPDATE")
        with empty.engine.connect() as connection:
            assert "0001" == current(connection)

    upgrade(empty.engine)

    assert [] == differences(empty)
    with empty.engine.connect() as connection:
        troubles = sa.select(channels.c.retrying_since, channels.c.failing_since, channels.c.told_at)
        failing, ok = connection.execute(troubles.order_by(channels.c.id)).all()
    assert failing.failing_since is not None
    assert {failing.failing_since} == set(failing)
    assert (None, None, None) == tuple(ok)


def test_the_oldest_key_of_a_project_that_may_write_gets_to_administer(empty: Database) -> None:
    upgrade_to(empty, "0002")
    value = "'2026-03-02 03:00:00+00'" if empty.on_postgres else "1772420400000000"
    both, read = """'["read","write"]'""", """'["read"]'"""
    rows = [(1, 1, both, value), (1, 2, read, "NULL"), (1, 3, both, "NULL"), (1, 4, both, "NULL"), (2, 5, both, "NULL")]
    with empty.engine.begin() as connection:
        for pid, number, scopes, revoked_at in rows:
            connection.exec_driver_sql(
                "INSERT INTO api_keys (pid, id, hash, prefix, name, scopes, created_at, revoked_at) "
                f"VALUES ({pid}, {number}, 'h{number}', 'hf_', 'k', {scopes}, {value}, {revoked_at})"
            )

    upgrade(empty.engine)

    with empty.engine.connect() as connection:
        keys = connection.execute(sa.select(api_keys.c.id, api_keys.c.scopes).order_by(api_keys.c.id)).all()
    assert [3, 5] == [key.id for key in keys if "admin" in key.scopes]
    assert [["read", "write"], ["read"], ["admin", "read", "write"], ["read", "write"], ["admin", "read", "write"]] == [
        key.scopes for key in keys
    ]


def put_checks(database: Database) -> None:
    """In schema 0002: one that is down for the second time, and one that is up again."""
    on_postgres = database.on_postgres
    since, then = ("'2026-03-02 03:00:00+00'", "'2026-03-01 03:00:00+00'") if on_postgres else ("5000", "4000")
    false = "false" if on_postgres else "0"
    columns = (
        "pid, id, uuid, ping_uuid, name, slug, tags, description, kind, expression, period_s, zone, dialect, grace_s,"
        " methods, filters, gates, sticky, wants_late, rev, n_pings, n_open_runs, last_end_node, last_end_seq,"
        " unverified_in_row, created_at, updated_at, status, status_since, status_reason, flip_no"
    )
    flip = "pid, check_id, flip_no, at, decided_at, from_status, to_status, reason"
    with database.engine.begin() as connection:
        for number, life in enumerate([f"'down', {since}, 'missed', 3", f"'up', {since}, 'success', 2"], start=7):
            row = f"1, {number}, 'u{number}', 'p{number}', 'n{number}', 's{number}', '[]', '', 'period', '', 60, 'UTC'"
            row += f", 'cron', 60, '', '', '', {false}, {false}, 1, 1, 0, 0, 0, 0, {since}, {since}, {life}"
            connection.exec_driver_sql(f"INSERT INTO checks ({columns}) VALUES ({row})")
            for flip_no, change in enumerate(["'new', 'down', 'fail'", "'down', 'up', 'success'"], start=1):
                values = f"1, {number}, {flip_no}, {then}, {then}, {change}"
                connection.exec_driver_sql(f"INSERT INTO flips ({flip}) VALUES ({values})")
        values = f"1, 7, 3, {since}, {since}, 'up', 'down', 'missed'"
        connection.exec_driver_sql(f"INSERT INTO flips ({flip}) VALUES ({values})")


def test_what_is_down_when_incidents_come_has_one_however_often_the_migration_was_killed(empty: Database) -> None:
    upgrade_to(empty, "0002")
    put_checks(empty)
    for at in range(1, 12):
        kill_at(empty, at, "CREATE", "ALTER", "INSERT", "UPDATE")
        with empty.engine.connect() as connection:
            assert "0002" == current(connection)

    upgrade(empty.engine)

    assert [] == differences(empty)
    with empty.engine.connect() as connection:
        (one,) = connection.execute(sa.select(incidents)).all()
        named = sa.select(flips.c.check_id, flips.c.flip_no).where(flips.c.incident_id == one.id)
        assert [(7, 3)] == [tuple(row) for row in connection.execute(named)]
        down = connection.execute(sa.select(checks.c.status_since).where(checks.c.id == 7)).scalar_one()
    assert ("check", 7, "u7", "n7", "missed") == (
        one.source_kind,
        one.source_id,
        one.source_uuid,
        one.source_name,
        one.cause,
    )
    assert (down, None, None, False) == (one.opened_at, one.closed_at, one.acked_at, one.disproved)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one.uuid)


def test_incidents_can_be_left_behind_again(empty: Database) -> None:
    upgrade(empty.engine)
    with empty.engine.connect() as connection:
        command.downgrade(alembic_config(connection), "0002")
        assert "0002" == current(connection)
        assert not {"incidents", "incident_notes"} & set(sa.inspect(connection).get_table_names())

    assert upgrade(empty.engine)
    assert [] == differences(empty)


def test_a_database_of_a_newer_version_is_left_alone(empty: Database) -> None:
    upgrade(empty.engine)
    with empty.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StoreError, match="newer"):
        upgrade(empty.engine)


def test_the_next_migration_is_drafted_under_the_next_number(tmp_path: Path) -> None:
    folder = tmp_path / "alembic"
    shutil.copytree(scripts(), folder, ignore=shutil.ignore_patterns("__pycache__"))

    number = runpy.run_path(str(scripts() / "draft.py"))["draft"]("what changes", folder=folder)

    (written,) = folder.glob(f"versions/{number}_*.py")
    assert int(HEAD) + 1 == int(number)
    assert "what_changes" in written.name
    text = written.read_text()
    assert f"down_revision = '{HEAD}'" in text
    assert re.search(r"def upgrade\(\) -> None:\n(?: +#.*\n)* +pass", text), "models and migrations agree"


def put_events(database: Database) -> None:
    """In schema 0001 of usage: two events of a customer, one under a UUID."""
    now = "'2026-03-02 03:00:00+00'" if database.on_postgres else "1772420400000000"
    schema = "usage." if database.on_postgres else ""
    ids = ["t-1", "0b0e7a4e-6a5c-4b57-9d0b-0d9c7a1f2e3d"]
    with database.engine.begin() as connection:
        for number, (kind, text) in enumerate([("type", "api"), ("subject", "acme")], start=1):
            connection.exec_driver_sql(f"INSERT INTO {schema}usage_names VALUES (1, {number}, '{kind}', '{text}')")
        for number, transaction_id in enumerate(ids, start=10):
            row = f"1, {number}, {now}, {now}, 1, 2, '{transaction_id}', '{{}}'"
            connection.exec_driver_sql(f"INSERT INTO {schema}events VALUES ({row})")


def state(database: Database) -> dict[str, tuple[object, ...]]:
    """Tables with their columns, indexes and rows: all that a migration may change."""
    schema = database.part.schema if database.on_postgres else None
    found: dict[str, tuple[object, ...]] = {}
    with database.engine.connect() as connection:
        inspector = sa.inspect(connection)
        for name in {*inspector.get_table_names(schema=schema)} - {database.part.version_table}:
            columns = [(one["name"], str(one["type"])) for one in inspector.get_columns(name, schema=schema)]
            indexes = sorted(str(one["name"]) for one in inspector.get_indexes(name, schema=schema))
            table = sa.Table(name, sa.MetaData(), *(sa.Column(column) for column, _ in columns), schema=schema)
            found[name] = (columns, indexes, sorted(map(repr, connection.execute(sa.select(table)))))
    return found


def killed(database: Database, at: int) -> bool:
    """Upgrade, and die before the so manyth statement or commit, whichever it is; whether there were so many."""
    count = 0

    def step(*_: object) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise Killed

    engine = database.engine
    sa.event.listen(engine, "before_cursor_execute", step)
    sa.event.listen(engine, "commit", step)
    try:
        upgrade(engine, database.part)
    except (Killed, sa.exc.PendingRollbackError):  # the latter of who would tidy up on the way out
        assert count >= at
        return True
    finally:
        sa.event.remove(engine, "before_cursor_execute", step)
        sa.event.remove(engine, "commit", step)
        engine.dispose()
    return False


FILLED = {("main", "0001"): put_channels, ("main", "0002"): put_checks, ("usage", "0001"): put_events}


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_killed_before_any_statement_a_migration_has_changed_nothing_and_goes_on(
    empty: Database, tmp_path: Path, database_url: str, part: Part
) -> None:
    """Of each migration, from an empty database on, with rows in it from the first one that has tables for them."""
    database = empty if part is MAIN else Database(url=database_url, data_dir=tmp_path, clock=SystemClock(), part=part)
    if part is not MAIN and database.on_postgres:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {part.schema} CASCADE")
    version, before, at, n_killed = None, state(database), 1, 0
    reached: list[str | None] = []
    while killed(database, at):
        n_killed += 1
        with database.engine.connect() as connection:
            now = current(connection, part)
        if now == version:
            assert before == state(database), f"{version}, statement {at}"
            at += 1
            continue
        reached.append(now)
        if (fill := FILLED.get((part.name, str(now)))) is not None:
            fill(database)
        version, before, at = now, state(database), 1

    print(f"{part.name}: killed {n_killed} times in {len(reached)} migrations")
    with database.engine.connect() as connection:
        revisions = ScriptDirectory.from_config(alembic_config(connection, part)).walk_revisions()
        *earlier, head = [script.revision for script in revisions][::-1]
        # Whoever dies once all is done, as he gives PostgreSQL's lock back, has reached the head.
        assert (earlier, head) == ([one for one in reached if one != head], current(connection, part))
    if part is MAIN:
        assert [] == differences(database)
    elif not database.on_postgres:
        (tmp_path / "another").mkdir()
        never_killed = Database(url="", data_dir=tmp_path / "another", clock=SystemClock(), part=part)
        upgrade(never_killed.engine, part)
        assert shape(never_killed) == shape(database)
        never_killed.close()
    if part is not MAIN:
        database.close()


def shape(database: Database) -> dict[str, object]:
    """Without rows."""
    return {name: found[:2] for name, found in state(database).items()}
