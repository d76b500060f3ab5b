"""A whole dump of a database, and the look for secrets in it, in each form in which one could stand there."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa


def cells(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    """`table.column` and what stands there, of every row of every table of every schema; bytes as Latin-1."""
    found = sa.inspect(connection)
    schemas = [name for name in found.get_schema_names() if name != "information_schema" and not name.startswith("pg_")]
    for schema, table in [(one, table) for one in schemas for table in found.get_table_names(schema=one)]:
        names = [f"{table}.{column['name']}" for column in found.get_columns(table, schema=schema)]
        result = connection.exec_driver_sql(f'SELECT * FROM "{schema}"."{table}"')
        for row in result:
            for name, value in zip(names, row, strict=True):
                if isinstance(value, bytes | memoryview):
                    yield name, bytes(value).decode("latin-1")
                elif value is not None:
                    yield name, value if isinstance(value, str) else json.dumps(value, default=str)


def files(folder: Path) -> Iterator[tuple[str, str]]:
    """SQLite's, byte by byte: also pages that no row stands on any more, and what its log holds."""
    for path in sorted(folder.glob("*.db*")):
        yield path.name, path.read_bytes().decode("latin-1")


def forms_of(secret: str | bytes) -> set[str]:
    """As it is, escaped, and encoded; with and without the prefix by which people know what it is."""
    raw = secret.encode() if isinstance(secret, str) else secret
    found = {raw.decode("latin-1"), raw.hex(), b64encode(raw).decode().rstrip("="), urlsafe_b64encode(raw).decode()}
    if isinstance(secret, str):
        bare = [secret.removeprefix(prefix) for prefix in ("hf_", "whsec_", "apt_")]
        found |= {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.replace("-", ""), *bare}
    return {form for form in found if len(form) >= 6}


def found_in(told: Iterable[tuple[str, str]], secrets: Mapping[str, str | bytes]) -> set[tuple[str, str]]:
    """(where it stands, which secret it is)"""
    forms = [(name, form) for name, secret in secrets.items() for form in forms_of(secret)]
    return {(where, name) for where, text in told for name, form in forms if form in text}
