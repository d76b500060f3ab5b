"""The tables `[disk]` and `[spool]`: how much room a database needs, and what a node may put on its own disk."""

from __future__ import annotations

from typing import Annotated

import msgspec

from heartfly.config.section import Section


class Disk(Section, frozen=True):
    """What happens when the disk of a SQLite database has little room; in MB (10^6 bytes). 0: nothing."""

    low_mb: Annotated[int, msgspec.Meta(ge=0)] = 500
    floor_mb: Annotated[int, msgspec.Meta(ge=0)] = 100
    reserve_mb: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 32
    """Kept in a file, and let go for judging and alerts when the disk is full."""

    def __post_init__(self) -> None:
        if self.low_mb < self.floor_mb:
            raise ValueError("low_mb: Expected at least disk.floor_mb, for bodies go first")


class Spool(Section, frozen=True):
    """Where a node keeps pings while PostgreSQL is away. With SQLite there is none: the file is the database."""

    max_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] = 512_000_000
    """Of its file in the data directory. 0: no spool, such pings hear 503."""
    addresses: Annotated[int, msgspec.Meta(ge=1)] = 300_000
    """So many a node knows by heart; only pings to those are kept. A check has two, by its UUID and by its slug."""
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=3_600)] = 300.0
    """So long, at most, deadlines wait for its replay once PostgreSQL is back."""
