"""What the life of a check is made of: rules, runs, signals, flips, and the check itself.

Values only. What each signal and each silence makes of them is decided in core/check.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import defstruct

from heartfly.core.bounds import NO_BOUNDS, Bounds
from heartfly.core.coverage import Span
from heartfly.core.gates import Broken, Gate
from heartfly.core.tolerance import NO_TOLERANCE, NOTHING_KEPT, Memory, Tolerance
from heartfly.core.words import AlertKind, PingKind, Reason, RunOutcome, Status

if TYPE_CHECKING:
    from dataclasses import dataclass as value
    from dataclasses import replace as replace  # noqa: PLC0414 - exported
else:
    from msgspec.structs import replace  # noqa: F401 - exported

    def value(*, frozen: bool, kw_only: bool) -> Callable[[type], type]:
        """`dataclass` for what is made and changed with each ping: a msgspec struct of the same fields and methods.

        A ping makes four of these and changes its check a dozen times. As frozen dataclasses that took a third of all
        that a ping costs, as structs a thirtieth. mypy sees dataclasses, so that it checks `replace` as well.
        """

        def made(declared: type) -> type:
            body = dict(vars(declared))
            kinds = body.pop("__annotations__")
            fields = [(name, kind, *_default(body, name)) for name, kind in kinds.items()]
            rest = {name: each for name, each in body.items() if name not in {"__dict__", "__weakref__"}}
            module = declared.__module__
            return defstruct(declared.__name__, fields, namespace=rest, module=module, frozen=frozen, kw_only=kw_only)

        return made

    def _default(body: dict[str, Any], name: str) -> tuple[object, ...]:
        if name not in body:
            return ()
        given = body.pop(name)
        return (msgspec.field(default_factory=given.default_factory) if isinstance(given, Field) else given,)


NextAfter = Callable[[datetime, datetime], datetime | None]
"""(instant, anchor) → the first expected time strictly after the instant; None: never again."""


@value(frozen=True, kw_only=True)
class Rules:
    """What people decide about a check. `max_run` None: a started run has the grace to finish."""

    next_after: NextAfter
    grace: timedelta
    max_run: timedelta | None = None
    gates: tuple[Gate, ...] = ()
    tolerance: Tolerance = NO_TOLERANCE
    bounds: Bounds = NO_BOUNDS
    zone: str = "UTC"
    """In which the days of gates begin and end."""
    sticky: bool = False
    unverified_is_down: bool = False
    """That Heartfly could not hear excuses nothing: a missed run is worse than a false alarm. What is planned does."""
    wants_late: bool = False
    """Somebody hears of lateness: then the check is looked at when its slot opens, too."""

    @property
    def run_limit(self) -> timedelta:
        return self.grace if self.max_run is None else self.max_run


@value(frozen=True, kw_only=True)
class Run:
    """`outcome` None: it is open. A missed or unverified slot is a run with `slot_at` and no start.

    An open run has a `slot_at` if it superseded one that held this slot open.
    """

    id: int
    rid: str | None = None
    started_at: datetime | None = None
    order: Order | None = None
    """Of its start. None: not known any more, then its time decides what came before it."""
    ended_at: datetime | None = None
    slot_at: datetime | None = None
    outcome: RunOutcome | None = None
    exit_status: int | None = None
    duration: timedelta | None = None
    ping_n: int | None = None
    covers: Span | None = None
    """What it processed, if that counts: it went well, but perhaps for its coverage, and said so."""
    progress_at: datetime | None = None
    """When it last said that it is at work; its limit counts from there."""
    reason: Reason | None = None
    """Why it counts as it does, where it did not simply go well. Of an open run: how it began."""
    tolerated: str = ""
    """How near to an alarm it was, such as `1 of 3`; empty: nothing was tolerated."""

    def began_after(self, signal: Signal) -> bool:
        """Whether the signal was sent before the run began, so that it cannot be its end."""
        if self.order is not None and signal.order[1] != ELSEWHERE:
            return signal.is_before(self.order)
        return self.started_at is not None and self.started_at > signal.at

    @property
    def counts_from(self) -> datetime:
        """Of one that was started: the instant from which its limit counts."""
        assert self.started_at is not None
        return self.started_at if self.progress_at is None else max(self.started_at, self.progress_at)


Order = tuple[datetime, int, int]
"""(received_at, node, sequence within the node). A node is one life of a process: its sequence never starts again."""


ELSEWHERE = 0
"""The node of a signal that was not sent when it happened: its time is the one that it told. No process has this
number."""


def came_before(one: Order, other: Order) -> bool:
    """Which of two signals came first: within a node by its sequence, which no clock step can turn round.

    Of two that happened elsewhere their times say it: each process counts anew, and hears them in any order.
    """
    if one[1] == other[1] != ELSEWHERE:
        return one[2] < other[2]
    return one < other


@value(frozen=True, kw_only=True)
class Signal:
    """One ping, its kind already decided by filters and methods. `id` names the run that it may open."""

    id: int
    kind: PingKind
    order: Order
    rid: str | None = None
    exit_status: int | None = None
    metrics: Mapping[str, Decimal] = field(default_factory=dict)
    covers: Span | None = None
    """What the job says that it processed."""
    source: str = ""
    """The address that it came from."""
    took: timedelta | None = None
    """Of an end: how long its run took, as the job says. Counts only where its start was not heard."""

    @property
    def at(self) -> datetime:
        return self.order[0]

    def is_before(self, other: Order | None) -> bool:
        return other is not None and came_before(self.order, other)


@value(frozen=True, kw_only=True)
class Blind:
    """Time in which Heartfly itself could not hear, [from_at, to_at].

    `planned`: it could, but somebody said before that it shall not judge. That excuses any number of slots in a row.
    """

    id: int
    from_at: datetime
    to_at: datetime
    planned: bool = False

    def touches(self, from_at: datetime, to_at: datetime) -> bool:
        return self.from_at <= to_at and from_at <= self.to_at


@value(frozen=True, kw_only=True)
class Past:
    """What a signal that comes out of order must know of history; see `needs_past`."""

    status_at: Status | None = None
    """The status at the signal's time. None: unknown, older than what is kept."""
    rid_ended: bool = False
    newer_anonymous_end: bool = False
    hung_run: Run | None = None
    """The run whose hanging made the check down, if that is why it is."""
    hung_since: bool = False
    """Another run hung after the check went down: taking that alarm back would hide this one."""
    bad_row: int = 0
    """Of a signal that is a failure: which row of failures and misses it stands in; so many are the others of it."""
    row_goes_on: bool = False
    """Nothing has gone well since."""


@value(frozen=True, kw_only=True)
class Check:
    rules: Rules
    status: Status
    status_since: datetime
    status_reason: Reason | None = None
    rev: int = 0
    flip_no: int = 0
    n_pings: int = 0
    last_ping_at: datetime | None = None
    last_kind: PingKind | None = None
    last_duration: timedelta | None = None
    last_end: Order | None = None
    """The newest success or fail that was applied; ends older than it take the late rules."""
    last_end_kind: PingKind | None = None
    anchor_at: datetime | None = None
    """Slots are counted from here: the last success or fail."""
    expected_at: datetime | None = None
    """When its slot opens. Of a new check: by when its first ping is wanted, which is the deadline itself."""
    goes_down_at: datetime | None = None
    wake_at: datetime | None = None
    late_told_at: datetime | None = None
    unverified_in_row: int = 0
    """Below zero: it was unverified in a backup that was restored, and the next such slot is excused all the same."""
    schedule_error_at: datetime | None = None
    schedule_error: str | None = None
    open_runs: tuple[Run, ...] = ()
    memory: Memory = NOTHING_KEPT


@value(frozen=True, kw_only=True)
class Flip:
    """`at`: when it was true. `tell`: None when nobody is told of it."""

    flip_no: int
    at: datetime
    from_status: Status
    to_status: Status
    reason: Reason
    run: Run | None = None
    tell: AlertKind | None = None
    retracts_flip_no: int | None = None
    broken: tuple[Broken, ...] = ()
    down_since: datetime | None = None
    """For a flip that ends a down span: when it began."""
    failure: int = 1
    """Which failure or miss in a row it is of; those before were tolerated."""
    since: datetime | None = None
    """When the first of them was."""
    of_last: str = ""
    """The share of the last runs that failed, if that is why it is told: `5 of the last 10`."""


@value(frozen=True, kw_only=True)
class Slot:
    """The slot that is open, or opens next. Successes from `counts_from` on are for it; at `closes_at` it is missed."""

    expected_at: datetime
    counts_from: datetime
    closes_at: datetime
    held_by: tuple[int, ...] = ()
    """Ids of the runs under way that may hold it open beyond the grace."""
    starts_by: datetime | None = None
    """The instant at which a run must have begun; None: nothing is said about that, or one has, or may have unheard."""
    early_from: datetime | None = None
    """Before this instant a success is not for it; None: by the schedule alone."""


@value(frozen=True, kw_only=True)
class Unverified:
    """A slot or run that a blind interval touched: no flip, one digest."""

    run: Run
    from_at: datetime
    to_at: datetime
    blind: Blind


@value(frozen=True, kw_only=True)
class Step:
    """What came of one signal, silence or command: the new check, and what must be written with it."""

    check: Check
    kind: PingKind | None = None
    """How the signal is stored; `ignored` under a sticky pause."""
    run: Run | None = None
    """The run that the signal belongs to."""
    runs: tuple[Run, ...] = ()
    """Every run that is new or changed."""
    flips: tuple[Flip, ...] = ()
    unverified: tuple[Unverified, ...] = ()
    late_since: datetime | None = None
    """Somebody who hears of lateness is told: the slot opened at this instant and nothing came."""
    schedule_error: str | None = None
    """The rules raised, for the first time: the owner is told."""
