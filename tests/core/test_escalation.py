"""What becomes of an alert on a channel; and that no combination of rules loses the first alert of a real failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.escalation import (
    DownSpan,
    Leave,
    Policy,
    Standing,
    Tell,
    decide,
    flaps_since,
    of_stored,
    part_of,
    severity_of,
    step,
    stored_of,
)
from heartfly.core.missed import MOST, n_missed
from heartfly.core.silence import Effect, Hold, Part, Scope, Silence, SilenceKind, Subject, Waiting, held, settled
from heartfly.core.words import AlertKind, Severity
from tests.factories import make_rules

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BEGIN, END, FACT = Part.BEGIN, Part.END, Part.FACT


def about(part: Part = BEGIN, **rest: Any) -> Subject:
    values: dict[str, Any] = {"severity": Severity.HIGH, "channel": "c", "check": "k", "tags": ("db",)} | rest
    return Subject(part=part, **values)


def decided(subject: Subject, policy: Policy, *silences: Silence, **standing: Any) -> object:
    return decide(subject, policy, silences, Standing(**standing), at=NOW)


def test_without_rules_everything_is_told_at_once() -> None:
    assert [Tell()] * 3 == [decided(about(part), Policy()) for part in Part]


def test_a_channel_for_some_tags_leaves_the_others_and_says_why() -> None:
    assert Leave("this channel is for checks with a tag of: web") == decided(about(), Policy(tags=("web",)))
    assert Tell() == decided(about(), Policy(tags=("web", "db")))
    assert Tell() == decided(about(check="", tags=()), Policy(tags=("web",)))  # what is of no check has none


def test_who_was_told_that_it_began_is_told_of_its_end_though_it_is_for_other_tags_by_now() -> None:
    policy = Policy(tags=("web",))

    assert Tell() == decided(about(END), policy, begin_was_told=True)
    assert isinstance(decided(about(END), policy), Leave)
    assert isinstance(decided(about(BEGIN), policy, begin_was_told=True), Leave)


def test_a_channel_from_a_severity_on_leaves_what_is_milder() -> None:
    policy = Policy(least=Severity.HIGH)
    assert isinstance(decided(about(severity=Severity.MEDIUM), policy), Leave)
    assert Tell() == decided(about(), policy)
    assert Leave("nobody had been told that it began") == decided(about(END), policy)
    assert Tell() == decided(about(END), policy, begin_was_told=True)


def test_a_later_step_waits_for_somebody_to_acknowledge() -> None:
    policy = Policy(after=15 * MINUTE)
    hold = Hold(NOW + 15 * MINUTE, "told here if nobody acknowledges it within 15 min")
    assert hold == decided(about(), policy)
    assert hold == decided(about(END), policy, waits=hold)
    assert Tell() == decided(about(END), policy, begin_was_told=True)
    assert isinstance(decided(about(END), policy), Leave)
    assert Tell() == decided(about(FACT), policy)


def test_what_it_needs_holds_a_begin_and_nothing_else() -> None:
    upstream = Hold(NOW + 60 * MINUTE, "waits for “dump”, which is down", 7)
    assert upstream == decided(about(), Policy(), upstream=upstream)
    assert upstream == decided(about(), Policy(after=15 * MINUTE), upstream=upstream)
    assert Tell() == decided(about(END), Policy(), upstream=upstream)


def test_a_step_counts_from_the_first_time_that_it_was_down() -> None:
    policy = Policy(after=15 * MINUTE)
    assert NOW + 5 * MINUTE == getattr(decided(about(), policy, flaps_since=NOW - 10 * MINUTE), "until", None)
    assert Tell() == decided(about(), policy, flaps_since=NOW - 15 * MINUTE)
    assert step(Policy(), NOW, at=NOW) is None


def spans(*minutes: tuple[int, int], ending: int | None = None) -> list[DownSpan]:
    return [
        DownSpan(from_at=NOW + begun * MINUTE, to_at=NOW + over * MINUTE, ends_it=n == ending)
        for n, (begun, over) in enumerate(minutes)
    ]


@pytest.mark.parametrize(
    ("before", "since"),
    [
        ([], 0),
        (spans((-20, -10)), -20),
        (spans((-50, -40), (-20, -10)), -20),
        (spans((-49, -39), (-29, -20), (-11, -1)), -49),
        (spans((-30, -15)), 0),  # up for as long as the step: it is over
        (spans((-30, -14)), -30),
        (spans((-30, -25), (-20, -10), ending=0), -20),
        (spans((-30, -25), (-20, -10), ending=1), 0),
    ],
)
def test_it_flaps_since_the_first_that_nobody_took_care_of(before: list[DownSpan], since: int) -> None:
    assert NOW + since * MINUTE == flaps_since(before, 15 * MINUTE, at=NOW)


def test_of_a_silence_and_a_step_the_later_holds() -> None:
    muted = mute(NOW - MINUTE, NOW + 5 * MINUTE)
    assert NOW + 15 * MINUTE == getattr(decided(about(), Policy(after=15 * MINUTE), muted), "until", None)
    assert NOW + 5 * MINUTE == getattr(decided(about(), Policy(after=2 * MINUTE), muted), "until", None)


@pytest.mark.parametrize(
    ("kind", "tags", "severity"),
    [
        (AlertKind.DOWN, (), "high"),
        (AlertKind.DOWN, ("severity:low", "severity:critical"), "critical"),
        (AlertKind.UP, ("severity:low",), "low"),
        (AlertKind.DOWN, ("severity:dreadful",), "high"),
        (AlertKind.DEGRADED, ("severity:critical",), "medium"),
        (AlertKind.LATE, (), "low"),
    ],
)
def test_a_tag_says_how_bad_it_is_when_a_check_is_down(kind: AlertKind, tags: tuple[str, ...], severity: str) -> None:
    assert severity == severity_of(kind, tags=tags)


def test_a_rule_says_itself_how_bad_it_is() -> None:
    assert Severity.LOW is severity_of(AlertKind.RULE_FIRING, concern=Severity.LOW)


def test_each_kind_of_alert_has_its_part_and_severity() -> None:
    begun = {AlertKind.DOWN, AlertKind.DEGRADED, AlertKind.RULE_FIRING, AlertKind.BUDGET_REACHED}
    assert begun == {kind for kind in AlertKind if part_of(kind) is BEGIN}
    assert all(severity_of(kind) in set(Severity) for kind in AlertKind)


@pytest.mark.parametrize(
    "policy", [Policy(), Policy(tags=("a",), least=Severity.LOW, after=MINUTE, every=timedelta(hours=1))]
)
def test_a_policy_is_stored_and_read_again(policy: Policy) -> None:
    assert policy == of_stored(stored_of(policy))


# --- missed runs


def hourly() -> Any:
    return make_rules(period=timedelta(hours=1), grace=10 * MINUTE)


@pytest.mark.parametrize(("minutes", "missed"), [(70, 0), (71, 1), (120, 1), (131, 2), (310, 4)])
def test_runs_are_missed_whose_slot_has_closed(minutes: int, missed: int) -> None:
    assert missed == n_missed(hourly(), anchor=NOW, at=NOW + minutes * MINUTE)


def test_missed_runs_are_counted_up_to_a_bound() -> None:
    assert MOST == n_missed(hourly(), anchor=NOW, at=NOW + timedelta(days=365))
    assert 0 == n_missed(hourly(), anchor=None, at=NOW)


def test_of_a_schedule_that_raises_nothing_more_is_known_to_be_missed() -> None:
    def next_after(instant: datetime, _anchor: datetime) -> datetime:
        if instant > NOW + timedelta(hours=1):
            raise OverflowError
        return instant + timedelta(hours=1)

    assert 2 == n_missed(make_rules(next_after=next_after, grace=10 * MINUTE), anchor=NOW, at=NOW + timedelta(days=1))


# --- the first alert of a real failure ----------------------------------------------------------------


@dataclass
class Row:
    """One alert for the channel, and what became of it. `failure`: which one it begins or ends."""

    part: Part
    failure: int
    state: str = ""
    why: str = ""
    until: datetime = NOW
    history: list[str] = field(default_factory=list)


@dataclass
class Channel:
    """What the outbox and the release of what was held do for one channel and one source, without a database."""

    subject: Subject
    policy: Policy
    silences: Sequence[Silence]
    rows: list[Row] = field(default_factory=list)
    down: int | None = None
    acked: set[int] = field(default_factory=set)

    def happens(self, part: Part, failure: int, at: datetime) -> None:
        self.down = failure if part is BEGIN else None
        row, about_it = Row(part, failure), Subject(**{**_facts(self.subject), "part": part})
        waits = [one for one in self.rows if one.state == "held"]
        latest = max(waits, key=lambda one: one.until, default=None)
        standing = Standing(
            begin_was_told=self._begin_was_told(len(self.rows)),
            waits=Hold(latest.until, latest.why) if latest is not None else None,
        )
        decision = decide(about_it, self.policy, self.silences, standing, at=at)
        match decision:
            case Tell():
                row.state = "told"
            case Hold(until, why):
                row.state, row.until, row.why = "held", until, why
            case Leave(why):
                row.state, row.why = "untold", why
        self.rows.append(row)

    def looks(self, at: datetime) -> None:
        waits = [row for row in self.rows if row.state == "held"]
        if not any(row.until <= at for row in waits):
            return
        if waits[-1].until > at:
            for row in waits:
                row.until = waits[-1].until
            return
        first = self.rows.index(waits[0])
        verdicts = settled(
            [Waiting(row.part, row.part is END or row.failure == self.down) for row in waits],
            begin_was_told=self._begin_was_told(first),
        )
        for row, verdict in zip(waits, verdicts, strict=True):
            if not verdict.is_told:
                row.state, row.why = "untold", f"{row.why}; {verdict.why}"
            elif self.policy.after is not None and row.part is BEGIN and row.failure in self.acked:
                row.state, row.why = "untold", f"{row.why}; acknowledged"
            else:
                about_it = Subject(**{**_facts(self.subject), "part": row.part})
                hold = held(about_it, self.silences, at=at, begin_was_told=row.part is END)
                if hold is None:
                    row.state = "told"
                else:
                    row.until, row.why = hold.until, hold.why

    def _begin_was_told(self, before: int) -> bool:
        told = [row for row in self.rows[:before] if row.state == "told"]
        return bool(told) and told[-1].part is BEGIN

    def next_look(self) -> datetime | None:
        return min((row.until for row in self.rows if row.state == "held"), default=None)


def _facts(subject: Subject) -> dict[str, Any]:
    names = ("part", "severity", "channel", "check", "tags", "grace")
    return {name: getattr(subject, name) for name in names}


def mute(from_at: datetime, to_at: datetime, *, kind: str = "mute", scope: str = "project") -> Silence:
    below = Severity.CRITICAL if kind == "quiet" else None
    targets = frozenset({"channel": ["c"], "check": ["k"], "tag": ["db"]}.get(scope, []))
    return Silence(
        id=1, uuid="s", kind=SilenceKind(kind), effect=Effect.HOLD, scope=Scope(scope), targets=targets,
        from_at=from_at, to_at=to_at, below=below,
    )  # fmt: skip


minutes = st.integers(0, 600)
silences = st.lists(
    st.builds(
        lambda begin, lasts, what: mute(
            NOW + begin * MINUTE, NOW + (begin + lasts) * MINUTE, kind=what[0], scope=what[1]
        ),
        minutes,
        st.integers(1, 300),
        st.sampled_from(
            [
                ("mute", "project"), ("mute", "channel"), ("snooze", "check"), ("maintenance", "tag"),
                ("maintenance", "project"), ("quiet", "project"), ("quiet", "channel"),
            ]
        ),
    ),
    max_size=5,
)  # fmt: skip
policies = st.builds(
    Policy,
    tags=st.sampled_from([(), ("db",), ("web",)]),
    least=st.sampled_from([None, Severity.LOW, Severity.CRITICAL]),
    after=st.sampled_from([None, 15 * MINUTE, 60 * MINUTE]),
)


@settings(max_examples=400)
@given(
    turns=st.lists(minutes, min_size=1, max_size=9, unique=True),
    silences=silences,
    policy=policies,
    severity=st.sampled_from(list(Severity)),
    acked=st.sets(st.integers(0, 8)),
)
def test_no_failure_is_lost_without_a_reason_on_record(
    turns: list[int], silences: list[Silence], policy: Policy, severity: Severity, acked: set[int]
) -> None:
    channel = Channel(about(severity=severity, grace=10 * MINUTE), policy, silences, acked=acked)
    happening = [(NOW + minute * MINUTE, n) for n, minute in enumerate(sorted(turns))]
    end = NOW + timedelta(days=3)
    while happening or channel.next_look() is not None:
        look, turn = channel.next_look() or end, happening[0][0] if happening else end
        if happening and turn <= look:
            moment, n = happening.pop(0)
            channel.happens(BEGIN if n % 2 == 0 else END, n // 2, moment)
        else:
            assert look < end, "it waits for ever"
            channel.looks(look)

    # Each failure is on record: told, or with the reason why not.
    begun = [row for row in channel.rows if row.part is BEGIN]
    assert len(turns) // 2 + len(turns) % 2 == len(begun)
    assert all(row.state == "told" or (row.state == "untold" and row.why) for row in channel.rows)
    # What is wrong still was told, unless the channel is not for it, or somebody took care of it.
    if channel.down is not None:
        last = begun[-1]
        is_for_it = "web" not in policy.tags and _is_severe_enough(policy, severity)
        taken = policy.after is not None and channel.down in acked
        assert not is_for_it or taken or last.state == "told", last
    # Nobody hears that something ended of which he had not heard that it began.
    told = [row for row in channel.rows if row.state == "told"]
    if policy.after is not None or policy.least is not None:
        assert all(one.part is BEGIN or (n and told[n - 1].part is BEGIN) for n, one in enumerate(told))


def _is_severe_enough(policy: Policy, severity: Severity) -> bool:
    order = list(Severity)
    return policy.least is None or order.index(severity) >= order.index(policy.least)
