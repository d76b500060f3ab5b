"""Closes a day of usage in a process that is killed, or stands still, at a write of the test's choice.

Run beside a test, which says by lines what to do: `KILL n`, `STOP n` and then `GO`. Each `KILL` or `STOP` is a process
of its own, forked from one that has loaded everything and opened nothing. The answer is a line: how it ended.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from typing_extensions import override

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.parts import USAGE
from heartfly.usage import generations
from heartfly.usage.close_day import Closer
from heartfly.usage.folder import Folder
from heartfly.usage.generations import OvertakenError
from heartfly.usage.hands import Hands
from tests.sim_clock import SimClock
from tests.usage.factory import NOW, PID

UTC = ZoneInfo("UTC")


class Closing:
    """The test's end of it."""

    def __init__(self, url: str, data_dir: Path, day: date) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.closing", url, str(data_dir), day.isoformat()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def ask(self, line: str) -> str:
        """`killed`, `stopped`, `overtaken`, or the state of the day, that no signal came in time for."""
        return await asyncio.to_thread(self._ask, line)

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate(timeout=30)


class Doomed(Database):
    """Its n-th write gets a signal: SIGKILL when it has done everything but commit, SIGSTOP before it begins."""

    doom: tuple[signal.Signals, int]
    n_writes = 0

    @override
    async def write(self, command: Callable[[Tx], Any], *, priority: Priority = Priority.EDITS) -> Any:
        self.n_writes += 1
        what, at = self.doom
        if self.n_writes != at:
            return await super().write(command, priority=priority)
        if what is signal.SIGSTOP:
            os.kill(os.getpid(), signal.SIGSTOP)
            return await super().write(command, priority=priority)

        def cut_off(tx: Tx) -> None:
            command(tx)
            os.kill(os.getpid(), signal.SIGKILL)

        return await super().write(cut_off, priority=priority)


async def _close(url: str, data_dir: Path, day: date, doom: tuple[signal.Signals, int], n: int) -> str:
    generations.SLICE = 20  # a fold takes several transactions, as one of many customers does
    clock, ids = SimClock(NOW), IdSource(100 + n)
    database = Doomed(url=url, data_dir=data_dir, clock=clock, part=USAGE)
    database.doom = doom
    database.start()
    try:
        closer = Closer(database, Folder(database, clock, ids, hands=Hands(beside=False)), clock, ids)
        return (await closer.close(PID, day, UTC)).state
    except OvertakenError:
        return "overtaken"
    finally:
        await database.stop()


def _forked(work: Callable[[], str]) -> tuple[int, int]:
    """The process and the end from which what came of it is to be read."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        os.write(writing, work().encode())
    finally:
        os._exit(0)


def _told(pid: int, reading: int) -> str:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return "stopped"
    with os.fdopen(reading) as end:
        said = end.read()
    return "killed" if os.WIFSIGNALED(status) else said or "it failed"


def main() -> None:
    url, data_dir, day = sys.argv[1], Path(sys.argv[2]), date.fromisoformat(sys.argv[3])
    child = (0, 0)
    for n, line in zip(itertools.count(), sys.stdin, strict=False):
        word, _, at = line.strip().partition(" ")
        if word == "GO":
            os.kill(child[0], signal.SIGCONT)
        else:
            doom = (signal.SIGKILL if word == "KILL" else signal.SIGSTOP, int(at))
            child = _forked(lambda doom=doom, n=n: asyncio.run(_close(url, data_dir, day, doom, n)))  # type: ignore[misc]
        print(_told(*child), flush=True)


if __name__ == "__main__":
    main()
