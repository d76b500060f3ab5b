"""Different values, counted apart for each of many owners, in as much memory as was agreed on.

Up to `MOST_HELD` pairs are held in memory (some 20 MB); what is more goes to a file that SQLite removes by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Self

MOST_HELD = 100_000
_CACHE_KB = 8_192


class Distinct:
    """Owners are numbers; values are texts or bytes. Use it in a `with`, as it may have a file."""

    def __init__(self, most_held: int = MOST_HELD) -> None:
        self._most = most_held
        self._held: set[tuple[int, Any]] = set()
        self._file: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, pairs: Iterable[tuple[int, Any]]) -> None:
        """Some thousands at once."""
        self._held.update(pairs)
        if len(self._held) > self._most:
            self._put_away()

    def counts(self) -> dict[int, int]:
        """By owner."""
        if self._file is not None:
            self._put_away()
            counted = self._file.execute("SELECT owner, count(*) FROM pairs GROUP BY owner")
            return dict(counted.fetchall())
        found: dict[int, int] = {}
        for owner, _ in self._held:
            found[owner] = found.get(owner, 0) + 1
        return found

    def _put_away(self) -> None:
        if self._file is None:
            self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # no name: it is temporary
            for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KB}"):
                self._file.execute(f"PRAGMA {pragma}")
            self._file.execute("CREATE TABLE pairs (owner, value, PRIMARY KEY (owner, value)) WITHOUT ROWID")
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR IGNORE INTO pairs VALUES (?, ?)", sorted(self._held))
        self._file.execute("COMMIT")
        self._held.clear()
