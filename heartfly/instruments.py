"""What this process counts and times of its own work, and how Prometheus reads it (text format 0.0.4).

Each instrument stands here, with its labels; those who do the work are handed what they count with. Labels are words of
ours from short lists: never a check, a project, an address or anything that a stranger wrote. What is not counted but
read at the moment of asking (a queue, a lag) is vitals/gauges.py's.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

_MOST_SERIES = 1000
"""Of one instrument. More would be a bug of ours; it must not eat the memory of a process that others rely on."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ITEMS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True, slots=True)
class Sample:
    """`suffix`: what is appended to the family's name."""

    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """`kind`: counter, gauge or histogram."""

    name: str
    kind: str
    about: str
    samples: Sequence[Sample]


def gauge(name: str, about: str, value: float, **labels: str) -> Family:
    return Family(name, "gauge", about, (Sample(value, tuple(labels.items())),))


class Counter:
    """For any thread."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self.name = name
        self._about = about
        self._labels = labels
        self._lock = threading.Lock()
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0}

    def add(self, *labels: str, n: float = 1) -> None:
        """`labels`: a value for each name, in order."""
        with self._lock:
            if labels in self._values:
                self._values[labels] += n
            elif len(self._values) < _MOST_SERIES:
                self._values[labels] = n

    def family(self) -> Family:
        with self._lock:
            found = sorted(self._values.items())
        samples = [Sample(value, tuple(zip(self._labels, labels, strict=True))) for labels, value in found]
        return Family(self.name, "counter", self._about, samples)


class Histogram:
    """For any thread. `bounds` are inclusive, as in `le`."""

    def __init__(self, name: str, about: str, *labels: str, bounds: Sequence[float] = SECONDS) -> None:
        self.name = name
        self._about = about
        self._labels = labels
        self._bounds = bounds
        self._lock = threading.Lock()
        self._series: dict[tuple[str, ...], list[float]] = {} if labels else {(): self._empty()}
        """A count for each bucket, not added up, that above the last bound, and the sum."""

    def _empty(self) -> list[float]:
        return [0] * (len(self._bounds) + 2)

    def observe(self, value: float, *labels: str) -> None:
        place = bisect_left(self._bounds, value)
        with self._lock:
            series = self._series.get(labels)
            if series is None:
                if len(self._series) >= _MOST_SERIES:
                    return
                series = self._series[labels] = self._empty()
            series[place] += 1
            series[-1] += value

    def family(self) -> Family:
        with self._lock:
            found = sorted((labels, tuple(series)) for labels, series in self._series.items())
        samples = [sample for labels, series in found for sample in self._one(labels, series[:-1], series[-1])]
        return Family(self.name, "histogram", self._about, samples)

    def _one(self, labels: tuple[str, ...], counts: Sequence[float], total: float) -> Iterator[Sample]:
        named = tuple(zip(self._labels, labels, strict=True))
        so_far = 0.0
        for bound, n in zip((*self._bounds, inf), counts, strict=True):
            so_far += n
            yield Sample(so_far, (*named, ("le", _number(bound))), "_bucket")
        yield Sample(total, named, "_sum")
        yield Sample(so_far, named, "_count")


class Instruments:
    """All of one process."""

    def __init__(self) -> None:
        self.pings = Counter("heartfly_pings_total", "Pings that were answered, by what became of them.", "outcome")
        self.ping_seconds = Histogram(
            "heartfly_ping_seconds", "From the receipt of a ping to the commit that holds it."
        )
        self.spooled = Counter(
            "heartfly_spooled_pings_total",
            "Pings that went to this node's spool, and what became of them then.",
            "what",
        )
        self.bodies_dropped = Counter(
            "heartfly_ping_bodies_dropped_total", "Bodies that were not kept, as the disk had little room."
        )
        self.commit_items = Histogram(
            "heartfly_commit_items", "Writes that shared a transaction of the group commit.", bounds=ITEMS
        )
        self.commit_seconds = Histogram("heartfly_commit_seconds", "How long a transaction of the group commit took.")
        self.deliveries = Counter(
            "heartfly_deliveries_total", "Tries to deliver alerts, by kind of channel and outcome.", "kind", "outcome"
        )
        self.delivery_seconds = Histogram("heartfly_delivery_seconds", "How long a try to deliver took.", "kind")
        self.retries = Counter(
            "heartfly_delivery_retries_total", "Tries to deliver that are to be made again, by what was wrong.", "cause"
        )
        self.repeats = Counter(
            "heartfly_flagged_repeats_total", "Messages that were taken, and said that they may be a repeat."
        )
        self.lease_losses = Counter(
            "heartfly_lease_losses_total", "Times that this node judged, and another one had taken that over."
        )
        self.blind_intervals = Counter(
            "heartfly_blind_intervals_total", "Blind intervals that this process has recorded."
        )
        self.blind_seconds = Counter(
            "heartfly_blind_seconds_total", "Seconds in which nobody could hear, as this process has recorded."
        )
        self.volume_guard = Counter(
            "heartfly_volume_guard_total",
            "Drops of all pings: held, released, cut off, or of which nobody can say why.",
            "outcome",
        )
        self.heartbeats = Counter(
            "heartfly_heartbeats_total", "Heartbeats sent, failed, and times that one was withheld.", "outcome"
        )
        self.requests = Counter(
            "heartfly_http_requests_total", "Requests but pings, by route and class of status.", "method", "route",
            "status",
        )  # fmt: skip
        self.request_seconds = Histogram("heartfly_http_request_seconds", "How long requests but pings took.", "route")
        self.turned_away = Counter(
            "heartfly_connections_turned_away_total", "Connections above the cap, which were told 503."
        )
        self.syslog = Counter(
            "heartfly_syslog_messages_total", "Messages that came by syslog, by what became of them.", "outcome"
        )
        self.limit_checks = Counter(
            "heartfly_limit_checks_total", "Checks of limits, by what was answered; opened: let through unseen.",
            "outcome",
        )  # fmt: skip

    def batch(self, n: int, took_s: float) -> None:
        self.commit_items.observe(n)
        self.commit_seconds.observe(took_s)

    def delivery(self, kind: str, outcome: str, took_s: float, *, cause: str, repeats: int) -> None:
        """`cause`: why it is to be made again; empty: it is not. `repeats`: 1 if it arrived and may be a repeat."""
        self.deliveries.add(kind, outcome)
        self.delivery_seconds.observe(took_s, kind)
        if cause:
            self.retries.add(cause)
        self.repeats.add(n=repeats)

    def blind(self, n: int, seconds: float) -> None:
        self.blind_intervals.add(n=n)
        self.blind_seconds.add(n=seconds)

    def request(self, method: str, route: str, status: int, took_s: float) -> None:
        self.requests.add(method, route, f"{status // 100}xx")
        self.request_seconds.observe(took_s, route)

    def families(self) -> list[Family]:
        return [each.family() for each in vars(self).values()]


def exposed(families: Iterable[Family]) -> bytes:
    lines: list[str] = []
    for family in families:
        lines += (f"# HELP {family.name} {_escaped(family.about)}", f"# TYPE {family.name} {family.kind}")
        lines += [f"{family.name}{one.suffix}{_labels(one.labels)} {_number(one.value)}" for one in family.samples]
    return ("\n".join(lines) + "\n").encode()


def _labels(labels: Sequence[tuple[str, str]]) -> str:
    if not labels:
        return ""
    told = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{told}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if value == inf:
        return "+Inf"
    return str(int(value)) if float(value).is_integer() else repr(float(value))
