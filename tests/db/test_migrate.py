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
from heartfly.db.models import api_keys, channels, metadata
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


@pytest.mark.parametrize("at", [1, 2, 13, 29, 40])
def test_a_migration_killed_at_any_statement_can_be_run_again(empty: Database, at: int) -> None:
    count = 0

    def kill(conn: sa.Connection, *_: object) -> None:
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


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_later_migration_killed_at_any_statement_keeps_what_is_there(empty: Database, at: int) -> None:
    upgrade_to(empty, "0001")
    columns = "pid, id, uuid, kind, name, config_enc, events, created_at, failing_since, rev"
    value = "'2026-03-02 03:00:00+00'" if empty.on_postgres else "1772420400000000"
    with empty.engine.begin() as connection:
        for number, since in enumerate([value, "NULL"]):
            row = f"1, {number}, 'u{number}', 'slack', 'n{number}', '', '[]', {value}, {since}, 1"
            connection.exec_driver_sql(f"INSERT INTO channels ({columns}) VALUES ({row})")
    changes = 0

    def kill(conn: sa.Connection, cursor: object, statement: str, *_: object) -> None:
        nonlocal changes
        changes += statement.startswith(("ALTER", "UPDATE"))
        if changes == at:
            raise Killed

    sa.event.listen(empty.engine, "before_cursor_execute", kill)
    with pytest.raises(Killed):
        upgrade(empty.engine)
    sa.event.remove(empty.engine, "before_cursor_execute", kill)
    empty.engine.dispose()
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
