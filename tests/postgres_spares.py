"""Databases that a test left as it found them, but for rows: emptied, they serve the next one.

To make one out of the template and to drop it takes fifteen times as long as to delete all rows.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from heartfly.db.parts import PARTS

# All that a test could leave behind and that no DELETE takes away: a changed schema, settings, statistics.
_TRACES = """
SELECT count(*) || ' ' || coalesce(sum(hashtextextended(trace, 0)), 0) FROM (
    SELECT concat_ws(':', c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull) AS trace
      FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace IN ('public'::regnamespace, 'usage'::regnamespace)
    UNION ALL
    SELECT concat_ws(':', conname, contype, convalidated) FROM pg_constraint
     WHERE connamespace IN ('public'::regnamespace, 'usage'::regnamespace)
    UNION ALL
    SELECT concat_ws(':', tgname, tgenabled) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
     WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT concat_ws(':', 'statistics', relname, staattnum) FROM pg_statistic s JOIN pg_class c ON c.oid = s.starelid
     WHERE c.relnamespace IN ('public'::regnamespace, 'usage'::regnamespace)
    UNION ALL
    SELECT array_to_string(setconfig, ',') FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
     WHERE d.datname = current_database()
    UNION ALL
    SELECT concat_ws(':', extname, extversion) FROM pg_extension
    UNION ALL
    SELECT concat('schema ', nspname) FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL
    SELECT concat('version ', version_num) FROM alembic_version
    UNION ALL
    SELECT concat('version of usage ', version_num) FROM usage.usage_version
) AS traces
"""
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_ROWS_AND_NUMBERS = """
SELECT nspname, relname, relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE nspname IN ('public', 'usage')
   AND CASE relkind WHEN 'r' THEN pg_relation_size(c.oid) > 0
                    WHEN 'S' THEN pg_sequence_last_value(c.oid) IS NOT NULL ELSE false END
"""
"""Those that were used since they were made: to look at the others costs as much as to empty them."""
APPLICATION = "spares"
_MOST_BYTES = 16_000_000
"""What has grown beyond it is full of dead rows."""


class Spares:
    """A connection to each is kept beside its test, as PostgreSQL's takes longer to get going than to empty it."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._names: list[str] = []
        self._connections: dict[str, psycopg.Connection] = {}
        self._untouched: dict[str, str] = {}

    def take(self) -> str | None:
        return self._names.pop() if self._names else None

    def give_back(self, name: str, *, like: str) -> bool:
        """Empty it and keep it; False: it is not as the template is, and must go."""
        try:
            if like not in self._untouched:
                with psycopg.connect(self._server, dbname=like, autocommit=True) as template:
                    self._untouched[like] = _traces(template)
            kept = self._is_emptied(name, like)
        except psycopg.Error:
            kept = False
        if kept:
            self._names.append(name)
        else:
            self._let_go(name)
        return kept

    def _is_emptied(self, name: str, like: str) -> bool:
        connection = self._connections.get(name)
        if connection is None:
            connection = self._connections[name] = psycopg.connect(
                self._server, dbname=name, autocommit=True, application_name=APPLICATION
            )
        with connection.transaction():
            return _traces(connection) == self._untouched[like] and _emptied(connection)

    def _let_go(self, name: str) -> None:
        if (connection := self._connections.pop(name, None)) is not None:
            connection.close()

    def close(self) -> None:
        for name in list(self._connections):
            self._let_go(name)
        with psycopg.connect(self._server, autocommit=True) as connection:
            for name in self._names:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _traces(connection: psycopg.Connection) -> str:
    row = connection.execute(_TRACES).fetchone()
    assert row is not None
    return str(row[0])


def _emptied(connection: psycopg.Connection) -> bool:
    size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    if size is None or size[0] > _MOST_BYTES:
        return False
    connection.execute(_END_OTHERS)
    connection.execute("SET LOCAL session_replication_role = replica")  # in any order, whatever refers to what
    connection.execute("SET LOCAL lock_timeout = '2s'")
    kept = {part.version_table for part in PARTS}
    statements: list[sql.Composable] = [
        sql.SQL("SELECT setval({}, 1, false)").format(sql.Literal(f"{schema}.{name}"))
        if kind == "S"
        else sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, name))
        for schema, name, kind in connection.execute(_ROWS_AND_NUMBERS).fetchall()
        if name not in kept
    ]
    # What it has read is counted now, and not while the next test counts.
    statements.append(sql.SQL("SELECT pg_stat_force_next_flush()"))
    connection.execute(sql.SQL("; ").join(statements))  # in one go: on a busy machine each answer is waited for
    return True
