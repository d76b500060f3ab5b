"""How an alert rule stands in a scope over time: ok, pending, firing, acknowledged; and what a look makes of it.

What a look saw is judged in alert_rules.py. The same steps serve live looks and the replay of past days. Acknowledging
changes nothing of when a rule ends; a person who resolves one is not told again of what goes on unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from heartfly.core.alert_rules import Rule, Scope, Seen, verdict


class State(StrEnum):
    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"


class Happened(StrEnum):
    FIRED = "fired"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`since`: in this state; of what is pending or fires, since when its conditions hold. `fired_at`: the last time.

    `by_hand`: a person resolved it, and its conditions have held ever since.
    """

    state: State
    since: datetime
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    by_hand: bool = False

    @property
    def is_firing(self) -> bool:
        return self.state in {State.FIRING, State.ACKNOWLEDGED}

    @property
    def is_remembered(self) -> bool:
        """Whether anything about it matters later."""
        return self.state is not State.OK or self.fired_at is not None or self.by_hand


@dataclass(frozen=True, slots=True)
class Step:
    standing: Standing
    happened: Happened | None = None


def step(standing: Standing | None, *, holds: bool | None, wait: timedelta, cooldown: timedelta, at: datetime) -> Step:
    """`holds` None: it is not known, so that nothing changes. `standing` None: it was never looked at."""
    now = standing or Standing(state=State.OK, since=at)
    if holds is None:
        return Step(now)
    if now.is_firing:
        if holds:
            return Step(now)
        return Step(replace(now, state=State.OK, since=at, resolved_at=at), Happened.RESOLVED)
    if not holds:
        is_new = now.state is not State.OK
        return Step(replace(now, state=State.OK, since=at if is_new else now.since, by_hand=False))
    since = now.since if now.state is State.PENDING else at
    pending = replace(now, state=State.PENDING, since=since)
    if at - since < wait or _is_held_back(now, cooldown, at):
        return Step(pending)
    return Step(replace(pending, state=State.FIRING, fired_at=at, by_hand=False), Happened.FIRED)


def _is_held_back(now: Standing, cooldown: timedelta, at: datetime) -> bool:
    if now.by_hand:
        return not cooldown or now.resolved_at is None or at < now.resolved_at + cooldown
    return now.fired_at is not None and at < now.fired_at + cooldown


def acknowledged(standing: Standing) -> Standing:
    """Somebody takes care of it. It goes on, and ends, as before."""
    return replace(standing, state=State.ACKNOWLEDGED) if standing.state is State.FIRING else standing


def resolved_by_hand(standing: Standing, *, at: datetime) -> Standing:
    """It fires again when its conditions have let go in between, or still hold when a cooldown from now is over."""
    if not standing.is_firing:
        return standing
    return replace(standing, state=State.OK, since=at, resolved_at=at, by_hand=True)


# --- the past


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """In a replay: `to_at` None: it fires still."""

    scope: Scope
    from_at: datetime
    to_at: datetime | None = None


@dataclass(slots=True)
class Counted:
    """Of a condition, over all looks and scopes."""

    held: int = 0
    did_not: int = 0
    unknown: int = 0

    @property
    def always(self) -> bool:
        return bool(self.held) and not self.did_not

    @property
    def never(self) -> bool:
        return bool(self.did_not) and not self.held


@dataclass(slots=True)
class Replayed:
    fired: list[Fired] = field(default_factory=list)
    conditions: list[Counted] = field(default_factory=list)


def replay(rule: Rule, looks: Iterable[tuple[datetime, Mapping[Scope, Sequence[Seen]]]]) -> Replayed:
    """Where it would have fired, had it been looked at then. `looks`: in the order of time."""
    told = Replayed(conditions=[Counted() for _ in rule.conditions])
    standings: dict[Scope, Standing] = {}
    open_: dict[Scope, Fired] = {}
    for at, of_scopes in looks:
        for scope, seen in of_scopes.items():
            before = standings.get(scope)
            found = verdict(rule, seen, firing=before is not None and before.is_firing)
            for counted, one in zip(told.conditions, found.each, strict=True):
                counted.held += one is True
                counted.did_not += one is False
                counted.unknown += one is None
            stepped = step(before, holds=found.holds, wait=rule.wait, cooldown=rule.cooldown, at=at)
            standings[scope] = stepped.standing
            if stepped.happened is Happened.FIRED:
                open_[scope] = Fired(scope=scope, from_at=at)
            elif stepped.happened is Happened.RESOLVED:
                told.fired.append(replace(open_.pop(scope), to_at=at))
    told.fired = sorted([*told.fired, *open_.values()], key=lambda one: (one.from_at, one.scope))
    return told
