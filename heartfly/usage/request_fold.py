"""Requests out of events, column by column: what each customer, endpoint and status comes to, and each minute.

One loop over the events of a page adds up the finest cells, customer and endpoint and status; what is coarser is added
up from these at the end. What a column holds that is no status, no time or no size is not known, and counts as that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from heartfly.core.columns import Page
from heartfly.core.packed import packed
from heartfly.core.routing import Router
from heartfly.core.traffic import OTHER, Cube
from heartfly.db.types import instant, micros, unpacked
from heartfly.usage.event_columns import NOTHING, Statuses, Times, times_in
from heartfly.usage.requests import MOST, Cell, Limits, Requests, Row, Slow, in_order, slowest

_MOST_DIGITS = 15
"""Of a size in bytes."""
_MOST_KNOWN = 50_000
_MOST_UNNAMED = 5_000
"""Endpoints of one window that have no number; of more, those that come first by the alphabet."""
_MOST_SLOW = 2_000
_PATH, _REQUEST_ID = 1_024, 256
"""Characters that are kept."""
_PER_MINUTE = 60_000_000
_MINUTE = timedelta(minutes=1)
_Figures = list[Any]
"""n, n_timed, latency_us, latency_max_us, bytes_in, bytes_out, and how many lie in each bucket."""


class _Endpoints(dict[tuple[str | None, ...], int]):
    """The number of an endpoint, by its method and route, and where the project has rules, by path and rules.

    `bar`: endpoints without a number that stand behind it are none of ours. It only sinks, so in whatever order they
    come, the first by the alphabet are left at the end.
    """

    def __init__(self, router: Router, known: Mapping[str, int]) -> None:
        super().__init__()
        self.unnamed: list[str] = []
        self._router = router
        self._numbers = dict(known)
        self._bar: str | None = None

    def __missing__(self, told: tuple[str | None, ...]) -> int:
        method, route, path, made_by = told if len(told) == 4 else (*told, None, None)
        text = self._router.endpoint(method, route, path, made_by)
        number = self._numbers.get(text)
        if number is None:
            if self._bar is not None and text > self._bar:
                number = OTHER
            else:
                self.unnamed.append(text)
                number = self._numbers[text] = -len(self.unnamed)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[told] = number
        return number

    def shrink(self) -> Mapping[int, int]:
        """Forget those that are too many: by their numbers until now, those that they have from now on."""
        self.clear()
        numbers, self.unnamed = {text: self._numbers.pop(text) for text in self.unnamed}, []
        now: dict[int, int] = {}
        for text in sorted(numbers):
            if len(self.unnamed) < _MOST_UNNAMED:
                self.unnamed.append(text)
                self._bar = text
                now[numbers[text]] = self._numbers[text] = -len(self.unnamed)
            else:
                now[numbers[text]] = OTHER
        return now


class RequestTally:
    """Requests of [from_at, …), page after page. `known`: the numbers of endpoints."""

    def __init__(self, limits: Limits, router: Router, known: Mapping[str, int], from_at: datetime) -> None:
        self._limits = limits
        self._routed = router.rules is not None
        self._endpoints = _Endpoints(router, known)
        self._from_us = micros(from_at)
        self._times, self._statuses = Times(), Statuses()
        self._pairs: dict[tuple[int, int, int], _Figures] = {}
        self._minutes: dict[tuple[int, int], _Figures] = {}
        self._slow: list[Slow] = []

    def take(self, page: Page, rows: Sequence[Any]) -> None:
        """`rows`: of `events`, at, number, type, subject and id, as the driver or the column has them."""
        subjects = list(map(itemgetter(3), rows))
        endpoints = self._endpoints_of(page)
        statuses = [self._statuses[text] for text in page.texts("status")]
        times, buckets = times_in(page.texts("latency_ms"), self._times)
        told = times, buckets, _sizes(page.texts("request_bytes")), _sizes(page.texts("response_bytes"))
        _add(self._pairs, zip(subjects, endpoints, statuses, strict=True), told)
        _add(self._minutes, zip(self._minutes_of(rows), statuses, strict=True), told)
        slow_us = self._limits.slow_us
        if max(times) >= slow_us:
            slow = [(place, us) for place, us in enumerate(times) if us >= slow_us]
            self._note(page, rows, slow, endpoints)
        if len(self._endpoints.unnamed) > 2 * _MOST_UNNAMED:
            self._shrink()

    def _endpoints_of(self, page: Page) -> list[int]:
        known = self._endpoints
        routes = page.texts("route")
        if self._routed or None in routes:
            told = zip(page.texts("method"), routes, page.texts("path"), page.texts("rules"), strict=True)
            return [known[one] for one in told]
        return [known[one] for one in zip(page.texts("method"), routes, strict=True)]

    def _minutes_of(self, rows: Sequence[Any]) -> list[int]:
        from_us = self._from_us
        if isinstance(rows[0][0], int):
            return [(row[0] - from_us) // _PER_MINUTE for row in rows]
        return [(micros(row[0]) - from_us) // _PER_MINUTE for row in rows]

    def _note(self, page: Page, rows: Sequence[Any], slow: Sequence[tuple[int, int]], endpoints: Sequence[int]) -> None:
        paths, ids, statuses = page.texts("path"), page.texts("request_id"), page.texts("status")
        for place, us in slow:
            at, number, _, subject_id, txid, *_ = rows[place]
            self._slow.append(
                Slow(
                    -us,
                    instant(at) if isinstance(at, int) else at.astimezone(UTC),
                    unpacked(txid) or "",
                    number,
                    endpoints[place],
                    subject_id,
                    self._statuses[statuses[place]],
                    (paths[place] or "")[:_PATH],
                    (ids[place] or "")[:_REQUEST_ID],
                )
            )
        if len(self._slow) > _MOST_SLOW:
            self._slow = slowest(self._slow)

    def _shrink(self) -> None:
        now = self._endpoints.shrink()
        pairs: dict[tuple[int, int, int], _Figures] = {}
        for (subject_id, endpoint, status), figures in self._pairs.items():
            _merge(pairs, (subject_id, now.get(endpoint, endpoint), status), figures)
        self._pairs = pairs
        self._slow = slowest(one._replace(endpoint_id=now.get(one.endpoint_id, one.endpoint_id)) for one in self._slow)

    def found(self) -> Requests:
        """Once, at the end."""
        if len(self._endpoints.unnamed) > _MOST_UNNAMED:
            self._shrink()
        endpoints: dict[tuple[int, int], _Figures] = {}
        customers: dict[tuple[int, int], _Figures] = {}
        total: dict[int, _Figures] = {}
        for (subject_id, endpoint, status), figures in self._pairs.items():
            _merge(endpoints, (endpoint, status), figures)
            _merge(customers, (subject_id, status), figures)
        for (_, status), figures in customers.items():
            _merge(total, status, figures)
        cells: dict[Cell, Row] = {(Cube.TOTAL, 0, 0, status): _row(one) for status, one in total.items()}
        cells |= {(Cube.ENDPOINT, key, 0, status): _row(one) for (key, status), one in endpoints.items()}
        cells |= {(Cube.CUSTOMER, key, 0, status): _row(one) for (key, status), one in customers.items()}
        cells |= {(Cube.PAIR, *key): _row(one) for key, one in self._pairs.items()}
        first = instant(self._from_us)
        minutes = {(first + n * _MINUTE, status): _row(one) for (n, status), one in self._minutes.items()}
        minutes = dict(sorted(minutes.items()))
        return Requests(self._limits, self._endpoints.unnamed, in_order(cells), minutes, slowest(self._slow))


def _add(into: dict[Any, _Figures], keys: Iterable[Any], told: Sequence[Sequence[int]]) -> None:
    """`told`: times, their buckets, and both sizes."""
    if max(told[0]) < 0:
        _add_untimed(into, list(keys), told[2], told[3])
        return
    known = into.get
    for key, us, bucket, n_in, n_out in zip(keys, *told, strict=True):
        one = known(key)
        if one is None:
            one = into[key] = [0, 0, 0, 0, 0, 0, {}]
        one[0] += 1
        if us >= 0:
            one[1] += 1
            one[2] += us
            if us > one[3]:  # noqa: PLR1730 - a call for each event costs more
                one[3] = us
            lies = one[6]
            lies[bucket] = lies.get(bucket, 0) + 1
        one[4] += n_in
        one[5] += n_out


def _add_untimed(into: dict[Any, _Figures], keys: Sequence[Any], n_in: Sequence[int], n_out: Sequence[int]) -> None:
    """As `_add` of requests of which no log told how long they took, in half the time: that is most logs."""
    sizes: defaultdict[Any, list[int]] = defaultdict(list)
    for key, size in zip(keys, n_out, strict=True):
        sizes[key].append(size)
    for key, some in sizes.items():
        one = into.get(key)
        if one is None:
            one = into[key] = [0, 0, 0, 0, 0, 0, {}]
        one[0] += len(some)
        one[5] += sum(some)
    if any(n_in):
        for key, size in zip(keys, n_in, strict=True):
            into[key][4] += size


def _merge(into: dict[Any, _Figures], key: Any, figures: _Figures) -> None:
    one = into.get(key)
    if one is None:
        into[key] = [*figures[:6], dict(figures[6])]
        return
    one[0] += figures[0]
    one[1] += figures[1]
    one[2] += figures[2]
    one[3] = max(one[3], figures[3])
    one[4] += figures[4]
    one[5] += figures[5]
    buckets = one[6]
    for bucket, n in figures[6].items():
        buckets[bucket] = buckets.get(bucket, 0) + n


def _row(one: _Figures) -> Row:
    n, n_timed, latency_us, latency_max_us, bytes_in, bytes_out, buckets = one
    latencies = packed(buckets.pop(NOTHING, 0), buckets) if buckets else None
    if latency_us > MOST or bytes_in > MOST or bytes_out > MOST:
        latency_us, bytes_in, bytes_out = min(latency_us, MOST), min(bytes_in, MOST), min(bytes_out, MOST)
    return Row(n, n_timed, latency_us, latency_max_us, bytes_in, bytes_out, latencies)


def _sizes(texts: Sequence[str | None]) -> Sequence[int]:
    """0 for what is no size."""
    if None not in texts:
        joined = "".join(texts)  # type: ignore[arg-type]
        if joined.isdecimal() and joined.isascii() and all(texts) and max(map(len, texts)) <= _MOST_DIGITS:  # type: ignore[arg-type]
            return list(map(int, texts))  # type: ignore[arg-type]
    elif not any(texts):
        return [0] * len(texts)
    return [_size(text) for text in texts]


def _size(text: str | None) -> int:
    is_one = text is not None and text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS
    return int(text) if is_one and text is not None else 0
