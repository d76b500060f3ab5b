"""What is asked of requests: which time, and which of them. Who answers is decided beside, a file a question.

What the rollups hold apart (endpoint, customer, method, status) is answered out of them; keys, sources and what a
mixture leaves are answered out of the events, as far as they may be looked at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from heartfly.core.tiles import State
from heartfly.core.traffic import Figures
from heartfly.core.windows import Window
from heartfly.traffic.plan import Steady
from heartfly.usage.settled import Settled

OTHER_ENDPOINTS = "(other)"
"""What came when the project had as many endpoints as it may."""


class Order(StrEnum):
    """The largest first. `errors` are the server's, `client_errors` the clients'; `latency`: the slowest request."""

    REQUESTS = "requests"
    ERRORS = "errors"
    CLIENT_ERRORS = "client_errors"
    P95 = "p95"
    LATENCY = "latency"
    BYTES = "bytes"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Known:
    """What many questions about a time have in common. `names`: all endpoints of the project by number."""

    settled: Settled
    steady: Steady
    names: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """[from_at, to_at). Of one filter any value suffices; all filters must hold.

    A `to_at` in the present hour, that is not before now, takes all of that hour in.

    `endpoints`: "GET /v1/orders/{id}", or OTHER_ENDPOINTS. `customers`: public ids, or subjects as they were sent.
    `statuses`: "2xx" to "5xx", exact codes, or "unknown". `methods`: upper case.
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
    known: Mapping[Window, Known] = field(default_factory=dict, compare=False, repr=False)
    """Of windows of time what was looked up already (span.py); the others are looked up when asked."""


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
    """Figures by exact status code; 0: unknown. `together`: times and bytes that are known of all statuses only, of
    requests that are counted in `of`; it counts none itself.
    """

    of: dict[int, Figures] = field(default_factory=dict)
    together: Figures | None = None

    def at(self, status: int) -> Figures:
        """Those of a status, to add to."""
        found = self.of.get(status)
        if found is None:
            found = self.of[status] = Figures()
        return found

    def at_all(self) -> Figures:
        """What is not told apart, to add to."""
        if self.together is None:
            self.together = Figures()
        return self.together

    def merge(self, other: ByStatus) -> None:
        """No request may be in both."""
        for status, figures in other.of.items():
            self.at(status).merge(figures)
        if other.together is not None:
            self.at_all().merge(other.together)

    def total(self) -> Figures:
        """Of all statuses, as figures of their own."""
        found = Figures()
        for figures in self.of.values():
            found.merge(figures)
        if self.together is not None:
            found.merge(self.together)
        return found

    def counted(self) -> ByStatus:
        """The same, but that of statuses only counts are left."""
        whole = self.total()
        whole.n = 0
        return ByStatus({status: Figures(n=figures.n) for status, figures in self.of.items()}, whole)

    @property
    def n(self) -> int:
        return sum(one.n for one in self.of.values())

    def n_of(self, of_class: int) -> int:
        """How many of 2xx (2) to 5xx (5); 4 are errors of clients, 5 of servers. 0: told no status."""
        return sum(one.n for status, one in self.of.items() if status // 100 == of_class)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A window of a series, cut to what was asked. `open`: it is not over, or was cut."""

    window: Window
    by_status: ByStatus
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a ranking. `key`: what a filter takes to show it alone; `name`: for people. `share`: of all requests
    that were asked for, in thousandths, rounded down.
    """

    key: str
    name: str
    by_status: ByStatus
    share: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The first rows by what was asked for, and all others together (None: there are none), those before `offset` too.

    `n`: of all rows. `all`: of all requests that were asked for.
    """

    rows: Sequence[Row]
    other: Row | None
    n: int
    all: ByStatus
    trust: Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Cells by row and column; what is not there had no request."""

    rows: Sequence[str]
    columns: Sequence[Window] | Sequence[str]
    cells: Mapping[tuple[int, int], ByStatus]
    trust: Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """`customer_key`: what a filter takes; `customer`: his name, or as he was sent. `status` 0: unknown."""

    at: datetime
    latency_us: int
    endpoint: str
    customer_key: str
    customer: str
    status: int
    path: str
    request_id: str
    event_id: int
