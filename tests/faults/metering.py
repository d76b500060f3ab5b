"""Events as many senders send them, over and over, and what they come to by brute force.

The sum over all events is made here in one loop, in Python's Decimal; of Heartfly only answers are read.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal, localcontext
from typing import Any
from urllib.parse import urlencode

from tests.server_process import AskedTooMuchError, Server

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SUBJECTS, ENDPOINTS, USERS = 14, 4, 300
SENDERS = 4
METERS: Sequence[dict[str, Any]] = (
    {"slug": "calls", "event_types": ["api"], "aggregation": "count"},
    {"slug": "bytes", "event_types": ["api", "job"], "aggregation": "sum", "value": "size", "group_keys": ["endpoint"]},
    {"slug": "cost", "event_types": ["api"], "aggregation": "sum", "value": "size * price", "group_keys": ["endpoint"]},
    {"slug": "peak", "event_types": ["api", "job"], "aggregation": "max", "value": "size"},
    {"slug": "users", "event_types": ["api"], "aggregation": "unique", "value": "user", "group_keys": ["endpoint"]},
)
_GROUPED = frozenset(one["slug"] for one in METERS if "group_keys" in one)
_WIDE = Context(prec=200)


def owner(subject: int) -> str:
    """Whose it is: of two subjects one customer, and the last four are nobody's that is known."""
    return f"acme-{subject // 2}" if subject < SUBJECTS - 4 else f"s-{subject}"


@dataclass(slots=True)
class Sum:
    n: int = 0
    total: Decimal = Decimal(0)
    peak: Decimal | None = None
    users: set[int] = field(default_factory=set)

    def add(self, amount: Decimal, users: Iterable[int] = ()) -> None:
        self.n += 1
        self.total += amount
        self.peak = amount if self.peak is None else max(self.peak, amount)
        self.users.update(users)

    def merge(self, other: Sum) -> None:
        self.n += other.n
        self.total += other.total
        self.peak = max((one for one in (self.peak, other.peak) if one is not None), default=None)
        self.users |= other.users

    def text(self, aggregation: str) -> str | None:
        match aggregation:
            case "count":
                return str(self.n)
            case "unique":
                return str(len(self.users))
            case "max":
                return None if self.peak is None else _plain(self.peak)
            case _:
                return _plain(self.total)


def _plain(value: Decimal) -> str:
    return f"{value.normalize(_WIDE):f}"


Place = tuple[str, str | None]
"""Whose, and which endpoint; empty and None where figures are not told apart by it."""
Figures = dict[tuple[datetime | None, Place], tuple[int, str | None]]
"""By the begin of a window (None: the whole time): how many events count, and the exact value."""


class Made:
    """`n` events of [from_at, to_at), and what they come to; `days`: from midnight to midnight around them."""

    def __init__(self, n: int, *, seed: int, from_at: datetime, to_at: datetime) -> None:
        self.from_at, self.to_at = from_at, to_at
        self.days = (_midnight(from_at), _midnight(to_at + DAY - timedelta(microseconds=1)))
        self.draw = random.Random(seed)
        self.n_late = n // 50
        self.sums: dict[str, dict[tuple[datetime, int, int], Sum]] = {one["slug"]: {} for one in METERS}
        with localcontext(_WIDE):
            self.lines = [self._line(number, late=number >= n - self.n_late) for number in range(n)]

    def _line(self, number: int, *, late: bool) -> bytes:
        """`late`: of the first quarter of the time, and sent when all others have arrived."""
        draw = self.draw
        span = (self.to_at - self.from_at) / (4 if late else 1)
        at = self.from_at + timedelta(microseconds=draw.randrange(span // timedelta(microseconds=1)))
        subject, endpoint, user = draw.randrange(SUBJECTS), draw.randrange(ENDPOINTS), draw.randrange(USERS)
        type_ = draw.choice(("api", "api", "api", "job", "other"))
        size = f"{draw.randrange(-9, 10**6)}.{draw.randrange(10**9):09}"
        price = f"0.{draw.randrange(10**9):09}"
        has_size = draw.random() < 0.98
        # As a number, or as text: a float could hold neither.
        sent = (f'"{size}"' if draw.random() < 0.5 else size) if has_size else "null"
        where = f'"endpoint": "/{endpoint}", ' if endpoint else ""
        self._count(type_, (at - (at - self.days[0]) % HOUR, subject, endpoint), user, size if has_size else "", price)
        return (
            f'{{"transaction_id": "t-{number}", "customer_id": "s-{subject}", "timestamp": "{at.isoformat()}", '
            f'"event_type": "{type_}", '
            f'"properties": {{{where}"size": {sent}, "price": {price}, "user": "u-{user}"}}}}'
        ).encode()

    def _count(self, type_: str, key: tuple[datetime, int, int], user: int, size: str, price: str) -> None:
        def sum_of(slug: str) -> Sum:
            return self.sums[slug].setdefault(key, Sum())

        if type_ == "api":
            sum_of("calls").add(Decimal(1))
            sum_of("users").add(Decimal(1), (user,))
        if type_ == "other" or not size:
            return
        sum_of("bytes").add(Decimal(size))
        sum_of("peak").add(Decimal(size))
        if type_ == "api":
            sum_of("cost").add(Decimal(size) * Decimal(price))

    def batches(self, size: int) -> Iterator[bytes]:
        """Shuffled, 30 of 100 twice, and the late ones last; one batch of 20 is sent once more, as it is."""
        n_usual = len(self.lines) - self.n_late
        usual, late = list(range(n_usual)), list(range(n_usual, len(self.lines)))
        for numbers in (usual, late):
            sent = numbers + self.draw.sample(numbers, len(numbers) * 3 // 10)
            self.draw.shuffle(sent)
            for start in range(0, len(sent), size):
                body = b"\n".join(self.lines[number] for number in sent[start : start + size])
                yield body
                if self.draw.random() < 0.05:
                    yield body

    def figures(self, slug: str, window: timedelta | None, *, by_customer: bool, by_endpoint: bool) -> Figures:
        (aggregation,) = (one["aggregation"] for one in METERS if one["slug"] == slug)
        found: dict[tuple[datetime | None, Place], Sum] = {}
        with localcontext(_WIDE):
            for (hour, subject, endpoint), one in self.sums[slug].items():
                at = None if window is None else hour - (hour - self.days[0]) % window
                where = (f"/{endpoint}" if endpoint else "none") if by_endpoint else None
                place = (owner(subject) if by_customer else "", where)
                found.setdefault((at, place), Sum()).merge(one)
        return {key: (one.n, one.text(aggregation)) for key, one in found.items()}


def ways(slug: str) -> Iterator[tuple[str, timedelta | None, bool, bool]]:
    """In which all figures of a meter are asked for: the window, by customer, by group."""
    for name, window in (("none", None), ("day", DAY), ("hour", HOUR)):
        for by_customer in (False, True):
            for by_endpoint in (False, True) if slug in _GROUPED else (False,):
                yield name, window, by_customer, by_endpoint


def told(server: Server, key: str, made: Made, slug: str, window: str, **by: bool) -> tuple[Figures, set[str]]:
    """What the API says, page by page, and which states it says that it is in."""
    groups = [name for name, wanted in (("customer", by["by_customer"]), ("endpoint", by["by_endpoint"])) if wanted]
    asked: list[tuple[str, str]] = [("from", made.days[0].isoformat()), ("to", made.days[1].isoformat())]
    asked += [("window", window), ("zone", "UTC"), ("limit", "5000"), *(("group_by", name) for name in groups)]
    found: Figures = {}
    states: set[str] = set()
    cursor: str | None = None
    while True:
        query = urlencode(asked + ([("cursor", cursor)] if cursor else []))
        page = _asked(server, key, f"/v1/meters/{slug}/query?{query}")
        for item in page["items"]:
            at = None if window == "none" else datetime.fromisoformat(item["from_at"])
            place = (_whose(item) if by["by_customer"] else "", _where(item) if by["by_endpoint"] else None)
            assert (at, place) not in found
            states.add(item["state"])
            if groups or item["n"]:  # a window in which nothing happened is told, too, if figures are not grouped
                found[at, place] = (item["n"], item["value_exact"])
        cursor = page["next"]
        if cursor is None:
            return found, states


def _asked(server: Server, key: str, path: str) -> Any:
    """A question that took too long is asked again: on a crowded machine one of a million events may take its 5 s."""
    for _ in range(_TRIES - 1):
        with suppress(AskedTooMuchError):
            return server.api("GET", path, key)
    return server.api("GET", path, key)


_TRIES = 30


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _whose(item: Mapping[str, Any]) -> str:
    return str(item["customer"]["name"] if item["customer"] else item["subject"])


def _where(item: Mapping[str, Any]) -> str:
    return str(item["group"]["endpoint"] or "none")


class Senders:
    """Send each batch until it is answered with 200, whatever happens to the server meanwhile."""

    def __init__(self, port: int, keys: Sequence[str], batches: Sequence[bytes]) -> None:
        self._port = port
        self._keys = keys
        self._batches = batches
        self._answered = threading.Condition()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(SENDERS)
        self.outcomes: Counter[str] = Counter()
        self.n_answered = 0
        self.n_unanswered = 0
        self._running = [self._pool.submit(self._send_all, place) for place in range(SENDERS)]

    def until(self, n: int, *, limit_s: float) -> None:
        """So many batches were answered. Whoever sends and fails is heard here."""
        with self._answered:
            assert self._answered.wait_for(lambda: self.n_answered >= n or self._stop.is_set(), limit_s)
        for one in self._running:
            if one.done():
                one.result()

    def join(self, *, limit_s: float) -> None:
        self.until(len(self._batches), limit_s=limit_s)
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._pool.shutdown()

    def _send_all(self, place: int) -> None:
        connection: http.client.HTTPConnection | None = None
        try:
            for n in range(place, len(self._batches), SENDERS):
                connection = self._send(connection, n)
        except BaseException:
            self._stop.set()
            with self._answered:
                self._answered.notify_all()
            raise
        finally:
            if connection is not None:
                connection.close()

    def _send(self, connection: http.client.HTTPConnection | None, n: int) -> http.client.HTTPConnection:
        headers = {"Content-Type": "application/x-ndjson"}
        headers["Authorization"] = f"Bearer {self._keys[n % len(self._keys)]}"
        while not self._stop.is_set():
            connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            try:
                connection.request("POST", "/v1/events", self._batches[n], headers)
                answer = connection.getresponse()
                said = answer.read()
            except (OSError, http.client.HTTPException):
                # Killed before it answered: nobody knows what it has kept.
                connection.close()
                connection = None
                self.n_unanswered += 1
                self._stop.wait(0.1)
                continue
            if answer.status == 200:
                self._take(json.loads(said))
                return connection
            assert answer.status in {429, 503}, said[:500]
            self._stop.wait(min(1.0, float(answer.headers["Retry-After"])))
        raise AssertionError("another sender has failed")

    def _take(self, said: Mapping[str, Any]) -> None:
        with self._answered:
            for name in ("accepted", "duplicate", "conflict", "rejected"):
                self.outcomes[name] += said[name]
            self.n_answered += 1
            self._answered.notify_all()
