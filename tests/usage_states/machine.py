"""The state machine of usage: what may happen to a project's events, each as a rule, on the rooms and in the ledger.

A failure ends as the shortest story that Hypothesis finds; it is told line by line with the sentence that is wrong.
Which step may follow is decided here; what must come of it, in ledger.py, and how that is looked at, in compared.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from heartfly.db.models import usage_days
from heartfly.errors import HeartflyError, NotFoundError
from heartfly.usage.customers import Edit
from tests.usage_states.compared import compare, compare_all, dirty_now
from tests.usage_states.house import House, Moved
from tests.usage_states.ledger import MICRO, Ledger
from tests.usage_states.sent import HIS_ID, IDS, Sent, Written, body, instant, some_sent, written
from tests.usage_states.told import DAY, HOUR, Backfill, Content, Customer, Definition, Letter, hour_of, read, span_of

START = datetime.fromisoformat("2026-10-24T21:30:00+00:00")
"""Half an hour before the day in Berlin that has 25 hours."""
ZONES = {name: ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "Asia/Kolkata")}
SLUGS: Mapping[str, tuple[str, Sequence[str | None]]] = {
    "calls": ("count", [None]),
    "bytes": ("sum", ["size", "size * 3", "size * size", "size - extra"]),
    "peak": ("max", ["size"]),
    "least": ("min", ["size - extra", "size"]),
    "mean": ("average", ["size", "size * 3"]),
    "last": ("latest", ["size"]),
    "regions": ("unique", ["region"]),
    "p95": ("percentile", ["size", "size * 3"]),
    "middle": ("percentile", ["size", "size", "size - extra"]),
}
PERCENTS = {"p95": "95", "middle": "50"}
"""More stories begin with the median than with any other meter, and it looks at nearly all events."""
FILTERS = [None, None, ("exists", True), ("exists", False), ("any_of", ("eu", "45")), ("none_of", ("eu",))]
some_definition = st.tuples(
    st.sampled_from([("api",), ("api", "job"), ("job",)]), st.integers(0, 3), st.sampled_from(FILTERS)
)
places = st.integers(0, 7)
some_names = st.lists(st.sampled_from(["acme", "acme", "globex", "東 京", "7", "nobody", HIS_ID]), max_size=3)
times = st.sampled_from([None, None, "the hour", "the day", "now", "30 h ago", "an hour ago"])


def definition(slug: str, drawn: tuple[Any, ...]) -> Definition:
    types, value, asked = drawn if slug != "middle" else (("api", "job"), drawn[1], None)
    aggregation, values = SLUGS[slug]
    keys = ("region",) if slug in {"calls", "bytes", "last", "p95"} else ()
    return Definition(types, aggregation, values[value % len(values)], asked, keys, PERCENTS.get(slug))


class Usage(RuleBasedStateMachine):
    """`house` is set by who runs it: a class of its own for each database."""

    house: ClassVar[House]
    n_steps: ClassVar[int] = 0
    """So many were made, in all stories."""
    n_found: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.story: list[str] = []
        self.n_compared = 0
        self.is_written = True
        """And not looked at yet."""
        self.sent: list[Written] = []
        self.sets: list[tuple[Backfill, str]] = []

    @initialize(
        zone=st.sampled_from(sorted(ZONES)),
        slug=st.sampled_from([*sorted(SLUGS), *["middle"] * 4]),
        drawn=some_definition,
        some=st.lists(some_sent, min_size=1, max_size=8),
        names=some_names,
    )
    def begins(self, zone: str, slug: str, drawn: tuple[Any, ...], some: list[Sent], names: list[str]) -> None:
        self.house.begin(START, ZONES[zone])
        self.ledger = Ledger(ZONES[zone], START)
        self.says(f"a project in {zone}")
        self.is_made(slug, definition(slug, drawn), None, None)
        self.customer_comes("Acme", names)
        self.new_ones_come(some, "json")

    # --- what rules have in common

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    @property
    def midnight(self) -> datetime:
        return span_of(self.ledger.zone, self.ledger.day_of(self.now))[0]

    def at(self, when: str | None) -> datetime | None:
        return None if when is None else instant(when, self.now, self.midnight)

    def written(self, one: Sent) -> Written:
        if one.customer == HIS_ID and self.ledger.customers:
            one = replace(one, customer=json.dumps(self.ledger.customers[0].id))
        return written(one, self.now, self.midnight)

    def says(self, what: str) -> None:
        type(self).n_steps += 1
        self.story.append(f"{self.now:%d %H:%M:%S.%f}  {what}")
        self.is_written = True

    def does(self, must: object, work: Callable[[], object]) -> None:
        """`must`: what it returns, or the name of the error."""
        try:
            given = work()
        except HeartflyError as error:
            given = _kind(error)
        self.demands(must == given, f"it is {given}, and should be {must}")

    def demands(self, holds: object, sentence: str) -> None:
        if holds:
            return
        told = "\n".join([sentence, "", *self.story])
        if not type(self).n_found:
            print(f"found, and made shorter from here on: {told}", flush=True)
        type(self).n_found += 1
        raise AssertionError(told)

    # --- events

    @rule(found=st.lists(some_sent, min_size=1, max_size=4), door=st.sampled_from(["json", "json", "lines"]))
    def come(self, found: list[Sent], door: str) -> None:
        self.arrive([self.written(one) for one in found], door)

    @rule(found=st.lists(some_sent, min_size=1, max_size=4))
    def come_by_column(self, found: list[Sent]) -> None:
        self.arrive([self.written(replace(one, fault="")) for one in found], "columns")

    @rule(some=st.lists(some_sent, min_size=1, max_size=5), door=st.sampled_from(["json", "columns"]))
    def new_ones_come(self, some: list[Sent], door: str) -> None:
        """Of ids that nobody has heard of, and nothing wrong with them but their time, perhaps."""
        n = len(self.sent)
        named = [replace(one, fault="", id=f"n-{n + place}") for place, one in enumerate(some)]
        self.arrive([self.written(one) for one in named], door)

    @rule(
        sizes=st.lists(st.sampled_from(["3", "5", "7", "20", "55.5", "-5"]), min_size=4, max_size=8),
        when=st.sampled_from(["now", "an hour ago", "30 h ago"]),
    )
    def many_sizes_come(self, sizes: list[str], when: str) -> None:
        """Of few values a percentile is the very one: it is no less than the least and no more than the most."""
        n = len(self.sent)
        of = [Sent(f"n-{n + place}", '"acme"', "api", when, size, '"eu"') for place, size in enumerate(sizes)]
        self.arrive([self.written(one) for one in of], "columns")

    @rule(each=st.lists(st.sampled_from(IDS), min_size=2, max_size=6, unique=True), one=some_sent)
    def many_come(self, each: list[str], one: Sent) -> None:
        self.arrive([self.written(replace(one, fault="", id=id_)) for id_ in each], "columns")

    def arrive(self, found: Sequence[Written], door: str) -> None:
        text = body(found, door)
        self.says(f"by {door}: {text}")
        self.sent += found
        self.is_answered(found, text, door)

    def is_answered(self, found: Sequence[Written], text: str, door: str) -> None:
        must = self.ledger.take([one.item for one in found], self.now)
        told = [(one.outcome.value, one.field) for one in self.house.send(text, door=door)]
        self.demands(must == told, f"they are told as {told}, and should be {must}")

    @precondition(lambda self: self.sent)
    @rule(place=places, n=st.integers(1, 3), door=st.sampled_from(["json", "lines"]))
    def come_again(self, place: int, n: int, door: str) -> None:
        """What nobody answered, for all its sender knows; or another program tells the same."""
        found = [self.sent[-1 - place % len(self.sent)].otherwise()] * n
        text = body(found, door)
        self.says(f"by {door}, again: {text}")
        self.is_answered(found, text, door)

    # --- the dead letter

    @precondition(lambda self: self.ledger.letters)
    @rule(place=places, other=st.one_of(st.none(), some_sent), is_mended=st.booleans(), dies=st.sampled_from([0, 0, 1]))
    def letter_is_sent_once_more(
        self,
        place: int,
        other: Sent | None,
        is_mended: bool,  # noqa: FBT001 - drawn
        dies: int,
    ) -> None:
        """As it came; or something in its place, such as the same without its fault."""
        n, letter = self.letter(place)
        if other is not None and is_mended:
            other = replace(other, id=letter.item.id, when="an hour ago", fault="")
        instead = None if other is None else self.written(other)
        text = None if instead is None else instead.json()
        self.says(f"letter {n} is sent once more{', killed at the end' * dies}: {text or 'as it came'}")
        item = None if instead is None else instead.item
        must = self.ledger.replay(letter, item, self.now, dies=dies > 0)
        if dies and not must.endswith("Error"):
            died = self.house.dies_within(0, lambda: self.house.replay(n, text))
            self.demands(died, "it has noted nothing down")
            return
        self.does(must, lambda: self.house.replay(n, text))

    @rule(field=st.sampled_from([None, None, "timestamp"]), limit=st.sampled_from([1, 3, 500]))
    def letters_are_sent_once_more(self, field: str | None, limit: int) -> None:
        self.says(f"{limit} letters of {field or 'any field'} are sent once more")
        must = self.ledger.replay_all(field, limit, self.now)
        self.does(must, lambda: self.house.replay_all(field, limit))

    @precondition(lambda self: self.ledger.letters)
    @rule(place=places)
    def letter_is_dropped(self, place: int) -> None:
        n, letter = self.letter(place)
        self.says(f"letter {n} is dropped")
        self.does(self.ledger.drop(letter), lambda: self.house.drop(n))

    def letter(self, place: int) -> tuple[int, Letter]:
        """The newest that are open before others."""
        letters = sorted(enumerate(self.ledger.letters), key=lambda one: (one[1].state != "open", -one[0]))
        return letters[place % len(letters)]

    # --- corrections

    def known(self, place: int) -> str:
        """An event that is known, one that was corrected before any other; or none, at times."""
        events = sorted(self.ledger.events.values(), key=lambda one: (one.newest is None, -one.number))
        return events[place].id if place < len(events) else IDS[place]

    @rule(place=places)
    def voided(self, place: int) -> None:
        id_ = self.known(place)
        self.says(f"{id_} is voided")
        self.does(self.ledger.void(id_), lambda: self.house.void(id_))

    @rule(place=places, what=st.sampled_from(["customer", "time", "size"]), other=some_sent)
    def amended(self, place: int, what: str, other: Sent) -> None:
        id_ = self.known(place)
        like = self.written(replace(other, fault="", id=id_))
        content, fields = like.content, dict[str, Any]()
        match what:
            case "customer":
                fields = {"customer_id": content.subject}
                change: Callable[[Content], Content] = lambda one: replace(one, subject=content.subject)  # noqa: E731
            case "time":
                fields = {"timestamp": read(like.fields["timestamp"])}
                change = lambda one: replace(one, at=content.at)  # noqa: E731
            case _:
                fields = {"properties": properties_of(like)}
                change = lambda one: replace(one, properties=content.properties)  # noqa: E731
        self.says(f"{id_} is amended: {fields}")
        self.does(self.ledger.amend(id_, change, self.now), lambda: self.house.amend(id_, fields))

    @rule(place=st.integers(0, 3))
    def undone(self, place: int) -> None:
        id_ = self.known(place)
        self.says(f"what was done to {id_} is undone")
        self.does(self.ledger.undo(id_), lambda: self.house.undo(id_))

    # --- backfills

    @precondition(lambda self: len(self.sets) < 3)
    @rule(
        span=st.sampled_from([("the day", "now"), ("50 h ago", "in an hour"), ("the oldest", "the farthest")]),
        types=st.sampled_from([(), (), ("api", "job")]),
        replaces=st.booleans(),
        some=st.lists(some_sent, min_size=1, max_size=4),
        closes=st.booleans(),
        of=st.sampled_from([(), (), (), ("acme",), ("7", "globex"), (HIS_ID,)]),
    )
    def set_is_opened(
        self,
        span: tuple[str, str],
        types: tuple[str, ...],
        of: tuple[str, ...],
        replaces: bool,  # noqa: FBT001 - drawn
        some: list[Sent],
        closes: bool,  # noqa: FBT001 - drawn
    ) -> None:
        within = instant(span[0], self.now, self.midnight), instant(span[1], self.now, self.midnight)
        if within[0] >= within[1]:
            return
        it = Backfill(within, types, replaces, tuple(self.named(of)))
        kind = f"{'replaces' if replaces else 'adds'} {types or 'all'} {it.customers}"
        self.says(f"a set {kind} of {within[0]} to {within[1]}")
        self.does(self.ledger.open_set(it, self.now), lambda: self.opened(it))
        self.sent_into_a_set(len(self.sets) - 1, some)
        if closes:
            self.set_is_closed(len(self.sets) - 1)

    def opened(self, it: Backfill) -> None:
        self.sets.append((it, self.house.open_set(it)))

    @precondition(lambda self: self.sets)
    @rule(place=places, some=st.lists(some_sent, min_size=1, max_size=4))
    def sent_into_a_set(self, place: int, some: list[Sent]) -> None:
        it, public_id = self.sets[place % len(self.sets)]
        found = [self.written(one) for one in some]
        # The same ids as are known, so that what was wrong is sent anew.
        found += [one for one in self.sent[-2:] if not one.field]
        text = body(found, "json")
        self.says(f"into set {place % len(self.sets)}: {text}")
        must = self.ledger.send_into(it, [one.item for one in found], self.now)
        self.does(must, lambda: [(one.outcome.value, one.field) for one in self.house.send_into(public_id, text)])

    @precondition(lambda self: self.sets)
    @rule(place=places)
    def set_is_closed(self, place: int) -> None:
        it, public_id = self.sets[place % len(self.sets)]
        self.says(f"set {place % len(self.sets)} is closed")
        self.does(self.ledger.close_set(it), lambda: self.house.close_set(public_id))

    @precondition(lambda self: self.sets)
    @rule(place=places)
    def set_is_reverted(self, place: int) -> None:
        it, public_id = self.sets[place % len(self.sets)]
        self.says(f"set {place % len(self.sets)} is reverted")
        self.does(self.ledger.revert_set(it, self.now), lambda: self.house.revert_set(public_id))

    # --- customers

    def named(self, names: Sequence[str]) -> list[str]:
        """With the id of a customer, if there is one, in its place."""
        his = self.ledger.customers[0].id if self.ledger.customers else HIS_ID
        return [his if name == HIS_ID else name for name in names]

    def customer(self, place: int) -> Customer:
        return self.ledger.customers[place % len(self.ledger.customers)]

    @precondition(lambda self: len(self.ledger.customers) < 3)
    @rule(name=st.sampled_from(["Acme", "Globex"]), names=some_names)
    def customer_comes(self, name: str, names: list[str]) -> None:
        names = self.named(names)
        self.says(f"customer {name} is called {names}")
        must = self.ledger.customer_comes(name, names)
        self.does(must, lambda: self.comes(name, names))

    def comes(self, name: str, names: Sequence[str]) -> Moved:
        public_id, moved = self.house.create_customer(name, names)
        if self.ledger.customers:  # or it should have been refused
            self.ledger.customers[-1].id = public_id
        return moved

    @precondition(lambda self: self.ledger.customers)
    @rule(place=places, add=some_names, takes=st.integers(0, 2), foreign=st.booleans(), is_all=st.booleans())
    def customer_is_called_otherwise(
        self,
        place: int,
        add: list[str],
        takes: int,
        foreign: bool,  # noqa: FBT001 - drawn
        is_all: bool,  # noqa: FBT001 - drawn
    ) -> None:
        one, add = self.customer(place), self.named(add)
        remove = sorted(one.aliases)[:takes] + (["nobody's"] if foreign and takes else [])
        self.says(f"{one.name} {one.id} is called {add}{'' if is_all else f', and not {remove}'}")
        edit = Edit(aliases=add) if is_all else Edit(add=add, remove=remove)
        must = self.ledger.customer_edited(one, add, remove, is_all=is_all)
        self.does(must, lambda: self.house.edit_customer(one.id, edit))

    @precondition(lambda self: self.ledger.customers)
    @rule(place=places)
    def customer_is_archived(self, place: int) -> None:
        one = self.customer(place)
        one.is_archived = not one.is_archived
        self.says(f"{one.name} {one.id} is {'archived' if one.is_archived else 'brought back'}")
        self.does([], lambda: self.house.edit_customer(one.id, Edit(archived=one.is_archived)))

    @precondition(lambda self: self.ledger.customers)
    @rule(place=places, dies=st.sampled_from([None, None, 0, 1, 2, 3, 4, 5, 6, 8]))
    def customer_is_erased(self, place: int, dies: int | None) -> None:
        """Killed meanwhile, it is asked for again."""
        self.is_erased(self.customer(place), dies)

    @rule(place=places, of_now=st.booleans(), dies=st.sampled_from([None, None, 1, 2, 3, 4]))
    def whose_event_it_is_is_erased(self, place: int, of_now: bool, dies: int | None) -> None:  # noqa: FBT001 - drawn
        """Or was, before it was corrected."""
        event = self.ledger.events.get(self.known(place))
        subject = "nobody" if event is None else ((of_now and event.now) or event.came).subject
        one = self.ledger.whose(subject)
        if one is None:
            self.customer_comes("Nobody", [subject])
            one = self.ledger.customers[-1]
        self.is_erased(one, dies)

    def is_erased(self, one: Customer, dies: int | None) -> None:
        self.says(f"{one.name} {one.id} is erased{'' if dies is None else f', and it is killed after {dies}'}")
        must = self.ledger.erase(one)
        if dies is None or not self.house.dies_within(dies, lambda: self.house.erase(one.id)):
            self.does(must if dies is None else "NotFoundError", lambda: self.house.erase(one.id))
            return
        try:
            self.house.erase(one.id)
        except NotFoundError:
            self.story.append("    nothing of it was left to do")

    # --- meters

    @precondition(lambda self: len(self.ledger.meters) < 3)
    @rule(slug=st.sampled_from(sorted(SLUGS)), drawn=some_definition, since=times)
    def another_meter(self, slug: str, drawn: tuple[Any, ...], since: str | None) -> None:
        if slug not in self.ledger.meters:
            self.is_made(slug, definition(slug, drawn), self.at(since), None)

    @rule(place=places, drawn=some_definition, since=times, lasts=st.sampled_from([None, None, HOUR / 2, DAY]))
    def another_version(self, place: int, drawn: tuple[Any, ...], since: str | None, lasts: timedelta | None) -> None:
        slug, from_at = self.meter(place), self.at(since)
        to_at = None if lasts is None or from_at is None else from_at + lasts
        self.is_made(slug, definition(slug, drawn), from_at, to_at)

    def is_made(self, slug: str, wanted: Definition, from_at: datetime | None, to_at: datetime | None) -> None:
        is_new = slug not in self.ledger.meters
        self.says(f"{'meter' if is_new else 'version of'} {slug}, {from_at} to {to_at}: {wanted.wire()}")
        must = self.ledger.version(slug, wanted, from_at, to_at)
        self.does(must, lambda: self.house.version(slug, wanted, from_at, to_at, is_new=is_new))

    def meter(self, place: int) -> str:
        known = sorted(self.ledger.meters)
        return known[place % len(known)]

    @rule(place=places)
    def archived(self, place: int) -> None:
        slug = self.meter(place)
        back = self.ledger.meters[slug].archived_at is not None
        self.says(f"meter {slug} is {'brought back' if back else 'archived'}")
        if back:
            self.ledger.unarchive(slug)
        else:
            self.ledger.archive(slug, self.now)
        self.house.archive(slug, back=back)

    # --- folding

    @rule()
    def folder_looks(self) -> None:
        self.says("the folder looks")
        self.house.round()
        self.follows()

    @rule()
    def all_is_folded(self) -> None:
        self.says("everything is folded")
        for _ in range(3):  # what has just begun waits for a look, what was folded rests for ten seconds
            self.house.clock.move_to(self.now + timedelta(seconds=20))
            self.house.round()
        self.follows()
        self.demands(not self.ledger.dirty, f"nobody folds {self.ledger.dirty}")

    @precondition(lambda self: self.ledger.dirty or self.ledger.shown)
    @rule(place=places)
    def one_is_folded(self, place: int) -> None:
        known = sorted({*self.ledger.dirty, *self.ledger.shown})
        hour = known[-1 - place % len(known)]
        self.says(f"{hour:%d %H}h is folded")
        self.house.fold(hour)
        if hour in self.ledger.dirty:
            self.ledger.folded([hour])

    def follows(self) -> None:
        """Which hours were folded meanwhile."""
        self.ledger.folded(self.ledger.dirty - dirty_now(self.house))

    # --- days

    @rule()
    def the_daily_job_runs(self) -> None:
        self.says("the daily job runs")
        must = self.ledger.to_close(self.now)
        given = self.house.to_close(self.ledger.first_day)
        self.demands(must == given, f"days to close are {given}, and should be {must}")
        for day in given:
            self.is_closed(day, self.house.close(day))

    @rule(back=st.integers(0, 4))
    def a_day_is_closed_anew(self, back: int) -> None:
        day = self.ledger.day_of(self.now) - back * DAY
        span = span_of(self.ledger.zone, day)
        self.says(f"{day} is closed anew")
        is_sealed = any(span[0] <= hour < span[1] for hour in self.ledger.sealed)
        if span[1] > self.now or is_sealed:
            self.does("InvalidValueError", lambda: self.house.rerun(day))
            return
        self.ledger.rerun(day)
        self.is_closed(day, self.house.rerun(day))

    def is_closed(self, day: date, given: Any) -> None:
        changed = self.ledger.closed(day)
        told = self.ledger.days[day]
        if changed == "perhaps":
            changed = "yes" if given.changed else "no"
        if told.amended == "perhaps":
            told.amended = "yes" if given.state == "amended" else "no"
        must = ("amended" if told.amended == "yes" else "final", "", changed == "yes")
        seen = (given.state, given.mismatch, given.changed)
        self.demands(must == seen, f"{day} is closed as {seen}, and should be {must}")

    @precondition(lambda self: not self.ledger.cuts_hours)
    @rule()
    def what_is_old_goes(self) -> None:
        self.says("what is old goes")
        must, gone = self.ledger.old_goes(self.now), self.house.old_goes()
        given = {name: getattr(gone, name) for name in must}
        self.demands(must == given, f"there went {given}, and should have {must}")

    @rule(n=st.sampled_from([1, 1, 2, 4]), folds=st.booleans(), goes=st.booleans())
    def nights_pass(self, n: int, folds: bool, goes: bool) -> None:  # noqa: FBT001 - drawn
        for _ in range(n):
            self.house.clock.move_to(span_of(self.ledger.zone, self.ledger.day_of(self.now))[1] + HOUR)
            if folds:
                self.all_is_folded()
            self.the_daily_job_runs()
        if goes and not self.ledger.cuts_hours:
            self.what_is_old_goes()

    # --- time, and the process

    @rule(
        step=st.sampled_from([MICRO, timedelta(seconds=1), timedelta(seconds=11), HOUR / 3, HOUR, 7 * HOUR, DAY, DAY])
    )
    def time_passes(self, step: timedelta) -> None:
        self.says(f"{step} pass")
        self.house.clock.move_to(self.now + step)

    @rule(of_day=st.booleans(), offset=st.sampled_from([-MICRO, 0 * MICRO, 0 * MICRO, MICRO]))
    def time_passes_to_an_edge(self, of_day: bool, offset: timedelta) -> None:  # noqa: FBT001 - drawn
        day = self.ledger.day_of(self.now)
        edge = span_of(self.ledger.zone, day)[1] if of_day else hour_of(self.now) + HOUR
        to = max(self.now, edge + offset)
        self.says(f"time passes until {to:%d %H:%M:%S.%f}")
        self.house.clock.move_to(to)

    @rule()
    def restarted(self) -> None:
        self.says("it starts again")
        self.house.restart()

    @rule(n=st.integers(0, 12), what=st.sampled_from(["looks", "looks", "closes", "closes"]))
    def killed(self, n: int, what: str) -> None:
        self.house.clock.move_to(self.now + MICRO)  # no day was closed at this very instant
        self.says(f"it is killed after {n} transactions while it {what}")
        days = self.ledger.to_close(self.now) if what == "closes" else []

        def work() -> None:
            if what == "looks":
                self.house.round()
            for day in days:
                self.house.close(day)

        self.house.dies_within(n, work)
        self.follows()
        query = sa.select(usage_days).where(usage_days.c.reconciled_at == self.now)
        for row in self.house.read(query.order_by(usage_days.c.day))[0]:
            changed, told = self.ledger.closed(row.day), self.ledger.days[row.day]
            self.story.append(f"    {row.day} was closed before ({changed})")
            if told.amended == "perhaps":
                told.amended = "yes" if row.state == "amended" else "no"

    # --- what always holds

    @invariant()
    def all_is_what_it_must_be(self) -> None:
        if self.is_written:
            self.looked_at(lambda: compare(self.house, self.ledger, self.n_compared))
            self.is_written = False
            self.n_compared += 1

    @override
    def teardown(self) -> None:
        if not self.is_written:  # else the last step has gone wrong
            self.looked_at(lambda: compare_all(self.house, self.ledger, self.n_compared))

    def looked_at(self, work: Callable[[], None]) -> None:
        try:
            work()
        except AssertionError as error:
            self.demands(False, str(error))  # noqa: FBT003


def properties_of(like: Written) -> dict[str, Any]:
    """As the door of corrections reads them: numbers as they were written."""
    from heartfly.core.events import read as read_json  # noqa: PLC0415 - how JSON is read, not what it comes to

    return {name: read_json(value) for name, value in like.properties.items()}


def _kind(error: HeartflyError) -> str:
    """By the name that the oracle knows it by."""
    return next(one.__name__ for one in type(error).__mro__ if one.__name__ in _KINDS)


_KINDS = {"ConflictError", "InvalidValueError", "NotFoundError", "HeartflyError"}
