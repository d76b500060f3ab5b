"""A look at all alert rules of a project: what was seen, how each stands now, and what is told of it at once.

What is read is decided in seeing.py, what follows from it in core. A rule that cannot be looked at says why in its row,
and keeps no other from its look. What was edited while it was looked at is looked at again by the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.alert_rules import Against, Condition, Scope, Seen, Verdict, limit_of, verdict
from heartfly.core.alerts import ConcernFacts
from heartfly.core.rule_states import Happened, State, Step, step
from heartfly.core.rule_words import (
    condition_words,
    figure_words,
    scope_words,
    seen_words,
    threshold_words,
    too_few_words,
    what_words,
    window_words,
)
from heartfly.core.windows import Window
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import alert_rules, rule_alerts
from heartfly.errors import HeartflyError
from heartfly.incidents.raised import OF_RULE, Ended, Raised, end_alerts, raise_alerts
from heartfly.logs import logger
from heartfly.rules.figures import Table, figure, projected
from heartfly.rules.rows import Placed, Stored, demand_unchanged, forget, put_standings, scope_text, standing_row
from heartfly.rules.seeing import Opened, Sight, UnseenError
from heartfly.rules.sources import SOURCES
from heartfly.rules.sources.base import What

log = logger("heartfly.rules")

LAST_VALUES = 6
MOST_LAST = 20
"""Readings of what was before, in one look."""
FORGOTTEN = timedelta(days=31)
"""A standing that is in order for so long is removed: no cooldown lasts longer."""
_MOST_TROUBLE = 500
_PIECE = 50
"""Rules that are judged before anybody who wants to stop is heard."""


@dataclass(slots=True)
class Looked:
    """What a look came to. `trouble`: rules that could not be looked at, by number, and why."""

    rules: int = 0
    scopes: int = 0
    fired: int = 0
    resolved: int = 0
    firing: int = 0
    trouble: dict[int, str] = field(default_factory=dict)

    def add(self, other: Looked) -> None:
        self.rules += other.rules
        self.scopes += other.scopes
        self.fired += other.fired
        self.resolved += other.resolved
        self.firing += other.firing
        self.trouble |= other.trouble


@dataclass(frozen=True, slots=True)
class Move:
    """How a rule goes on in a scope. `number`: of its standing; None: it has none yet."""

    of: Stored
    scope: Scope
    number: int | None
    step: Step
    seen: tuple[Seen, ...]
    verdict: Verdict
    names: Scope
    last: tuple[tuple[str, str], ...] = ()
    """Of what people are told of: the last few windows, oldest first, for a table in the message."""

    @property
    def told(self) -> tuple[Condition, Seen]:
        """The condition that people are told of: the first that holds, or at an end does not, or else the first."""
        ended = self.step.happened is Happened.RESOLVED
        places = [place for place, one in enumerate(self.verdict.each) if (one is False if ended else one)]
        place = places[0] if places else 0
        return self.of.rule.conditions[place], self.seen[place]


async def judged(
    rules: Sequence[Stored], sight: Sight, standings: Mapping[int, Mapping[Scope, Placed]]
) -> tuple[list[Move], Looked]:
    """As `moves`, beside the event loop: many rules with many scopes take some twenty seconds to compute."""
    found: list[Move] = []
    looked = Looked()
    for start in range(0, len(rules), _PIECE):
        some, part = await asyncio.to_thread(moves, rules[start : start + _PIECE], sight, standings)
        found += some
        looked.add(part)
    return found, looked


def moves(
    rules: Sequence[Stored], sight: Sight, standings: Mapping[int, Mapping[Scope, Placed]]
) -> tuple[list[Move], Looked]:
    """Those that change something. Nothing is written."""
    found: list[Move] = []
    looked = Looked(rules=len(rules))
    for one in rules:
        known = standings.get(one.id, {})
        unsettled = [scope for scope, placed in known.items() if placed.standing.state is not State.OK]
        try:
            seen_in = sight.of(one.rule, unsettled)
        except UnseenError as error:
            looked.trouble[one.id] = str(error)[:_MOST_TROUBLE]
            looked.firing += sum(placed.standing.is_firing for placed in known.values())
            continue
        looked.scopes += len(seen_in)
        for scope, seen in seen_in.items():
            before = known.get(scope)
            standing = before.standing if before is not None else None
            judged = verdict(one.rule, seen, firing=standing is not None and standing.is_firing)
            if not judged.holds and (standing is None or (not standing.by_hand and standing.state is State.OK)):
                continue
            stepped = step(standing, holds=judged.holds, wait=one.rule.wait, cooldown=one.rule.cooldown, at=sight.now)
            looked.firing += stepped.standing.is_firing
            if stepped.standing != standing:
                number = before.id if before is not None else None
                names = sight.names(one.rule, scope)
                found.append(Move(one, scope, number, stepped, seen, judged, names))
    looked.fired = sum(move.step.happened is Happened.FIRED for move in found)
    looked.resolved = sum(move.step.happened is Happened.RESOLVED for move in found)
    return found, looked


async def with_last_values(opened: Opened, now: datetime, found: Sequence[Move]) -> list[Move]:
    """Those that are told of, with what was before. What cannot be read is left out: the alert is what matters."""
    told: list[Move] = []
    read: dict[tuple[What, timedelta], Sequence[Table]] = {}
    views: dict[tuple[object, ...], Sequence[Table]] = {}  # of many scopes, and of many rules that look alike
    for move in found:
        condition, _ = move.told
        source = SOURCES[condition.of]
        if move.step.happened is None or not source.has_past:
            told.append(move)
            continue
        what = source.what(condition, move.of.rule.by)
        windows = last_windows(condition, now)
        if (what, condition.window) not in read:
            if len(read) >= MOST_LAST:
                told.append(move)
                continue
            try:
                async with opened() as reads:
                    read[what, condition.window] = await source.series(reads, what, windows)
            except HeartflyError as error:
                log.warning("alert_rules", rule=move.of.row.uuid, error=str(error))
                read[what, condition.window] = ()
        view_of = (what, condition.window, move.of.rule.by, condition.where)
        if view_of not in views:
            views[view_of] = [
                projected(table, what.dims, move.of.rule.by, condition.where) for table in read[what, condition.window]
            ]
        rows = []
        for window, view in zip(windows, views[view_of], strict=False):
            text = figure_words(condition, figure(condition, view.get(move.scope)).value)
            rows.append((_when(window.to_at, now), text))
        told.append(replace(move, last=tuple(rows)))
    return told


def last_windows(condition: Condition, now: datetime) -> list[Window]:
    return [Window(now - (n + 1) * condition.window, now - n * condition.window) for n in reversed(range(LAST_VALUES))]


def _when(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M} UTC" if now - at < timedelta(days=1) else f"{at:%Y-%m-%d %H:%M} UTC"


def write(
    tx: Tx, pid: int, rules: Sequence[Stored], found: Sequence[Move], looked: Looked, *, now: datetime, ids: IdSource
) -> None:
    """All that follows from a look."""
    unchanged = demand_unchanged(tx, pid, {one.id: one.row.rev for one in rules})
    kept = [move for move in found if move.of.id in unchanged]
    numbers = {(move.of.id, move.scope): move.number or ids.next(now) for move in kept}
    rows = []
    for move in kept:
        number = numbers[move.of.id, move.scope]
        condition, seen = move.told
        text = figure_words(condition, seen.value)
        rows.append(standing_row(pid, move.of.id, move.scope, number, move.step.standing, figure=text))
    put_standings(tx, rows)
    _raise(tx, pid, [move for move in kept if move.step.happened is Happened.FIRED], numbers, now=now, ids=ids)
    ended = [move for move in kept if move.step.happened is Happened.RESOLVED]
    end_alerts(
        tx,
        [
            Ended(
                pid=pid,
                source_id=numbers[move.of.id, move.scope],
                concern=concern_of(move),
                at=move.step.standing.since,
                explain="",
                channel_ids=move.of.channels,
            )
            for move in ended
        ],
        ids=ids,
        now=now,
    )
    _keep_trouble(tx, pid, looked, now=now)
    forget(tx, pid, before=now - FORGOTTEN)


def _raise(
    tx: Tx,
    pid: int,
    fired: Sequence[Move],
    numbers: Mapping[tuple[int, Scope], int],
    *,
    now: datetime,
    ids: IdSource,
) -> None:
    raised = [
        Raised(
            pid=pid,
            source_id=numbers[move.of.id, move.scope],
            key=f"{OF_RULE}:{move.of.id}:{scope_text(move.scope)}:{move.step.standing.since.isoformat()}",
            concern=concern_of(move),
            at=now,
            explain=explain(move),
            channel_ids=move.of.channels,
        )
        for move in fired
    ]
    found = raise_alerts(tx, raised, ids=ids, now=now)
    rows = []
    for move, one in zip(fired, raised, strict=True):
        incident = found[pid, one.key]
        rows.append(
            {
                "pid": pid,
                "incident_id": incident.id,
                "rule_id": move.of.id,
                "rule_uuid": move.of.row.uuid,
                "rule_name": move.of.row.name,
                "type": move.told[0].metric.value,
                "severity": move.of.severity.value,
                "scope": scope_text(move.scope),
                "scope_words": one.concern.scope,
                "context": context(move, at=now),
                "note": None,
                "resolved_by": None,
            }
        )
    if rows:
        tx.conn.execute(tx.insert(rule_alerts).on_conflict_do_nothing(index_elements=["pid", "incident_id"]), rows)


def _keep_trouble(tx: Tx, pid: int, looked: Looked, *, now: datetime) -> None:
    r = alert_rules.c
    live = (r.pid == pid, r.enabled.is_(True), r.archived_at.is_(None))
    tx.conn.execute(sa.update(alert_rules).where(*live).values(looked_at=now))
    tx.conn.execute(sa.update(alert_rules).where(*live, r.trouble != "").values(trouble=""))
    for number, why in looked.trouble.items():
        tx.conn.execute(sa.update(alert_rules).where(*live, r.id == number).values(trouble=why))


# --- in words


def concern_of(move: Move) -> ConcernFacts:
    condition, seen = move.told
    ended = move.step.happened is Happened.RESOLVED
    return ConcernFacts(
        source=OF_RULE,
        uuid=move.of.row.uuid,
        name=move.of.row.name,
        severity=move.of.severity,
        scope=scope_words(move.of.rule.by, move.names),
        what=what_words(condition),
        figure=figure_words(condition, seen.value),
        # That something came before explains an absence, and not its end.
        threshold="" if ended and condition.against is Against.ABSENCE else _threshold(condition, seen, firing=ended),
        window=window_words(condition),
        values=move.last,
        says=too_few_words(condition, seen.n) if ended and seen.n < condition.least else "",
    )


def _threshold(condition: Condition, seen: Seen, *, firing: bool) -> str:
    limit = None if condition.against is Against.NUMBER else limit_of(condition, seen, firing=firing)
    return threshold_words(condition, limit)


def explain(move: Move) -> str:
    """Why it fired: what was seen, and the rule."""
    holding = [
        condition_words(condition)
        for condition, one in zip(move.of.rule.conditions, move.verdict.each, strict=True)
        if one
    ]
    condition, seen = move.told
    return f"{seen_words(condition, seen.value, seen.n)}. The rule: {' and '.join(holding)}."


def context(move: Move, *, at: datetime) -> dict[str, Any]:
    """What was seen when it fired, for whoever looks later. Exact, as texts."""
    return {
        "at": at.isoformat(),
        "scope": dict(zip(move.of.rule.by, move.scope, strict=True)),
        "conditions": [
            {
                "words": condition_words(condition),
                "value": None if seen.value is None else str(seen.value),
                "figure": figure_words(condition, seen.value),
                "base": None if seen.base is None else str(seen.base),
                "limit": None if (limit := limit_of(condition, seen)) is None else figure_words(condition, limit),
                "n": seen.n,
                "holds": holds,
            }
            for condition, seen, holds in zip(move.of.rule.conditions, move.seen, move.verdict.each, strict=True)
        ],
    }
