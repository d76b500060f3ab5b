"""What a look sees of many rules: each reading that some of them need, once, and of that what each condition is about.

A reading that fails is told to the rules that need it, and to no other. Of a window it is told how much Heartfly did
not hear. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.alert_rules import Against, Condition, Family, Metric, Past, Rule, Scope, Seen, base_of
from heartfly.core.data_silence import apart
from heartfly.core.windows import Window
from heartfly.core.zones import is_zone
from heartfly.db.models import projects
from heartfly.db.types import EPOCH
from heartfly.errors import HeartflyError, NotFoundError
from heartfly.logs import logger
from heartfly.rules.figures import Table, figure, projected
from heartfly.rules.sources import SOURCES
from heartfly.rules.sources.base import Reads, What
from heartfly.traffic.watched import deaf

log = logger("heartfly.rules")

_MINUTE = timedelta(minutes=1)
_HEARD_BACK = timedelta(days=70)
MOST_SCOPES = 1_000
"""Of a rule; those with most in them, and all in which it is not in order."""


Opened = Callable[[], AbstractAsyncContextManager[Reads]]
"""Reads of now, for as long as it is open."""


class UnseenError(HeartflyError):
    """A rule could not be looked at."""


def window_of(condition: Condition, now: datetime) -> Window:
    return Window(now - condition.window, now)


def past_of(condition: Condition, now: datetime) -> Window | None:
    """The span that the window is compared with."""
    if (back := condition.baseline) is None:
        return None
    end = now if condition.against is Against.BURN else now - condition.window
    return Window(end - back, end)


@dataclass(slots=True)
class Sight:
    """Readings of one instant. `now`: a whole minute, so that rules share their windows."""

    now: datetime
    deaf: Sequence[Window]
    tables: dict[tuple[What, Window], Table | str] = field(default_factory=dict)
    first_at: dict[Family, datetime | None] = field(default_factory=dict)
    _projected: dict[tuple[What, Window, Scope, tuple[tuple[str, tuple[str, ...]], ...]], Table] = field(
        default_factory=dict
    )
    _views: dict[tuple[Scope, tuple[object, ...]], _View] = field(default_factory=dict)
    """By groups, and what of a condition is seen: rules that differ in their thresholds share what they see."""

    async def read(self, opened: Opened, rules: Iterable[Rule], *, apart: bool = True) -> None:
        """Each reading has a snapshot of its own: no reader may keep one for long.

        `apart`: one that fails is told to the rules that need it; else it is raised, to who asks about one rule.
        """
        reading = _reading if apart else _table
        for rule in rules:
            for condition in rule.conditions:
                source = SOURCES.get(condition.of)
                if source is None:
                    continue
                what = source.what(condition, rule.by)
                for window in (window_of(condition, self.now), past_of(condition, self.now)):
                    if window is not None and (what, window) not in self.tables:
                        self.tables[what, window] = await reading(opened, what, window)
                if condition.of not in self.first_at:
                    async with opened() as reads:
                        self.first_at[condition.of] = await source.first_at(reads)

    def of(self, rule: Rule, unsettled: Collection[Scope]) -> Mapping[Scope, tuple[Seen, ...]]:
        """What was seen of each condition in each scope. `unsettled`: scopes in which it is not in order.

        UnseenError.
        """
        views = [self._view(rule, condition) for condition in rule.conditions]
        if not rule.by:
            kept: list[Scope] = [()]
        else:
            scopes = views[0].scopes.union(*(view.scopes for view in views[1:]))
            if len(scopes) > MOST_SCOPES:
                much = {scope: max(view.n(scope) for view in views) for scope in scopes}
                scopes = frozenset(sorted(scopes, key=lambda scope: (-much[scope], scope))[:MOST_SCOPES])
            kept = sorted(scopes.union(unsettled))
        return {scope: tuple([view.seen(scope) for view in views]) for scope in kept}

    def names(self, rule: Rule, scope: Scope) -> Scope:
        """Of a scope, for people; its own values where it is not in what was read."""
        for condition in rule.conditions:
            for window in (window_of(condition, self.now), past_of(condition, self.now)):
                if window is None:
                    continue
                row = self._projected_of(rule, condition, window).get(scope)
                if row is not None and len(row.names) == len(scope):
                    return row.names
        return scope

    def _view(self, rule: Rule, condition: Condition) -> _View:
        key = (rule.by, condition.aspect)
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = self._seen_of(rule, condition)
        return found

    def _seen_of(self, rule: Rule, condition: Condition) -> _View:
        if condition.of not in SOURCES:
            raise UnseenError(f"this Heartfly knows no {condition.of.value}")
        past = past_of(condition, self.now)
        window = window_of(condition, self.now)
        return _View(
            condition,
            self._projected_of(rule, condition, window),
            None if past is None else self._projected_of(rule, condition, past),
            None if past is None else Past(
                past.from_at, past.to_at, self.first_at[condition.of], deaf_in(self.deaf, past)
            ),
            unheard=unheard_in(self.deaf, window),
        )  # fmt: skip

    def _projected_of(self, rule: Rule, condition: Condition, window: Window) -> Table:
        what = SOURCES[condition.of].what(condition, rule.by)
        key = (what, window, rule.by, condition.where)
        if key not in self._projected:
            found = self.tables[what, window]
            if isinstance(found, str):
                raise UnseenError(found)
            self._projected[key] = projected(found, what.dims, rule.by, condition.where)
        return self._projected[key]


@dataclass(slots=True)
class _View:
    """What a condition looks at (`Condition.aspect`), with what was read for it. `scopes`: an absence is also of those
    that came before.
    """

    condition: Condition
    now: Table
    before: Table | None
    past: Past | None
    unheard: Fraction
    scopes: frozenset[Scope] = frozenset()
    _seen: dict[Scope, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        also = self.before if self.condition.against is Against.ABSENCE and self.before is not None else ()
        self.scopes = frozenset(self.now).union(also)

    def n(self, scope: Scope) -> int:
        return self.now[scope].n if scope in self.now else 0

    def seen(self, scope: Scope) -> Seen:
        found = self._seen.get(scope)
        if found is None:
            found = self._seen[scope] = self._look(scope)
        return found

    def _look(self, scope: Scope) -> Seen:
        told = figure(self.condition, self.now.get(scope))
        base: Fraction | None = None
        if self.past is not None and self.before is not None:
            row = self.before.get(scope)
            if self.condition.against is Against.ABSENCE:
                total: Fraction | None = Fraction(row.n if row is not None else 0)
                adds = True
            else:
                then = figure(self.condition, row)
                total, adds = then.value, then.adds
                if then.value is None and row is None and told.adds:
                    total, adds = Fraction(), True
            base = base_of(self.condition, total, self.past, adds=adds)
        is_share = self.condition.metric is Metric.USE  # what is used was counted as it came, heard or not
        return Seen(
            value=told.value,
            n=told.n,
            base=base,
            is_partial=told.is_partial,
            unheard=Fraction() if is_share else self.unheard,
            adds=told.adds,
        )


async def _table(opened: Opened, what: What, window: Window) -> Table:
    async with opened() as reads:
        return await SOURCES[what.of].read(reads, what, window)


async def _reading(opened: Opened, what: What, window: Window) -> Table | str:
    """Or why there is none."""
    try:
        return await _table(opened, what, window)
    except NotFoundError:
        return f"what it looks at is gone: {what.of.value} {what.detail}".strip()
    except HeartflyError as error:
        return str(error)
    except Exception as error:  # one fault of ours must not silence the other rules
        log.exception("alert_rules", source=what.of.value, error=repr(error))
        return f"a fault of Heartfly's own: {error!r}"


def deaf_in(deaf: Sequence[Window], window: Window) -> timedelta:
    spans = (min(one.to_at, window.to_at) - max(one.from_at, window.from_at) for one in deaf)
    return sum((span for span in spans if span > timedelta()), timedelta())


def unheard_in(deaf: Sequence[Window], window: Window) -> Fraction:
    """As a share of the window."""
    return Fraction(deaf_in(deaf, window) // _MICROSECOND, (window.to_at - window.from_at) // _MICROSECOND)


_MICROSECOND = timedelta(microseconds=1)


async def deaf_times(main: AsyncConnection, *, now: datetime) -> Sequence[Window]:
    """As far back as any rule looks."""
    return apart(await deaf(main, now - _HEARD_BACK))


async def reads_of(main: AsyncConnection, usage: AsyncConnection, pid: int, *, now: datetime) -> Reads:
    name = (await main.execute(sa.select(projects.c.zone).where(projects.c.id == pid))).scalar_one()
    return Reads(main, usage, pid, ZoneInfo(name if is_zone(name) else "UTC"), now)


def opening(
    main: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
    usage: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
    pid: int,
    *,
    now: datetime,
) -> Opened:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Reads]:
        async with main() as of_main, usage() as of_usage:
            yield await reads_of(of_main, of_usage, pid, now=now)

    return opened


def whole_minute(at: datetime) -> datetime:
    """Rules share their windows, which end with it."""
    return at - (at - EPOCH) % _MINUTE
