"""The job that makes a backup by schedule, and removes the oldest of those that it made.

An old one goes only when the new one is whole. Files that people made lie there untouched: the name tells which are
the job's. What a backup is, backup/take.py decides.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from heartfly.backup.large_files import remove
from heartfly.backup.take import beside, take
from heartfly.clock import Clock
from heartfly.db.pace import Step
from heartfly.errors import StoreError
from heartfly.jobs.kind import Done, Work

_OURS = re.compile(r"heartfly-scheduled-\d{8}T\d{6}Z\.tar", re.ASCII)


def name_of(now: datetime) -> str:
    """Not of its slot: a database that was restored from the file runs that slot again, and must not replace it."""
    return f"heartfly-scheduled-{now:%Y%m%dT%H%M%SZ}.tar"


def backing_up(
    *, database: Path, data_dir: Path, folder: Path, keep: int, clock: Clock
) -> Callable[[Work], Awaitable[Done]]:
    async def back_up(work: Work) -> Done:
        def ask() -> None:
            if work.stopping():
                raise StoreError("Heartfly is stopping")

        def taken() -> tuple[int, int]:
            made = take(
                database=database,
                data_dir=data_dir,
                target=folder / name_of(work.now),
                clock=clock,
                progress=lambda _done, _of: None,
                ask=ask,
            )
            return made.size, _remove_oldest(folder, keep, beside(database, clock, ask).step)

        try:
            size, removed = await asyncio.to_thread(taken)
        except OSError as error:
            raise StoreError(f"{error.filename or folder}: {error.strerror or error}") from error
        return Done(figures={"bytes": size, "removed": removed})

    return back_up


def _remove_oldest(folder: Path, keep: int, step: Step) -> int:
    """Names sort by time."""
    ours = sorted(path for path in folder.iterdir() if _OURS.fullmatch(path.name))
    gone = ours[:-keep]
    for path in gone:
        remove(path, step)
    return len(gone)
