"""A file of SQLite of which pages are damaged, as by a disk that forgets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

PAGE = 4096
_LEAF = 0x0D
"""The first byte of a page that holds rows of a table."""


def fill(path: Path, table: str, *, n_rows: int = 2_000) -> None:
    """Add a table whose name stands in each of its rows. Nobody else may have the file open."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f'CREATE TABLE "{table}" (x TEXT)')
        rows = ((f"{table} {n:06} {'x' * 80}",) for n in range(n_rows))
        connection.executemany(f'INSERT INTO "{table}" VALUES (?)', rows)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def tear(path: Path, table: str) -> None:
    """Overwrite three pages of a table that was filled, which SQLite looks at last; a server may have the file open."""
    content = path.read_bytes()
    holding = [
        at for at in range(0, len(content), PAGE) if content[at] == _LEAF and table.encode() in content[at : at + PAGE]
    ]
    assert len(holding) > 8
    with path.open("r+b") as file:
        for at in holding[5:8]:
            file.seek(at)
            file.write(b"\xff" * PAGE)


def damage(path: Path, table: str = "filler", *, n_rows: int = 2_000) -> None:
    fill(path, table, n_rows=n_rows)
    tear(path, table)
