"""What is asked of requests: which time, and which of them. Who answers is decided beside, a file a question.

What the rollups hold apart (endpoint, customer, method, status) is answered out of them; keys, sources and what a
mixture leaves are answered out of the events, as far as they may be looked at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from heartfly.core.tiles import State
from heartfly.core.traffic import Figures
from heartfly.core.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """[from_at, to_at). Of one filter any value suffices; all filters must hold.

    `endpoints`: "GET /v1/orders/{id}". `customers`: public ids, or subjects as they were sent. `statuses`: "2xx" to
    "5xx", or exact codes. `methods`: upper case.
    """

    from_at: datetime
    to_at: datetime
    zone: ZoneInfo
    endpoints: Sequence[str] = ()
    customers: Sequence[str] = ()
    methods: Sequence[str] = ()
    statuses: Sequence[str] = ()
    keys: Sequence[str] = ()
    sources: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How sure an answer is. `complete_up_to`: whatever has come of what happened before is in it.

    `of_events`: it was counted event by event; `partial`: there were too many of them, and it holds the newest only.
    """

    state: State
    complete_up_to: datetime
    of_events: bool = False
    partial: bool = False


@dataclass(slots=True)
class ByStatus:
    """Figures by exact status code; 0: unknown."""

    of: dict[int, Figures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A window of a series. `open`: it is not over, or not whole in what was asked."""

    window: Window
    by_status: ByStatus
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a ranking. `key`: what a filter takes to show it alone; `name`: for people. `share`: of all requests, in thousandths."""

    key: str
    name: str
    by_status: ByStatus
    share: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The first rows by what was asked for, and all others together (None: there are none). `n`: of all rows."""

    rows: Sequence[Row]
    other: Row | None
    n: int
    trust: Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Cells by row and column; what is not there had no request."""

    rows: Sequence[str]
    columns: Sequence[Window] | Sequence[str]
    cells: Mapping[tuple[int, int], Figures | ByStatus]
    trust: Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    at: datetime
    latency_us: int
    endpoint: str
    customer_key: str
    customer: str
    status: int
    path: str
    request_id: str
    event_id: int
