"""What a job of our own is: when it runs, what it does, and what a run of it says at its end.

Nothing is decided here; the jobs that there are stand in catalogue.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.config import GateIn
from heartfly.db.changes import Tx
from heartfly.errors import HeartflyError, StoreError

Result = TypeVar("Result")


class CatchUp(Enum):
    """What becomes of slots that passed while nobody was there to run them."""

    EACH = "every one runs, the oldest first"
    LAST = "the newest runs and makes up for all"


class LeaseLostError(HeartflyError):
    """Another node runs this slot by now: whatever we would write of it is not wanted any more."""


class Work(Protocol):
    """What a run may use. Its slot, not the clock, says what it is about."""

    @property
    def pid(self) -> int:
        """The project that the job belongs to."""
        ...

    @property
    def slot_at(self) -> datetime: ...

    @property
    def now(self) -> datetime: ...

    @property
    def on_postgres(self) -> bool: ...

    def stopping(self) -> bool:
        """Whether to give up: the process ends. For threads, which cannot be cancelled."""
        ...

    async def write(self, piece: Callable[[Tx], Result]) -> Result:
        """One short transaction, behind everybody else's. LeaseLostError: nothing was written."""
        ...

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """`failure`: why it failed, in words; empty when it did not. `closing`: written together with the outcome.

    Of `figures` numbers become metrics of its check's run; texts are only told. `damage`: the database must not be
    served any more, and the process ends once the failure was written.
    """

    figures: Mapping[str, int | float | str] = field(default_factory=dict)
    failure: str = ""
    closing: Callable[[Tx], None] | None = None
    damage: StoreError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """`expression`: a cron expression, in the zone of the project that its check lives in."""

    name: str
    title: str
    about: str
    expression: str
    grace: timedelta
    max_run: timedelta
    work: Callable[[Work], Awaitable[Done]]
    catch_up: CatchUp = CatchUp.LAST
    off: str | None = None
    """Why it does not run here, in words for people; None: it does."""
    gates: Sequence[GateIn] = ()
    """That its check has from the start."""
    quiet: timedelta = timedelta(hours=1)
    """How long after it was listed it does not run: a new installation's owner looks around first."""
    projects: Callable[[], Awaitable[Collection[int]]] | None = None
    """Which projects have one, each of its own and in its own zone; None: the first, for the whole installation."""
