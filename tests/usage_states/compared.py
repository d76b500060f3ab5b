"""Is what is stored, and what is answered, what it must be? Each row and some questions, against the second telling.

Raises AssertionError with one sentence: what is, and what should be.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.windows import Size
from heartfly.db.models import (
    aliases,
    backfill_events,
    customers,
    dead_letters,
    dirty_hours,
    event_conflicts,
    event_corrections,
    event_ids,
    events,
    intake,
    meter_versions,
    meters,
    rollups,
    usage_days,
    usage_names,
    windows,
)
from heartfly.errors import InvalidValueError
from tests.usage_states.house import House
from tests.usage_states.ledger import COUNTS, MICRO, Ledger
from tests.usage_states.told import DAY, HOUR, Content, Counted, Span, hour_of, plain, read, span_of

ASKED = 3
"""A question is asked after so many steps: it costs more than all else that is looked at."""
STATES = ["provisional", "final", "amended"]
_subjects, _types = usage_names.alias(), usage_names.alias()
_EVENTS = (
    sa.select(events, _subjects.c.text.label("subject"), _types.c.text.label("type"))
    .join(_subjects, sa.and_(_subjects.c.pid == events.c.pid, _subjects.c.id == events.c.subject_id))
    .join(_types, sa.and_(_types.c.pid == events.c.pid, _types.c.id == events.c.type_id))
)
_CONFLICTS = sa.select(event_conflicts.c.transaction_id, event_conflicts.c.subject)
_STANDING = sa.select(event_corrections.c.transaction_id, event_corrections.c.kind).where(
    event_corrections.c.undone_at.is_(None)
)
_IN_SETS = sa.select(backfill_events.c.transaction_id, usage_names.c.text).join(
    usage_names, sa.and_(usage_names.c.pid == backfill_events.c.pid, usage_names.c.id == backfill_events.c.subject_id)
)
_CALLED = sa.select(customers, aliases.c.text).join(
    aliases, sa.and_(aliases.c.pid == customers.c.pid, aliases.c.customer_id == customers.c.id)
)
_SUMS = (
    sa.select(rollups.c.start_at, meters.c.slug, usage_names.c.text, rollups.c.n, rollups.c.sum)
    .join(
        windows,
        sa.and_(
            windows.c.pid == rollups.c.pid,
            windows.c.tier == rollups.c.tier,
            windows.c.start_at == rollups.c.start_at,
            windows.c.gen == rollups.c.gen,
        ),
    )
    .join(meter_versions, sa.and_(meter_versions.c.pid == rollups.c.pid, meter_versions.c.id == rollups.c.version_id))
    .join(meters, sa.and_(meters.c.pid == rollups.c.pid, meters.c.id == meter_versions.c.meter_id))
    .join(usage_names, sa.and_(usage_names.c.pid == rollups.c.pid, usage_names.c.id == rollups.c.subject_id))
    .where(rollups.c.tier == "hour", rollups.c.cube == 0)
)
_LEFT = (
    sa.select(sa.func.count())
    .select_from(rollups)
    .join(
        windows,
        sa.and_(
            windows.c.pid == rollups.c.pid,
            windows.c.tier == rollups.c.tier,
            windows.c.start_at == rollups.c.start_at,
        ),
    )
    .where(~windows.c.unswept, rollups.c.gen != windows.c.gen)
    .where(sa.or_(windows.c.proved_gen.is_(None), rollups.c.gen != windows.c.proved_gen))
    .where(sa.or_(windows.c.next_gen.is_(None), rollups.c.gen != windows.c.next_gen))
)
"""Rows of generations that count no more, where nothing says that they are still to go."""


_WINDOWS = sa.select(windows.c.start_at, windows.c.n_events).where(windows.c.tier == "hour")
_DIRTY = sa.select(dirty_hours.c.hour)
_N_KNOWN = sa.select(sa.func.count()).select_from(event_ids)
_LETTERS = sa.select(dead_letters).order_by(dead_letters.c.id)
_INTAKE, _DAYS = sa.select(intake), sa.select(usage_days)


def dirty_now(house: House) -> set[datetime]:
    return {row.hour for row in house.read(_DIRTY)[0]}


def compare(house: House, ledger: Ledger, n: int) -> None:
    """`n`: which question it is the turn of, and of which meter."""
    rows, known, against, letters, came, marks, folded, sums, left, days, standing, sent, called = house.read(
        _EVENTS, _N_KNOWN, _CONFLICTS, _LETTERS, _INTAKE, _DIRTY, _WINDOWS, _SUMS, _LEFT, _DAYS,
        _STANDING, _IN_SETS, _CALLED,
    )  # fmt: skip
    _events(ledger, rows, known[0][0])
    _of_events(ledger, standing, sent)
    _customers(ledger, called)
    _came_in(ledger, against, letters, came)
    must = {row.hour for row in marks}
    assert ledger.dirty == must, f"hours to fold are {_hours(must)}, and should be {_hours(ledger.dirty)}"
    counts = {row.start_at: row.n_events for row in folded}
    of_all = {hour: len(shown.events) for hour, shown in ledger.shown.items()}
    assert of_all == counts, f"hours are of {counts} events, and should be of {of_all}"
    _hours_add_up(ledger, sums, left[0][0])
    _days(ledger, days)
    if n % ASKED == 0:
        slugs = sorted(ledger.meters)
        _asked(house, ledger, slugs[n // ASKED % len(slugs)], n // ASKED // len(slugs))
        _listed(house, ledger, n // ASKED)
    for slug, meter in ledger.meters.items():
        if n % ASKED == 1 and meter.definition.percent is not None:
            _asked(house, ledger, slug, n // ASKED % 3)  # an estimate is the very value where there are few


def compare_all(house: House, ledger: Ledger, n: int) -> None:
    """At the end of a story: questions of each meter, and what Heartfly finds by looking at all rollups."""
    for place, slug in enumerate(sorted(ledger.meters)):
        for kind in {0, 1, (n + place) % len(_KINDS)}:
            _asked(house, ledger, slug, kind)
    hours = sorted({*ledger.shown, *ledger.dirty})
    if not hours:
        return
    found = house.verified((hours[0] - DAY, hours[-1] + HOUR))
    assert not found.n_unexplained, f"`verify` finds: {found.differences}"
    must = sum(hour_of(one.now.at) not in ledger.sealed for one in ledger.events.values() if one.now is not None)
    assert must == found.n_events, f"`verify` looks at {found.n_events} events, and should at {must}"


# --- rows


def _events(ledger: Ledger, rows: Sequence[Any], n_known: int) -> None:
    stored = {row.transaction_id: row for row in rows}
    assert len(stored) == len(rows), "an event is kept twice"
    must = {one.id: one for one in ledger.events.values() if one.now is not None}
    assert must.keys() == stored.keys(), f"events that count are {sorted(stored)}, and should be {sorted(must)}"
    for id_, event in must.items():
        row = stored[id_]
        content = Content(row.subject, row.at, row.type, read(row.properties))
        assert event.now is not None
        assert event.now.exact == content.exact, f"{id_} is {content.exact}, and should be {event.now.exact}"
        assert event.received_at == row.received_at, f"{id_} came at {row.received_at}"
    assert len(ledger.events) == n_known, f"{n_known} ids are known, and should be {len(ledger.events)}"


def _of_events(ledger: Ledger, corrections: Sequence[Any], sent: Sequence[Any]) -> None:
    """What was done to them and stands, and what lies in backfills."""
    stand = Counter((row.transaction_id, row.kind) for row in corrections)
    events = [*ledger.events.values(), *ledger.former]
    must = Counter((one.id, each.kind) for one in events for each in one.standing)
    assert must == stand, f"corrections that stand are {stand}, and should be {must}"
    there = Counter((row.transaction_id, row.text) for row in sent)
    here = Counter((one.id, one.content.subject) for it in ledger.sets for one in it.sent.values())
    assert here == there, f"backfills hold {there}, and should {here}"


def _customers(ledger: Ledger, rows: Sequence[Any]) -> None:
    called = {(row.name, row.uuid, row.text, row.archived_at is not None) for row in rows}
    must = {(one.name, one.id, name, one.is_archived) for one in ledger.customers for name in one.names}
    assert must == called, f"customers are called {called}, and should be {must}"


def _listed(house: House, ledger: Ledger, n: int) -> None:
    """Events by whose they are."""
    counting = [(one, one.now) for one in ledger.events.values() if one.now is not None]
    nobodys = sorted({now.subject for _, now in counting if ledger.whose(now.subject) is None})
    unknown = sorted(house.unknown())
    assert nobodys == unknown, f"names that nobody knows are {unknown}, and should be {nobodys}"
    if not ledger.customers:
        return
    one = ledger.customers[n % len(ledger.customers)]
    his = [(now.at, event.number, event.id) for event, now in counting if now.subject in one.names]
    must, told = [id_ for *_, id_ in sorted(his, reverse=True)], house.events_of(one.id)
    assert must == told, f"events of {one.name} are {told}, and should be {must}"


def _came_in(ledger: Ledger, rows: Sequence[Any], letters: Sequence[Any], counts: Sequence[Any]) -> None:
    against = Counter((row.transaction_id, row.subject) for row in rows)
    conflicts = Counter((one.id, one.subject) for one in ledger.conflicts)
    assert conflicts == against, f"conflicts are {against}, and should be {conflicts}"
    lie = [(row.received_at, plain(row.raw), row.field, row.state) for row in letters]
    should = [(one.received_at, one.item.raw, one.field, one.state) for one in ledger.letters]
    assert should == lie, f"the dead letter holds {lie}, and should {should}"
    came = {row.hour: [getattr(row, name) for name in COUNTS] for row in counts}
    must = {hour: [told[name] for name in COUNTS] for hour, told in ledger.intake.items()}
    assert must == came, f"what came in is {came}, and should be {must}"


def _hours_add_up(ledger: Ledger, rows: Sequence[Any], left: int) -> None:
    """The ledger of all that counts in an hour, as it was folded, beside the rollups themselves."""
    found: dict[tuple[datetime, str, str], list[Any]] = {}
    for row in rows:
        sums = found.setdefault((row.start_at, row.slug, row.text), [0, Fraction(0)])
        sums[0] += row.n
        sums[1] += Fraction(row.sum, 10**18)
    must: dict[tuple[datetime, str, str], list[Any]] = {}
    for hour, shown in ledger.shown.items():
        for slug in shown.meters:
            for one in shown.of(slug):
                sums = must.setdefault((hour, slug, one.subject), [0, Fraction(0)])
                sums[0] += 1
                sums[1] += one.adds if isinstance(one.adds, Fraction) else 0
    for key in must.keys() | found.keys():
        here, there = must.get(key), found.get(key)
        assert here == there, f"the rollup of {key[1]}, {key[2]}, {key[0]:%d %H}h is {there}, and should be {here}"
    assert not left, f"{left} rows of generations that count no more are left, and nobody knows"


def _days(ledger: Ledger, found: Sequence[Any]) -> None:
    rows = {row.day: row for row in found}
    for day, told in ledger.days.items():
        row = rows[day]
        must = "provisional" if told.touched else "amended" if told.amended == "yes" else "final"
        assert must == row.state, f"{day} is {row.state}, and should be {must} ({row.mismatch})"
        assert not row.mismatch, f"{day} does not agree: {row.mismatch}"
        assert told.figures.items() <= row.figures.items(), f"{day} says {row.figures}, and should {told.figures}"
        assert told.span == (row.from_at, row.to_at)
    more = [row.day for row in rows.values() if row.day not in ledger.days and row.state != "open"]
    assert not more, f"{more} are no days that were closed"


# --- questions

_KINDS = (
    "whole",
    "customers",
    "groups",
    "hours",
    "one customer",
    "days",
    "edges",
    "customers' days",
    "old edges",
    "filter",
    "a customer's edges",
    "minutes",
    "day of groups",
)


def _asked(house: House, ledger: Ledger, slug: str, n: int) -> None:
    kind, now, zone = _KINDS[n % len(_KINDS)], house.clock.now(), ledger.zone
    keys = ledger.meters[slug].definition.keys
    whole = (hour_of(now) - 100 * HOUR, hour_of(now) + 30 * HOUR)
    size: Size | None = None
    group_by: tuple[str, ...] = ()
    only: dict[str, frozenset[str | None]] = {}
    span = whole
    whose: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    known = [one.id for one in [*ledger.customers, *ledger.erased]]
    match kind:
        case "customers":
            group_by = ("customer", *keys)
        case "customers' days":
            size, group_by, subjects = Size.DAY, ("customer", "subject"), ("acme", "7", *known[:1])
        case "one customer":
            whose, subjects = tuple(known[n % len(known) :][:2]) if known else (), ("acme", "globex")
        case "a customer's edges" if known:
            span, whose, group_by = (now - 31 * HOUR, now - MICRO), (known[n % len(known)],), ("subject",)
        case "groups":
            group_by = ("subject", *keys)
        case "hours":
            span, size, group_by = (hour_of(now) - 60 * HOUR, hour_of(now) + 2 * HOUR), Size.HOUR, ("subject",)
        case "days":
            size = Size.DAY
        case "edges":
            span, group_by = (now - 31 * HOUR - 7 * MICRO, now - MICRO), keys
        case "old edges":
            span = (now - 85 * HOUR - 7 * MICRO, now)
        case "filter" if keys:
            only = {keys[0]: frozenset({"eu", None})}
        case "minutes":
            span, size, group_by = (now - HOUR / 4, now + HOUR / 60), Size.MINUTE, ("subject",)
        case "day of groups":
            size, group_by = Size.DAY, ("subject", *keys)
        case _:  # the whole
            pass
    parts = [span] if size is None else list(_parts(span, size, zone, now))
    meter = ledger.meters[slug]
    # Where no version holds any more nothing is told at once, whatever was folded there.
    counted = [ledger.counted(slug, part) if meter.counts_within(part) else [] for part in parts]
    names = _names(ledger, whose, subjects)
    if any(one is None for one in counted) or {*whose} & {one.id for one in ledger.erased}:
        with pytest.raises(InvalidValueError):
            house.ask(slug, span, size=size, group_by=group_by, only=only, customers=whose, subjects=subjects)
        return
    given = house.ask(slug, span, size=size, group_by=group_by, only=only, customers=whose, subjects=subjects)
    assert given.edge is None
    of_them = [[one for one in found or [] if names is None or one.subject in names] for found in counted]
    must = {
        (part, key): told
        for part, found in zip(parts, of_them, strict=True)
        for key, told in _figures(ledger, slug, part, found, group_by, only, now=now).items()
    }
    there = {}
    for item in given.items:
        customer = None if item.customer is None else item.customer.uuid
        of = {"customer": (customer, item.subject if customer is None else ""), "subject": (item.subject,)}
        key = tuple(text for name in group_by for text in of.get(name, (item.group.get(name),)))
        value = None if item.value is None else Fraction(item.value, 10**18)
        place = ((item.window.from_at, item.window.to_at), key)
        assert place not in there, f"{slug} tells {place} twice"
        there[place] = (item.n, value, item.state.value)
    for place in sorted(must.keys() | there.keys(), key=repr):
        here, seen = must.get(place), there.get(place)
        if (here is None or seen is None) and ledger.cuts_hours and ledger.dirty_in(place[0]):
            continue
        what = f"{slug} by {kind} of {place[0][0]:%d %H:%M} to {place[0][1]:%d %H:%M} {place[1]}"
        assert here is not None, f"{what} is {seen}, and should be none"
        assert seen is not None, f"{what} is none, and should be {here}"
        # A day was put together of its cut hours' events as they were then, which may be more than was folded.
        is_told = not (ledger.cuts_hours and ledger.dirty_in(place[0]))
        agrees = here[0] == seen[0] and meter.definition.is_told_by(here[1], seen[1])
        assert not is_told or agrees, f"{what} is {seen[:2]}, and should be {here[:2]}"
        assert seen[2] in here[2], f"{what} is {seen[2]}, and should be {' or '.join(here[2])}"
    upto = min([span[1], now, *(hour for hour in ledger.dirty if hour + HOUR > span[0] and hour < span[1])])
    assert upto == given.complete_up_to, f"{slug} is complete up to {given.complete_up_to}, and should be {upto}"


def _names(ledger: Ledger, whose: Sequence[str], subjects: Sequence[str]) -> set[str] | None:
    """What is asked about is called one of these; None: all is asked about."""
    his = {name for one in ledger.customers if one.id in whose for name in one.names}
    if whose:
        return his.intersection(subjects) if subjects else his
    return {*subjects} if subjects else None


def _parts(span: Span, size: Size, zone: Any, now: datetime) -> Iterator[Span]:
    at = span[0]
    while at < span[1]:
        if size is Size.DAY:
            here = span_of(zone, at.astimezone(zone).date())
        else:
            long, past = (HOUR, zone.utcoffset(at) % HOUR) if size is Size.HOUR else (HOUR / 60, 0 * HOUR)
            first = hour_of(at + past) - past
            first += (at - first) // long * long
            here = (first, first + long)
        if here[0] > now:
            return
        yield max(here[0], span[0]), min(here[1], span[1])
        at = here[1]


def _figures(
    ledger: Ledger,
    slug: str,
    part: Span,
    found: Sequence[Counted],
    group_by: Sequence[str],
    only: Any,
    *,
    now: datetime,
) -> dict[tuple[Any, ...], tuple[int, Fraction | None, list[str]]]:
    meter = ledger.meters[slug]
    keys = meter.definition.keys
    wanted = [one for one in found if all(one.group[keys.index(key)] in some for key, some in only.items())]
    alike: dict[tuple[Any, ...], list[Counted]] = {} if group_by else {(): []}
    for one in wanted:
        customer = ledger.whose(one.subject)
        whom = (None, one.subject) if customer is None else (customer.id, "")
        of = {"customer": whom, "subject": (one.subject,)}
        key = tuple(text for name in group_by for text in of.get(name) or (one.group[keys.index(name)],))
        alike.setdefault(key, []).append(one)
    if part[1] >= now:
        states = ["open"]
    else:
        least, most = ledger.settled(slug, part)
        states = STATES[STATES.index(least) : STATES.index(most) + 1]
    counts = meter.counts_within(part)
    return {key: (len(some), meter.definition.result(some) if counts else None, states) for key, some in alike.items()}


def _hours(found: set[datetime]) -> str:
    return json.dumps([f"{hour:%d %H}h" for hour in sorted(found)])
