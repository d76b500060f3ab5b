"""What each step makes of a project's usage, by what docs/usage.md, meters.md and daily-aggregation.md promise.

Which hours are marked and which have been folded is followed, not decided: `folded` and `closed` are told so. What
they must show from then on is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.usage_states.told import (
    AHEAD,
    DAY,
    HOUR,
    KEEP,
    MARGIN,
    Backfill,
    Conflict,
    Content,
    Correction,
    Counted,
    Customer,
    DayTold,
    Definition,
    Event,
    Item,
    Letter,
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


class Ledger:
    def __init__(self, zone: ZoneInfo, now: datetime) -> None:
        self.zone = zone
        self.first_day = now.astimezone(zone).date()
        self.events: dict[str, Event] = {}
        self.n_events = 0
        self.n_versions = 0
        self.n_corrections = 0
        self.sets: list[Backfill] = []
        self.former: list[Event] = []
        """Those of sets that were reverted, and of days that are sealed: what was done to them is kept for a while."""
        self.customers: list[Customer] = []
        self.erased: list[Customer] = []
        self.conflicts: list[Conflict] = []
        self.letters: list[Letter] = []
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
            self.letters.append(Letter(now, item, wrong))
            return "rejected", wrong
        known = self.events.get(item.id)
        if known is not None:
            if known.came.loose == content.loose:
                return "duplicate", ""
            self.conflicts.append(Conflict(known.id, known.number, content.subject, now))
            return "conflict", ""
        self.n_events += 1
        self.events[item.id] = Event(item.id, self.n_events, now, content, content)
        self.dirty.add(hour_of(content.at))
        return "accepted", ""

    def _wrong(self, item: Item, now: datetime) -> str:
        """Of what is wrong twice the first field is told."""
        is_of_time = now - KEEP <= item.content.at <= now + AHEAD
        return item.field if item.field in FIRST or is_of_time else "timestamp"

    # --- the dead letter

    def replay(self, letter: Letter, instead: Item | None, now: datetime, *, dies: bool) -> str:
        """What becomes of it, or the kind of the error. `dies`: before it is noted down that it was sent once more."""
        item = instead or letter.item
        if letter.state != "open":
            return "ConflictError"
        if self._wrong(item, now):
            return "InvalidValueError"
        ((outcome, _),) = self.take([item], now)
        letter.state = "open" if dies else "replayed"
        return outcome

    def replay_all(self, field: str | None, limit: int, now: datetime) -> tuple[Mapping[str, int], bool]:
        """How many became what, and whether there are more. The newest come first."""
        fit = [one for one in self.letters[::-1] if one.state == "open" and field in {None, one.field}]
        some = fit[:limit]
        good = [one for one in some if not self._wrong(one.item, now)]
        counts = Counter(outcome for outcome, _ in self.take([one.item for one in good], now)) if good else Counter()
        counts["rejected"] += len(some) - len(good)
        for one in good:
            one.state = "replayed"
        return {name: n for name, n in counts.items() if n}, len(fit) > limit

    def drop(self, letter: Letter) -> str | None:
        if letter.state == "replayed":
            return "ConflictError"
        letter.state = "dropped"
        return None

    # --- corrections: what is returned, or the kind of the error

    def void(self, id_: str) -> bool | str:
        event = self.events.get(id_)
        if event is None or not event.is_kept:
            return "NotFoundError"
        if event.now is None:
            newest = event.newest
            return False if newest is not None and newest.kind == "void" else "ConflictError"
        self._change(event, "void", None)
        return True

    def amend(self, id_: str, content: Callable[[Content], Content], now: datetime) -> bool | str:
        event = self.events.get(id_)
        if event is None or not event.is_kept:
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
        event.corrections.append(Correction(number, kind, event.now, after, event.received_at, by_set=run > 0))
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
        if wrong := self._wrong(item, now) or it.refused(item.content, self._subjects_of(it)):
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
        subjects = self._subjects_of(it)
        outcomes = {one.id: self._outcome(it, one, subjects) for one in it.sent.values()}
        if not outcomes:
            return "ConflictError"
        stay = {id_ for id_, one in outcomes.items() if one in {"same", "changed"}}
        counting = {one.id: one for one in self.events.values() if one.now is not None}
        gone = [one for one in counting.values() if one.id not in stay and one.now and it.takes_off(one.now, subjects)]
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
            one.of = one.number if one.outcome == "added" else self.events[one.id].number
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

    def _outcome(self, it: Backfill, one: Sent, subjects: Collection[str]) -> str:
        event = self.events.get(one.id)
        if event is None:
            return "added"
        if event.now is not None and event.now.exact == one.content.exact:
            return "same"
        if event.now is not None and it.takes_off(event.now, subjects):
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
            of = {one.number: one for one in [*self.former, *self.events.values()]}
            mine = [(event, one) for event in of.values() for one in event.corrections if one.number == it.run]
            touched = [of[one.of] for one in it.coming if one.of in of] + [event for event, _ in mine]
            later = any(one.number > it.run for event in touched for one in event.standing)
            if later or any(event.now is not None for event, one in mine if one.kind == "replace"):
                return "ConflictError"
            times = [one.content.at for one in it.coming] + [one.before.at for _, one in mine]
            if {hour_of(at) for at in times} & self.sealed:
                return "ConflictError"
            self.dirty |= {hour_of(at) for at in times}
            for sent in it.coming:
                event = self.events.get(sent.id)
                if event is None or event.number != sent.of:
                    continue  # its day is sealed
                if sent.outcome == "added" and event.is_kept:  # of what was erased the id stays
                    self.former.append(event)
                    del self.events[sent.id]
                event.now = None
            for event, one in mine:
                self._take_back(event, one)
        it.state = "reverted"
        return True

    def _subjects_of(self, it: Backfill) -> set[str]:
        """All that its customers are called by now."""
        meant = [one for one in self.customers if one.names.intersection(it.customers)]
        return {*it.customers, *(name for one in meant for name in one.names)}

    # --- customers

    def customer_comes(self, name: str, names: Sequence[str]) -> list[tuple[str, str, str]] | str:
        """Which of the names were whose. His id is told later."""
        one = Customer(name, set())
        moved = self._give(one, names)
        if not isinstance(moved, str):
            self.customers.append(one)
        return moved

    def customer_edited(
        self, one: Customer, add: Sequence[str], remove: Collection[str], *, is_all: bool
    ) -> list[tuple[str, str, str]] | str:
        """`is_all`: he is called what is added, and nothing else."""
        if not is_all and not one.aliases.issuperset(remove):
            return "InvalidValueError"
        moved = self._give(one, [name for name in add if name not in one.aliases])
        if not isinstance(moved, str):
            one.aliases.difference_update(one.aliases - {*add} if is_all else remove)
        return moved

    def _give(self, one: Customer, names: Sequence[str]) -> list[tuple[str, str, str]] | str:
        if {*names} & {each.id for each in self.customers}:
            return "ConflictError"
        had = {name: each for each in self.customers for name in each.aliases}
        for name in names:
            if name in had:
                had[name].aliases.discard(name)
            one.aliases.add(name)
        return [(name, had[name].id, had[name].name) for name in dict.fromkeys(names) if name in had]

    def whose(self, subject: str) -> Customer | None:
        return next((one for one in self.customers if subject in one.names), None)

    def erase(self, one: Customer) -> int:
        """How many of his events there were."""
        names, n, numbers = one.names, 0, set[int]()
        for event in [*self.events.values(), *self.former]:
            before = len(event.corrections)
            if event.now is not None and event.now.subject in names:
                n += 1
                self.dirty.add(hour_of(event.now.at))
                event.now, event.corrections = None, []
                numbers.add(event.number)
            event.corrections = [each for each in event.corrections if not _names(each, names)]
            numbers |= {event.number} if len(event.corrections) < before else set()
        for it in self.sets:
            for sent in [each for each in it.sent.values() if each.content.subject in names]:
                del it.sent[sent.id]
                numbers.add(sent.number)
            it.customers = tuple(dict.fromkeys(one.id if each in names else each for each in it.customers))
        self.conflicts = [
            each
            for each in self.conflicts
            if each.subject not in names and (each.number not in numbers or self._keeps(each.number))
        ]
        self.letters = [each for each in self.letters if each.item.named not in names]
        self.customers.remove(one)
        self.erased.append(one)
        return n

    def _keeps(self, number: int) -> bool:
        return any(each.number == number and each.is_kept for each in [*self.events.values(), *self.former])

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
                self._forget(one)
                self.former.append(one)
                one.now = None
        self.letters = [one for one in self.letters if _ms(one.received_at) >= _ms(before)]
        self.intake = {hour: counts for hour, counts in self.intake.items() if hour >= hour_of(before)}
        for one in [*self.events.values(), *self.former]:
            left = [each for each in one.corrections if each.before.at >= hour_of(before)]
            if one.is_kept and one.now is None and not left:  # the ids of what was erased are known for ever
                self._forget(one)
            one.corrections = left
        for it in self.sets:
            for sent in [one for one in it.sent.values() if one.content.at < hour_of(before)]:
                del it.sent[sent.id]
                if not self._keeps(sent.number):
                    self._forget_conflicts(sent.number)
        self.conflicts = [
            one for one in self.conflicts if self._keeps(one.number) or _ms(one.received_at) >= _ms(before)
        ]
        return gone

    def _forget(self, event: Event) -> None:
        if self.events.get(event.id) is event:
            del self.events[event.id]
        self._forget_conflicts(event.number)

    def _forget_conflicts(self, number: int) -> None:
        self.conflicts = [one for one in self.conflicts if one.number != number]

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


def _names(one: Correction, names: Collection[str]) -> bool:
    return one.before.subject in names or (one.after is not None and one.after.subject in names)


def _in(at: datetime, span: Span) -> bool:
    return span[0] <= at < span[1]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _worse(one: str, other: str) -> str:
    return max(one, other, key=("no", "perhaps", "yes").index)
