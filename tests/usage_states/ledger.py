"""What each step makes of a project's usage, by what docs/usage.md, meters.md and daily-aggregation.md promise.

Which hours are marked and which have been folded is followed, not decided: `folded` and `closed` are told so. What
they must show from then on is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.usage_states.told import (
    AHEAD,
    DAY,
    HOUR,
    KEEP,
    MARGIN,
    Backfill,
    Content,
    Correction,
    Counted,
    DayTold,
    Definition,
    Event,
    Meter,
    Proved,
    Sent,
    Shown,
    Span,
    Version,
    by_reader,
    hour_of,
    rows_of,
    span_of,
)

FIRST = ("transaction_id", "customer_id", "event_type", "timestamp")
COUNTS = ("accepted", "duplicates", "conflicts", "rejected")
_NAMES = {"accepted": "accepted", "duplicate": "duplicates", "conflict": "conflicts", "rejected": "rejected"}


@dataclass(frozen=True)
class Item:
    """Something that came as an event. `field`: where it shows that it is none, unless its time does before."""

    id: str
    content: Content
    field: str = ""


class Ledger:
    def __init__(self, zone: ZoneInfo, now: datetime) -> None:
        self.zone = zone
        self.first_day = now.astimezone(zone).date()
        self.events: dict[str, Event] = {}
        self.n_events = 0
        self.n_versions = 0
        self.n_corrections = 0
        self.sets: list[Backfill] = []
        self.n_conflicts: Counter[tuple[str, int]] = Counter()
        """By the id and the number of the event that counted then."""
        self.letters: list[datetime] = []
        self.intake: dict[datetime, Counter[str]] = {}
        self.meters: dict[str, Meter] = {}
        self.dirty: set[datetime] = set()
        self.shown: dict[datetime, Shown] = {}
        self.sealed: set[datetime] = set()
        self.days: dict[date, DayTold] = {}

    # --- what comes in

    def take(self, items: Sequence[Item], now: datetime) -> list[tuple[str, str]]:
        """What each must be answered: the outcome, and the field of what is refused."""
        told = [self._take(item, now) for item in items]
        self.intake.setdefault(hour_of(now), Counter()).update(_NAMES[outcome] for outcome, _ in told)
        return told

    def _take(self, item: Item, now: datetime) -> tuple[str, str]:
        content = item.content
        if wrong := self._wrong(item, now):
            self.letters.append(now)
            return "rejected", wrong
        known = self.events.get(item.id)
        if known is not None:
            if known.came.loose == content.loose:
                return "duplicate", ""
            self.n_conflicts[known.id, known.number] += 1
            return "conflict", ""
        self.n_events += 1
        self.events[item.id] = Event(item.id, self.n_events, now, content, content)
        self.dirty.add(hour_of(content.at))
        return "accepted", ""

    def _wrong(self, item: Item, now: datetime) -> str:
        """Of what is wrong twice the first field is told."""
        is_of_time = now - KEEP <= item.content.at <= now + AHEAD
        return item.field if item.field in FIRST or is_of_time else "timestamp"

    # --- corrections: what is returned, or the kind of the error

    def void(self, id_: str) -> bool | str:
        event = self.events.get(id_)
        if event is None:
            return "NotFoundError"
        if event.now is None:
            newest = event.newest
            return False if newest is not None and newest.kind == "void" else "ConflictError"
        self._change(event, "void", None)
        return True

    def amend(self, id_: str, content: Callable[[Content], Content], now: datetime) -> bool | str:
        event = self.events.get(id_)
        if event is None:
            return "NotFoundError"
        if event.now is None:
            return "ConflictError"
        after = content(event.now)
        if not min(now - KEEP, event.now.at) <= after.at <= now + AHEAD:
            return "InvalidValueError"
        if {hour_of(event.now.at), hour_of(after.at)} & self.sealed:
            return "ConflictError"
        if after.exact == event.now.exact:
            return False
        self._change(event, "amend", after)
        return True

    def undo(self, id_: str) -> str:
        event = self.events.get(id_)
        if event is None:
            return "NotFoundError"
        newest = event.newest
        if newest is None or newest.by_set:
            return "ConflictError"
        times = [newest.before.at] + ([] if event.now is None else [event.now.at])
        if {hour_of(at) for at in times} & self.sealed:
            return "ConflictError"
        self._take_back(event, newest)
        self.dirty |= {hour_of(at) for at in times}
        return newest.kind

    def _change(self, event: Event, kind: str, after: Content | None, *, run: int = 0) -> None:
        assert event.now is not None
        self.n_corrections += not run
        number = run or self.n_corrections
        event.corrections.append(Correction(number, kind, event.now, event.received_at, by_set=run > 0))
        self.dirty |= {hour_of(one.at) for one in (event.now, after) if one is not None}
        event.now = after

    def _take_back(self, event: Event, one: Correction) -> None:
        one.undone, event.now, event.received_at = True, one.before, one.received_at

    # --- backfills

    def open_set(self, it: Backfill, now: datetime) -> str | None:
        if it.span[0] < now - KEEP or it.span[1] > now + AHEAD:
            return "InvalidValueError"
        self.sets.append(it)
        return None

    def send_into(self, it: Backfill, items: Sequence[Item], now: datetime) -> list[tuple[str, str]] | str:
        return "ConflictError" if it.state != "open" else [self._send_into(it, item, now) for item in items]

    def _send_into(self, it: Backfill, item: Item, now: datetime) -> tuple[str, str]:
        if wrong := self._wrong(item, now) or it.refused(item.content):
            return "rejected", wrong
        known = it.sent.get(item.id)
        if known is not None:
            return "duplicate" if known.content.loose == item.content.loose else "conflict", ""
        self.n_events += 1
        it.sent[item.id] = Sent(item.id, self.n_events, now, item.content)
        return "accepted", ""

    def close_set(self, it: Backfill) -> Mapping[str, int] | str:
        """How many of its events became what."""
        if it.state != "open":
            return it.counts if it.state == "closed" else "ConflictError"
        outcomes = {one.id: self._outcome(it, one) for one in it.sent.values()}
        if not outcomes:
            return "ConflictError"
        stay = {id_ for id_, one in outcomes.items() if one in {"same", "changed"}}
        counting = {one.id: one for one in self.events.values() if one.now is not None}
        gone = [one for one in counting.values() if one.id not in stay and one.now and it.takes_off(one.now)]
        coming = [one for one in it.sent.values() if outcomes[one.id] in {"added", "changed", "again"}]
        before = [counting[one.id] for one in coming if outcomes[one.id] == "changed"]
        times = {one.now.at for one in gone + before if one.now} | {one.content.at for one in coming}
        if {hour_of(at) for at in times} & self.sealed:
            return "ConflictError"
        self.n_corrections += 1
        it.state, it.run = "closed", self.n_corrections
        for event in gone:
            self._change(event, "replace", None, run=it.run)
        for one in it.sent.values():
            one.outcome = outcomes[one.id]
            if one.outcome == "added":
                self.events[one.id] = Event(one.id, one.number, one.received_at, one.content, one.content)
            elif one.outcome == "changed":
                self._change(self.events[one.id], "amend", one.content, run=it.run)
            elif one.outcome == "again":
                self.events[one.id].now = one.content
        for one in coming:
            self.events[one.id].received_at = one.received_at
            self.dirty.add(hour_of(one.content.at))
        counts = Counter(outcomes.values())
        it.counts = dict(counts) | ({"replaced": len(gone)} if gone else {})
        return it.counts

    def _outcome(self, it: Backfill, one: Sent) -> str:
        event = self.events.get(one.id)
        if event is None:
            return "added"
        if event.now is not None and event.now.exact == one.content.exact:
            return "same"
        if event.now is not None and it.takes_off(event.now):
            return "changed"
        kinds = {each.kind for each in event.standing}
        if event.now is None and "replace" in kinds and "void" not in kinds:
            return "again"
        return "duplicate" if event.came.loose == one.content.loose else "conflict"

    def revert_set(self, it: Backfill, now: datetime) -> bool | str:
        if it.state == "reverted":
            return False
        if it.state == "closed":
            if it.span[0] < now - KEEP:
                return "ConflictError"
            mine = [(event, one) for event in self.events.values() for one in event.corrections if one.number == it.run]
            touched = [self.events[one.id] for one in it.coming if one.id in self.events] + [event for event, _ in mine]
            later = any(one.number > it.run for event in touched for one in event.standing)
            if later or any(event.now is not None for event, one in mine if one.kind == "replace"):
                return "ConflictError"
            times = [one.content.at for one in it.coming] + [one.before.at for _, one in mine]
            if {hour_of(at) for at in times} & self.sealed:
                return "ConflictError"
            self.dirty |= {hour_of(at) for at in times}
            for sent in it.coming:
                if sent.outcome == "added":
                    del self.events[sent.id]
                else:
                    self.events[sent.id].now = None
            for event, one in mine:
                self._take_back(event, one)
        it.state = "reverted"
        return True

    # --- meters

    def version(
        self, slug: str, definition: Definition, from_at: datetime | None, to_at: datetime | None
    ) -> str | None:
        """Of a meter that is new, or not; the error, or None."""
        meter = self.meters.get(slug, Meter(slug, ()))
        if meter.archived_at is not None:
            return "ConflictError"
        if self.sealed:
            since = max(self.sealed) + HOUR
            if to_at is not None and to_at <= since:
                return "InvalidValueError"
            from_at = since if from_at is None else max(from_at, since)
        self.n_versions += 1
        made = Version(self.n_versions, definition, from_at, to_at)
        self.meters[slug] = replace(meter, versions=(*meter.versions, made))
        self._mark_all(from_at, to_at)
        return None

    def archive(self, slug: str, now: datetime) -> None:
        if self.meters[slug].archived_at is None:
            self.meters[slug] = replace(self.meters[slug], archived_at=now)
            self._mark_all(now, None)

    def unarchive(self, slug: str) -> None:
        since = self.meters[slug].archived_at
        if since is not None:
            self.meters[slug] = replace(self.meters[slug], archived_at=None)
            self._mark_all(since, None)

    def _mark_all(self, from_at: datetime | None, to_at: datetime | None) -> None:
        """Hours that were folded before."""
        self.dirty |= {
            hour
            for hour in self.shown
            if (from_at is None or hour + HOUR > from_at) and (to_at is None or hour < to_at)
        } - self.sealed

    # --- folding, and days

    def fresh(self, from_at: datetime, to_at: datetime) -> Shown:
        within = [
            (one.number, one.now)
            for one in self.events.values()
            if one.now is not None and from_at <= one.now.at < to_at
        ]
        return Shown(tuple(sorted(within, key=lambda one: one[0])), self.meters.copy())

    def folded(self, hours: Iterable[datetime]) -> None:
        for hour in hours:
            assert hour not in self.sealed
            self.dirty.discard(hour)
            self.shown[hour] = self.fresh(hour, hour + HOUR)
            for day in self.days_of(hour) & self.days.keys():
                self.days[day].touched = True

    def day_of(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def days_of(self, hour: datetime) -> set[date]:
        """Two, of an hour that is cut where days end."""
        return {self.day_of(hour), self.day_of(hour + HOUR - MICRO)}

    @property
    def cuts_hours(self) -> bool:
        begins = span_of(self.zone, self.first_day)[0]
        return begins != hour_of(begins)

    def dirty_in(self, span: Span) -> set[datetime]:
        return {hour for hour in self.dirty if hour + HOUR > span[0] and hour < span[1]}

    def rerun(self, day: date) -> None:
        """All that was folded of it is to be folded once more."""
        self._mark_all(*span_of(self.zone, day))

    def closed(self, day: date) -> str:
        """It is, and all of it was folded. Whether it was proved with other figures before: yes, no or perhaps."""
        span = span_of(self.zone, day)
        self.folded(self.dirty_in(span))
        now = self.fresh(*span)
        before = self.days.get(day)
        ids = frozenset(one.id for one in self.events.values() if one.now is not None and _in(one.now.at, span))
        changed = "no" if before is None or before.ids == ids else "yes"
        proved = dict(before.proved) if before is not None else {}
        for slug, meter in self.meters.items():
            found = list(now.of(slug))
            rows = rows_of(meter, found)
            if self.cuts_hours and meter.definition.aggregation == "unique":
                rows = {key: row[:1] for key, row in rows.items()}  # what was told apart is kept by whole hours
            seen, was = by_reader(rows, meter, found), proved.get(slug)
            this = "no" if was is None or was.rows == rows else "perhaps" if was.seen == seen else "yes"
            proved[slug] = Proved(rows, seen, _worse(this, "no" if was is None else was.amended))
            changed = _worse(this, changed)
        amended = _worse(changed, "no" if before is None else before.amended)
        self.days[day] = DayTold(span, ids, self._figures(span, now), proved, amended)
        return changed

    def _figures(self, span: Span, now: Shown) -> Mapping[str, int]:
        counting = [one for one in self.events.values() if one.now is not None and _in(one.now.at, span)]
        came: Counter[str] = Counter()
        for hour, counts in self.intake.items():
            if _in(hour, span):
                came.update(counts)
        return {
            "events_raw": len(counting),
            "events_rolled": len(counting),
            "late": sum(one.received_at >= span[1] for one in counting),
            "customers": len({one.now.subject for one in counting if one.now is not None}),
            "uncounted": now.n_uncounted,
            "reconciled": 1,
            "events_received": sum(came.values()),
            **{name: came[name] for name in COUNTS[1:]},
        }

    def to_close(self, now: datetime) -> list[date]:
        """By the next run of the job: what is over and not proved as it is, the oldest first."""
        today = now.astimezone(self.zone).date()
        wanted = {self.first_day + n * DAY for n in range(max(0, (today - self.first_day).days))}
        with_events = {hour for hour, shown in self.shown.items() if shown.events}
        wanted |= {day for hour in self.dirty | with_events for day in self.days_of(hour)}
        wanted |= {day for day, told in self.days.items() if told.touched}
        done = {day for day, told in self.days.items() if not told.touched and not self.dirty_in(told.span)}
        done |= {self.day_of(hour) for hour in self.sealed}
        return sorted(day for day in wanted - done if day < today)

    # --- what is old goes

    def old_goes(self, now: datetime) -> dict[str, int]:
        before = now - KEEP - MARGIN
        gone = {"events": 0, "sealed": 0, "held": 0}
        for day in sorted({self.day_of(one.now.at) for one in self.events.values() if one.now is not None}):
            if day >= before.astimezone(self.zone).date():
                break
            told = self.days.get(day)
            if told is None or told.touched or self.dirty_in(told.span):
                gone["held"] += 1
                continue
            gone["sealed"] += 1
            self.sealed |= {hour for hour in self.shown if _in(hour, told.span)}
            for one in [one for one in self.events.values() if one.now is not None and _in(one.now.at, told.span)]:
                gone["events"] += 1
                self._forget(one.id)
                one.now = None
        self.letters = [at for at in self.letters if _ms(at) >= _ms(before)]
        self.intake = {hour: counts for hour, counts in self.intake.items() if hour >= hour_of(before)}
        for one in list(self.events.values()):
            left = [each for each in one.corrections if each.before.at >= hour_of(before)]
            if one.now is None and not left:
                self._forget(one.id)
            one.corrections = left
        for it in self.sets:
            for sent in [one for one in it.sent.values() if one.content.at < hour_of(before)]:
                del it.sent[sent.id]
                if all(one.number != sent.number for one in self.events.values()):
                    self.n_conflicts.pop((sent.id, sent.number), None)
        return gone

    def _forget(self, id_: str) -> None:
        event = self.events.pop(id_)
        self.n_conflicts.pop((id_, event.number), None)

    # --- what is asked

    def counted(self, slug: str, span: Span) -> list[Counted] | None:
        """Of whole hours what was folded, of what is cut off the events themselves. None: these are gone."""
        first, last = hour_of(span[0] + HOUR - MICRO), hour_of(span[1])
        pieces = [span] if first >= last else [(span[0], first), (last, span[1])]
        found: list[Counted] = []
        for from_at, to_at in pieces:
            if from_at < to_at:
                if any(hour + HOUR > from_at and hour < to_at for hour in self.sealed):
                    return None
                found += self.fresh(from_at, to_at).of(slug)
        for hour, shown in self.shown.items():
            if first <= hour < last:
                found += shown.of(slug)
        return found

    def settled(self, slug: str, span: Span) -> tuple[str, str]:
        """The least and the most that may be said of a window that is over: provisional, final or amended."""
        days, day = [], self.day_of(span[0])
        while (of_day := span_of(self.zone, day))[0] < span[1]:
            days.append((day, of_day))
            day += DAY
        if self.dirty_in(span):
            return "provisional", "provisional"
        told = [self.days.get(each) for each, _ in days]
        unknown = [of_day for (_, of_day), one in zip(days, told, strict=True) if one is None]
        times = [one.now.at for one in self.events.values() if one.now is not None]
        if any(_in(at, of_day) and _in(at, span) for at in times for of_day in unknown):
            return "provisional", "provisional"
        closed = [one for one in told if one is not None]
        most = (
            "amended"
            if any(one.proved.get(slug, _NEVER).amended != "no" or one.amended != "no" for one in closed)
            else "final"
        )
        if unknown or any(one.touched for one in closed):
            return "provisional", most
        least = "amended" if any(one.proved.get(slug, _NEVER).amended == "yes" for one in closed) else "final"
        return least, most


MICRO = timedelta(microseconds=1)
_NEVER = Proved({}, {})


def _in(at: datetime, span: Span) -> bool:
    return span[0] <= at < span[1]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _worse(one: str, other: str) -> str:
    return max(one, other, key=("no", "perhaps", "yes").index)
