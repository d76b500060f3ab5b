"""What a source of figures is: it tells what must be read for a condition, and reads it for a window.

Rules that need the same (`What`) of the same window share one reading. What figures mean is decided in figures.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.alert_rules import Condition, Family, Metric
from heartfly.core.windows import Window
from heartfly.rules.figures import Table

MOST_SCOPES = 1_000
"""Of one reading; those with most in them."""


@dataclass(frozen=True, slots=True)
class What:
    """`dims`: by what rows are told apart. `filters`: what only the reading itself can leave out.

    `detail`: such as the id of a meter. `in_order`: the last errors in a row, for which events are read one by one.
    """

    of: Family
    dims: tuple[str, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    detail: str = ""
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class Reads:
    """The two parts of the database, a project, and its zone."""

    main: AsyncConnection
    usage: AsyncConnection
    pid: int
    zone: ZoneInfo
    now: datetime


class Source(ABC):
    of: ClassVar[Family]
    has_past: ClassVar[bool] = True
    """Whether what was can be read as well as what is."""

    def what(self, condition: Condition, by: tuple[str, ...]) -> What:
        """Told apart by all that the rule groups and filters by, so that rules of other filters share it."""
        groups = {*by, *(group for group, _ in condition.where)}
        return What(
            self.of,
            tuple(sorted(groups)),
            detail=condition.name if condition.metric in {Metric.VALUE, Metric.USE} else "",
            in_order=condition.metric is Metric.CONSECUTIVE_ERRORS,
        )

    @abstractmethod
    async def read(self, reads: Reads, what: What, window: Window) -> Table:
        """Of one window. HeartflyError: it cannot be read, as when a meter is gone."""

    async def series(self, reads: Reads, what: What, windows: Sequence[Window]) -> Sequence[Table]:
        """Of windows that follow one another; one by one, unless the source knows better."""
        return [await self.read(reads, what, window) for window in windows]

    @abstractmethod
    async def first_at(self, reads: Reads) -> datetime | None:
        """Since when there is anything; None: there is nothing."""


def largest(table: Table) -> Table:
    if len(table) <= MOST_SCOPES:
        return table
    kept: Mapping[tuple[str, ...], object] = dict.fromkeys(
        sorted(table, key=lambda scope: (-table[scope].n, scope))[:MOST_SCOPES]
    )
    return {scope: table[scope] for scope in kept}
