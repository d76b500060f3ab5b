"""Where a node on PostgreSQL can die or be cut off so that it matters: at each commit of anybody who writes.

What a transaction did before its commit is as if it had never been, so that there are two moments at each: the commit
did not get there, or it did and nobody heard. At either a process may be killed, or live on and lose the line alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from typing_extensions import override

from tests.wire import Loss, Wire


class Moment(StrEnum):
    """The harder ones first: where few are tried, it is these."""

    KILLED_AFTER = "killed after"
    CUT_AFTER = "cut off after"
    KILLED_BEFORE = "killed before"
    CUT_BEFORE = "cut off before"

    @property
    def kills(self) -> bool:
        return self in {Moment.KILLED_BEFORE, Moment.KILLED_AFTER}

    @property
    def loss(self) -> Loss:
        return Loss.ANSWER if self in {Moment.KILLED_AFTER, Moment.CUT_AFTER} else Loss.REQUEST


@dataclass(frozen=True, slots=True)
class Point:
    """`n`: of the commits that come along, beginning with 1."""

    moment: Moment
    n: int

    @override
    def __str__(self) -> str:
        return f"{self.moment} commit no. {self.n}"


class PointedWire(Wire):
    """Counts commits, and does its worst at one of them. `kill` returns when the process is dead."""

    def __init__(self, url: str, folder: Path, point: Point, kill: Callable[[], None]) -> None:
        super().__init__(url, folder)
        self._point = point
        self._kill = kill
        self.n_commits = 0
        self.struck = False

    @override
    def at_commit(self) -> Loss | None:
        self.n_commits += 1
        return self._point.moment.loss if not self.struck and self.n_commits == self._point.n else None

    @override
    def happens(self) -> None:
        self.struck = True
        if self._point.moment.kills:
            self._kill()
