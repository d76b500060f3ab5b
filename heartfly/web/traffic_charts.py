"""Requests as pictures: bars by how they ended, errors in a lane of their own, latency as lines. Rows in, paths out.

A path a kind, however many bars there are. Pictures are stretched to their place, so labels stand beside them, and
what one can press are a few wide fields above, each with the time it leads to. A window that is not over is hollow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil, log10
from zoneinfo import ZoneInfo

from heartfly.core.amounts import ONE, Amount, decimal_of
from heartfly.core.sketches import SCALE, Histogram
from heartfly.core.windows import Size, Window
from heartfly.traffic.asked import Bin
from heartfly.web.traffic_words import CLASSES, MEASURES, Summed, count, measured, short_ms, summed

WIDTH, HEIGHT = 600, 100
FIELDS = 10
"""That can be pressed, at most: on a phone each is as wide as a finger's tip."""
_NARROW = 58
"""Of WIDTH: some 24 px where a chart is narrowest, on a phone."""
_MARKS = 6
_GAP = 0.12
_TENTHS = (10, 15, 20, 30, 40, 50, 60, 80, 100)
"""Of a power of ten: what the top of a scale can be."""
_HALF = 1 << (SCALE - 1)
"""Buckets of half an octave."""
_MOST_ROWS = 100
"""Of a table below a picture; all of them are in its file."""


@dataclass(frozen=True, slots=True)
class Point:
    """A window with what came to pass in it. `measures`: as traffic_words.measured."""

    window: Window
    open: bool
    summed: Summed
    measures: Mapping[str, Amount | None]


@dataclass(frozen=True, slots=True)
class Field:
    """From x on, so wide, in the picture's measure: leads to the time of the window."""

    x: float
    width: float
    window: Window
    n: int


@dataclass(frozen=True, slots=True)
class Picture:
    """`paths`: class and path. `scale`: labels from the top down. `marks`: below it, by percent of the width."""

    paths: Sequence[tuple[str, str]]
    scale: Sequence[str]
    marks: Sequence[tuple[float, str]]
    fields: Sequence[Field]
    height: int = HEIGHT


def points(bins: Sequence[Bin]) -> list[Point]:
    told = [(one, summed(one.by_status)) for one in bins]
    return [Point(one.window, one.open, figures, measured(figures.figures)) for one, figures in told]


class Across:
    """Where a window is, from left to right."""

    def __init__(self, found: Sequence[Point]) -> None:
        self._from_at = found[0].window.from_at
        self._per_second = WIDTH / (found[-1].window.to_at - self._from_at).total_seconds()

    def x(self, at: datetime) -> float:
        return round((at - self._from_at).total_seconds() * self._per_second, 2)

    def bar(self, window: Window) -> tuple[float, float]:
        left, right = self.x(window.from_at), self.x(window.to_at)
        return round(left + (right - left) * _GAP / 2, 2), round((right - left) * (1 - _GAP), 2)

    def middle(self, window: Window) -> float:
        return round((self.x(window.from_at) + self.x(window.to_at)) / 2, 2)


def stacked(found: Sequence[Point], zone: ZoneInfo, size: Size, *, before: Sequence[int] = ()) -> Picture | None:
    """How many requests, by how they ended. `before`: how many there were in the windows of the period before."""
    if not found:
        return None
    across, top = Across(found), _top(max([one.summed.n for one in found] + list(before)))
    pieces: dict[str, list[str]] = {name: [] for name in (*CLASSES, "open")}
    for one in found:
        (left, wide), y = across.bar(one.window), float(HEIGHT)
        for name in CLASSES:
            if n := one.summed.by_class[name]:
                high = max(n * HEIGHT / top, 0.4)
                y = max(0.0, y - high)
                pieces[name].append(bar_at(left, wide, y, high))
        if one.open:
            pieces["open"].append(f"M{left} {HEIGHT}V{min(y, HEIGHT - 2):.2f}h{wide}V{HEIGHT}")
    paths = [(f"c-{name}" if name != "open" else name, "".join(some)) for name, some in pieces.items() if some]
    if before:
        spots = [(across.middle(one.window), HEIGHT - n * HEIGHT / top) for one, n in zip(found, before, strict=True)]
        paths.append(("before", _line(spots)))
    return Picture(paths, _labels(top), marks(found, zone, size), fields(found))


def lane_of_errors(found: Sequence[Point], zone: ZoneInfo, size: Size) -> Picture | None:
    """Which share of requests failed: the server's fault from below, the client's above it. To a scale of its own, as
    beside all requests errors would not be seen.
    """
    if not any(one.summed.errors for one in found):
        return None
    across, high = Across(found), 40
    shares = [Decimal(one.summed.errors) / one.summed.n if one.summed.n else Decimal() for one in found]
    top = _top_share(max(shares))
    server: list[str] = []
    client: list[str] = []
    for one in found:
        (left, wide), y = across.bar(one.window), float(high)
        for n, pieces in ((one.summed.server, server), (one.summed.client, client)):
            if n:
                tall = max(float(Decimal(n) / one.summed.n / top) * high, 0.6)
                y = max(0.0, y - tall)
                pieces.append(bar_at(left, wide, y, tall))
    paths = [(name, "".join(some)) for name, some in (("c-5xx", server), ("c-4xx", client)) if some]
    return Picture(paths, [f"{(100 * top).normalize():f} %", "0"], marks(found, zone, size), (), high)


def latencies(
    found: Sequence[Point], zone: ZoneInfo, size: Size, *, log: bool, slo_ms: int | None = None
) -> Picture | None:
    """The percentiles as lines, which break where nobody told a time. None: nobody ever did. `slo_ms`: one more."""
    rows = [(one, one.measures) for one in found]
    values = [float(decimal_of(value)) for _, known in rows for value in known.values() if value is not None]
    if not values:
        return None
    across = Across(found)
    if slo_ms is not None:
        values.append(slo_ms * 1.05)  # a line on the edge would be half a line
    place, scale = _log_scale(values) if log else _plain_scale(values)
    paths = [] if slo_ms is None else [("slo", f"M0 {place(float(slo_ms)):.2f}H{WIDTH}")]
    for name in reversed(MEASURES):
        spots = [
            None if known[name] is None else (across.middle(one.window), place(float(decimal_of(known[name] or 0))))
            for one, known in rows
        ]
        paths.append((f"line {name}", _line(spots)))
    return Picture(paths, scale, marks(found, zone, size), fields(found))


def _plain_scale(values: Sequence[float]) -> tuple[Callable[[float], float], Sequence[str]]:
    top = top_of(max(values))
    return (lambda value: HEIGHT - value * HEIGHT / top), [f"{_short(top)} ms", _short(top / 2), "0"]


def _log_scale(values: Sequence[float]) -> tuple[Callable[[float], float], Sequence[str]]:
    """Each ten times as far up; from the power of ten below all values to that above them."""
    least = min((one for one in values if one > 0), default=1.0)
    low, high = int(log10(least) // 1), ceil(log10(max(*values, least)))
    high = max(high, low + 1)

    def place(value: float) -> float:
        return HEIGHT - (log10(max(value, 10.0**low)) - low) * HEIGHT / (high - low)

    return place, [f"{_short(10.0**power)}{' ms' if power == high else ''}" for power in range(high, low - 1, -1)]


def spark(values: Sequence[float]) -> str:
    """A line of 100 by 20, from its least to its most."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    spread, step = (high - low) or 1.0, 100 / (len(values) - 1)
    return _line([(round(n * step, 1), round(18 - (one - low) * 16 / spread, 1)) for n, one in enumerate(values)])


def columns(values: Sequence[int], *, high: int = 20) -> str:
    """Bars of 100 in all by `high`, such as requests in each of the last 60 seconds."""
    top, step = max([*values, 1]), 100 / max(len(values), 1)
    return "".join(
        bar_at(round(n * step, 2), round(step * 0.8, 2), high - one * high / top, one * high / top)
        for n, one in enumerate(values)
        if one
    )


def fields(found: Sequence[Point]) -> list[Field]:
    """The time in a dozen pieces, each of whole windows.

    One at an end that is too narrow for a finger, as its window has only begun, belongs to the one beside it.
    """
    across, per = Across(found), _per_field(len(found))
    pieces = [found[start : start + per] for start in range(0, len(found), per)]
    for end, beside in ((-1, -2), (0, 1)):
        if len(pieces) > 1 and across.x(_span(pieces[end]).to_at) - across.x(_span(pieces[end]).from_at) < _NARROW:
            pieces[beside] = [*pieces[min(end, beside)], *pieces[max(end, beside)]]
            del pieces[end]
    made = []
    for some in pieces:
        window = _span(some)
        left, right = across.x(window.from_at), across.x(window.to_at)
        made.append(Field(left, round(right - left, 2), window, sum(one.summed.n for one in some)))
    return made


def _span(some: Sequence[Point]) -> Window:
    return Window(some[0].window.from_at, some[-1].window.to_at)


def _per_field(n: int) -> int:
    least = -(-n // FIELDS)
    # Of hours those that divide a day, of minutes those that divide an hour.
    return next((one for one in (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 24, 30, 48) if one >= least), least)


def marks(found: Sequence[Point], zone: ZoneInfo, size: Size) -> list[tuple[float, str]]:
    across = Across(found)
    step = -(-len(found) // _MARKS)
    first, last = found[0].window.from_at.astimezone(zone), found[-1].window.from_at.astimezone(zone)
    of_one_day = first.date() == last.date() or (size is Size.HOUR and (last - first).days < 1)
    made = []
    for one in found[::step]:
        x = round(across.x(one.window.from_at) * 100 / WIDTH, 2)
        if x < 94:
            made.append((x, _mark(one.window.from_at.astimezone(zone), size, of_one_day=of_one_day)))
    return made


def _mark(at: datetime, size: Size, *, of_one_day: bool) -> str:
    if size is Size.MONTH:
        return f"{at:%b %Y}"
    if size is Size.SECOND:
        return f"{at:%H:%M:%S}"
    return f"{at:%H:%M}" if size is Size.MINUTE or of_one_day else f"{at.day} {at:%b}"


def spread(latencies: Histogram) -> tuple[Picture | None, Sequence[tuple[str, str, int]]]:
    """How many requests took how long, each bar half of an octave; and as rows: over, up to, how many. None: nobody
    told a time.
    """
    counts: dict[int, int] = {}
    for bucket, n in latencies.above.items():
        counts[bucket // _HALF] = counts.get(bucket // _HALF, 0) + n
    if not counts:
        return None, ()
    low, high = min(counts), max(counts)
    n_bars, top = high - low + 1, _top(max(counts.values()))
    wide = WIDTH / n_bars
    bars = "".join(
        bar_at(round((half - low) * wide + wide * _GAP / 2, 2), round(wide * (1 - _GAP), 2), HEIGHT - tall, tall)
        for half, n in sorted(counts.items())
        for tall in (max(n * HEIGHT / top, 0.4),)
    )
    step = -(-n_bars // _MARKS)
    places = [(round(100 * (half - low) / n_bars, 2), _ms_of(half)) for half in range(low, high + 1, step)]
    labels = [(x, f"{label} ms") for x, label in places if x < 94]
    rows = [(_ms_of(half), _ms_of(half + 1), counts.get(half, 0)) for half in range(low, high + 1)]
    return Picture([("c-2xx", bars)], _labels(top), labels, ()), rows


def _ms_of(half: int) -> str:
    """The lower bound of a bar, to three digits."""
    return f"{float(f'{2 ** (half / 2):.3g}'):,g}"


def rows_of(found: Sequence[Point]) -> tuple[Sequence[Point], bool]:
    """For the table below: the newest first; and whether there are more."""
    return list(reversed(found))[:_MOST_ROWS], len(found) > _MOST_ROWS


def sentence(found: Sequence[Point], told: Callable[[datetime], str], *, noun: str = "request") -> str:
    """What the bars say, in words."""
    n, errors = sum(one.summed.n for one in found), sum(one.summed.errors for one in found)
    if not n:
        return f"No {noun}s in this time."
    most = max(found, key=lambda one: one.summed.n)
    said = f"{n:,} {noun}{'' if n == 1 else 's'}, the most at {told(most.window.from_at)} ({most.summed.n:,})"
    if not errors:
        return f"{said}; none failed."
    worst = max(found, key=lambda one: one.summed.errors)
    return f"{said}; {errors:,} failed, the most at {told(worst.window.from_at)} ({worst.summed.errors:,})."


def sentence_of_latency(found: Sequence[Point], told: Callable[[datetime], str], *, noun: str = "request") -> str:
    rows = [(one, value) for one in found if (value := one.measures["p95"]) is not None]
    if not rows:
        return f"No {noun} told how long it took."
    low, high = min(rows, key=lambda row: row[1]), max(rows, key=lambda row: row[1])
    longest = max(one.summed.figures.latency_max_us for one, _ in rows)
    return (
        f"Of 100 {noun}s 95 took no more than {short_ms(low[1])} ms at best ({told(low[0].window.from_at)}) and "
        f"{short_ms(high[1])} ms at worst ({told(high[0].window.from_at)}); the longest took "
        f"{_short(longest / 1_000)} ms."
    )


def sentence_of_slo(found: Sequence[Point], slo_ms: int) -> str:
    """In how many windows p95 was over it; windows in which nobody told a time are not among them."""
    told = [value for one in found if (value := one.measures["p95"]) is not None]
    over = sum(value > slo_ms * ONE for value in told)
    return f"p95 was over the goal of {slo_ms:,} ms in {over:,} of {len(told):,} bars of time."


def _labels(top: int) -> Sequence[str]:
    """Half of an odd number is no number of requests."""
    return [count(top), "" if top % 2 else count(top // 2), "0"]


def _top(most: int) -> int:
    """A short number that is no less."""
    if most <= 1:
        return 1
    unit: int = 10 ** (len(str(most)) - 1)
    return next(step * unit // 10 for step in _TENTHS if step * unit >= 10 * most)


def top_of(most: float) -> float:
    unit = 10.0 ** (ceil(log10(most)) - 1) if most > 0 else 1.0
    return next((step * unit / 10 for step in _TENTHS if step * unit >= 10 * most), 10 * unit)


def _top_share(most: Decimal) -> Decimal:
    """Of 1, from a thousandth on."""
    unit = Decimal("0.001")
    while unit * 10 < most:
        unit *= 10
    return min(Decimal(1), next(step * unit / 10 for step in _TENTHS if step * unit >= 10 * most))


def _short(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def bar_at(left: float, wide: float, y: float, high: float) -> str:
    return f"M{left} {y:.2f}h{wide}v{high:.2f}h-{wide}z"


def _line(spots: Iterable[tuple[float, float] | None]) -> str:
    made, is_on = [], False
    for spot in spots:
        if spot is None:
            is_on = False
            continue
        x, y = spot
        # Of one spot alone a short stroke is seen.
        made.append(f"{'L' if is_on else 'M'}{x:g} {y:.1f}" + ("" if is_on else "h.01"))
        is_on = True
    return "".join(made)
