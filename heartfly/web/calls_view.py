"""What a page of calls to other people's APIs shows, by its address: which time, which calls, and by what told apart.

Times, links and the time before are those of pages of requests (traffic_view.py); only filters and groups are other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from heartfly.calls.asked import Asked
from heartfly.calls.forecasts import Period
from heartfly.core import text
from heartfly.core.calls import Dimension
from heartfly.core.windows import Size
from heartfly.errors import InvalidValueError
from heartfly.traffic.filters import ranges_of
from heartfly.usage.rerun import zone_of
from heartfly.web.request import PageRequest
from heartfly.web.traffic_view import View, view_of

FILTERS: Sequence[str] = tuple(one.value for one in Dimension)
MOST_VALUES = 20
"""Of one filter."""
PERIODS: Sequence[str] = (Period.WEEK, Period.MONTH, Period.QUARTER, Period.YEAR)
STEPS: Mapping[str, Size] = {"day": Size.DAY, "week": Size.WEEK, "month": Size.MONTH}
USUAL_RANGE = "30d"
"""Of costs: they are asked for by the month more than by the week."""
NONE = "none"
"""In an address: the calls that named none, where that is an empty text."""
_MOST = 300
_OF_TIME = frozenset({"range", "from", "to", "compare", "log"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsView:
    """`by`: by what the table tells calls apart. `step`: the windows of costs over time. `period`: of a forecast."""

    view: View
    filters: Mapping[Dimension, Sequence[str]]
    by: Dimension
    step: Size
    period: Period

    @property
    def question(self) -> Asked:
        return Asked(from_at=self.view.asked.from_at, to_at=self.view.asked.to_at, filters=self.filters)

    @property
    def key(self) -> tuple[object, ...]:
        """What an answer depends on besides its question."""
        filters = tuple((name.value, tuple(values)) for name, values in self.filters.items())
        return self.view.asked, self.view.before, self.view.size, filters, self.by, self.step, self.period

    def only(self, dimension: Dimension, value: str) -> str:
        """The same page of these calls alone."""
        return self.view.link(add={dimension.value: in_address(value)})


async def calls_view_from(request: PageRequest, path: str, *, usual: str, by: Dimension, **scope: str) -> CallsView:
    """`path`: below the pages of usage. `usual`: the range if the address names none. `scope`: as view_of has it."""
    async with request.api.database.read() as main:
        zone = await zone_of(main, request.project.pid)
    root = f"{request.web.root}/p/{request.project.slug}/usage"
    pairs = list(request.query_params.multi_items())
    of_time = [pair for pair in pairs if pair[0] in _OF_TIME]
    names_time = any(name in {"range", "from", "to"} and value.strip() for name, value in of_time)
    time = view_of(
        of_time if names_time else [*of_time, ("range", usual)], root=root, path=root + path, zone=zone,
        now=request.api.clock.now(),
    )  # fmt: skip
    errors = dict(time.errors)
    query = dict(time.query)
    if time.word:
        query.pop("range", None)
        query |= {} if time.word == usual else {"range": (time.word,)}
    filters: dict[Dimension, Sequence[str]] = {}
    for dimension in Dimension:
        values = tuple(dict.fromkeys(value.strip() for name, value in pairs if name == dimension and value.strip()))
        if not values:
            continue
        try:
            filters[dimension] = _filter(dimension, values)
        except InvalidValueError as error:
            errors[dimension.value] = error.message
        query[dimension.value] = values
    chosen, step = _word(pairs, "by", by.value, FILTERS, errors), _word(pairs, "step", "day", STEPS, errors)
    period = _word(pairs, "period", Period.MONTH, PERIODS, errors)
    query |= {} if chosen == by else {"by": (chosen,)}
    query |= {} if period == Period.MONTH else {"period": (period,)}
    query |= {} if step == "day" else {"step": (step,)}
    size = Size.MINUTE if time.size is Size.SECOND else time.size  # calls are not told apart by the second
    return CallsView(
        view=replace(time, size=size, query=query, errors=errors, names=FILTERS, scope=scope),
        filters=filters | {Dimension(name): (value,) for name, value in scope.items()},
        by=Dimension(chosen),
        step=STEPS[step],
        period=Period(period),
    )


def in_address(value: str) -> str:
    """An empty text cannot be seen in one."""
    return value or NONE


def _filter(dimension: Dimension, values: Sequence[str]) -> Sequence[str]:
    if len(values) > MOST_VALUES:
        raise InvalidValueError(dimension.value, f"must be {MOST_VALUES} values at most")
    for value in values:
        text.one_line(value, field=dimension.value, most=_MOST)
    if dimension is Dimension.STATUS:
        ranges_of(values)
        return values
    if dimension is Dimension.PROVIDER:
        values = tuple(value.lower() for value in values)
    return tuple("" if value == NONE else value for value in values)


def _word(
    pairs: Sequence[tuple[str, str]], name: str, usual: str, known: Sequence[str] | Mapping[str, Size],
    errors: dict[str, str],
) -> str:  # fmt: skip
    word = next((value.strip() for one, value in pairs if one == name and value.strip()), usual)
    if word in known:
        return word
    errors[name] = f"must be one of {', '.join(known)}"
    return usual
