"""What statements come to, kept for all databases of a test process: each test has engines of its own.

SQLAlchemy keeps the SQL that it has made of a statement by engine, so that a test would make anew what the one before
it made: a sixth of all computing. A server keeps its engines, and what is kept for those is kept here, by their kind.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.engine.interfaces import Compiled
from typing_extensions import override

MOST = 5_000
"""Kept at a time; then it begins anew."""


class _Kept(dict[Any, Compiled]):
    """SQLAlchemy's keys begin with the dialect, of which each engine has its own."""

    @override
    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((_kind(key[0]), *key[1:]), default)

    @override
    def __setitem__(self, key: Any, compiled: Compiled) -> None:
        if len(self) >= MOST:
            self.clear()
        super().__setitem__((_kind(key[0]), *key[1:]), compiled)


def _kind(dialect: Dialect) -> tuple[object, ...]:
    """All by which our engines differ in what they make of a statement, and of its values."""
    own = vars(dialect)
    return type(dialect), own.get("statement_compiler"), own.get("_json_serializer"), own.get("server_version_info")


def keep() -> None:
    kept = _Kept()

    @event.listens_for(Engine, "engine_connect")
    def share(connection: Connection) -> None:
        connection.execution_options(compiled_cache=kept)
