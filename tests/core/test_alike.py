"""What silence makes of one check may be copied to another one: here each is asked for itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.alike import judged_for_all
from heartfly.core.check import after_silence
from heartfly.core.schedule import Kind, next_after, parse
from heartfly.core.values import Blind, Check, Rules, Run, replace
from heartfly.core.words import PingKind, Reason, Status

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
NOW = T0 + timedelta(hours=1)
GRACE = timedelta(minutes=10)

instants = st.integers(-3_000, 600).map(lambda s: T0 + timedelta(seconds=s))
"""When a slot opened: the last of them has closed by the time of the look."""
before_that = st.integers(-10_000_000, -3_000).map(lambda s: T0 + timedelta(seconds=s))


def rules(period_s: int, *, wants_late: bool = False, sticky: bool = False, max_run: timedelta | None = None) -> Rules:
    schedule = parse(Kind.PERIOD, period=timedelta(seconds=period_s))
    return Rules(
        next_after=lambda at, anchor: next_after(schedule, at, anchor=anchor),
        grace=GRACE,
        max_run=max_run,
        wants_late=wants_late,
        sticky=sticky,
    )


def life(opened: datetime, *, made: Rules, status: Status = Status.UP, since: datetime | None = None) -> Check:
    return Check(
        rules=made,
        status=status,
        status_since=since or T0 - timedelta(days=200),
        status_reason=Reason.SUCCESS,
        expected_at=opened,
        goes_down_at=opened + made.grace,
        wake_at=opened + made.grace,
    )


@st.composite
def alike(draw: st.DrawFn) -> tuple[Check, Check]:
    """Two checks that differ in all that may differ."""
    wants_late, sticky = draw(st.booleans()), draw(st.booleans())
    status = draw(st.sampled_from([Status.UP, Status.DEGRADED]))
    found = []
    for _ in range(2):
        own = rules(draw(st.integers(5, 100_000)), wants_late=wants_late, sticky=sticky)
        check = life(draw(instants), made=own, status=status, since=draw(before_that))
        last = draw(before_that)
        found.append(
            replace(
                check,
                rev=draw(st.integers(0, 10**9)),
                flip_no=draw(st.integers(0, 10**6)),
                n_pings=draw(st.integers(0, 10**9)),
                last_ping_at=draw(st.none() | st.just(last)),
                last_kind=draw(st.none() | st.sampled_from([PingKind.SUCCESS, PingKind.LOG])),
                last_duration=draw(st.none() | st.just(timedelta(seconds=3))),
                last_end=draw(st.none() | st.just((last, 1, 2))),
                last_end_kind=draw(st.none() | st.just(PingKind.SUCCESS)),
                anchor_at=draw(st.none() | before_that),
                late_told_at=draw(st.none() | st.just(check.expected_at)),
            )
        )
    return found[0], found[1]


@given(pair=alike(), blind=st.lists(st.tuples(before_that, st.integers(2, 3_000))))
def test_it_makes_the_same_of_both(pair: tuple[Check, Check], blind: list[tuple[datetime, int]]) -> None:
    first, other = pair
    assert first.expected_at is not None
    assert other.expected_at is not None
    opened = (min(first.expected_at, other.expected_at), max(first.expected_at, other.expected_at))
    deaf = [Blind(id=n, from_at=at, to_at=at + timedelta(seconds=s)) for n, (at, s) in enumerate(blind)]

    step = judged_for_all(first, opened=opened, through=NOW, blind=deaf, now=NOW)

    if step is None:
        assert any(one.touches(opened[0] - GRACE, opened[1] + GRACE) for one in deaf)
        return
    (flip,), (run,) = step.flips, step.runs
    alone = after_silence(other, through=NOW, blind=deaf, new_id=lambda: 0, now=NOW)
    own_run = replace(run, slot_at=other.expected_at)
    own_flip = replace(flip, flip_no=other.flip_no + 1, at=other.goes_down_at, run=own_run)
    copied = replace(
        other,
        status=step.check.status,
        status_reason=step.check.status_reason,
        status_since=other.goes_down_at,
        flip_no=other.flip_no + 1,
        rev=other.rev + step.check.rev - first.rev,
        expected_at=None,
        goes_down_at=None,
        wake_at=None,
    )
    assert replace(step, check=copied, runs=(own_run,), flips=(own_flip,)) == alone


def asked(check: Check, blind: tuple[Blind, ...] = ()) -> bool:
    assert check.expected_at is not None
    span = (check.expected_at, check.expected_at)
    return judged_for_all(check, opened=span, through=NOW, blind=blind, now=NOW) is not None


def test_it_is_said_of_a_plain_miss() -> None:
    assert asked(life(T0, made=rules(3_600)))


def test_it_is_not_said_of_what_has_a_life_of_its_own() -> None:
    plain = life(T0, made=rules(3_600))
    run = Run(id=1, started_at=T0 + timedelta(minutes=5), ping_n=1)

    assert not asked(replace(plain, status=Status.NEW))
    assert not asked(replace(plain, status=Status.DOWN))
    assert not asked(replace(plain, unverified_in_row=1))
    assert not asked(replace(plain, unverified_in_row=-1))
    assert not asked(replace(plain, schedule_error_at=T0, schedule_error="no such zone"))
    assert not asked(replace(plain, open_runs=(run,)))
    assert not asked(replace(plain, goes_down_at=T0))
    assert not asked(life(NOW, made=rules(3_600, wants_late=True)))


def test_time_that_could_not_be_heard_is_looked_at_for_each() -> None:
    """By an instant: a success may have come early, by the grace."""
    plain, tick = life(T0, made=rules(3_600)), timedelta(microseconds=1)

    def deaf(from_at: datetime, to_at: datetime) -> tuple[Blind]:
        return (Blind(id=1, from_at=from_at, to_at=to_at),)

    assert not asked(plain, deaf(T0 - 2 * GRACE, T0 - GRACE))
    assert asked(plain, deaf(T0 - 2 * GRACE, T0 - GRACE - tick))
    assert not asked(plain, deaf(T0 + GRACE, T0 + 2 * GRACE))
    assert asked(plain, deaf(T0 + GRACE + tick, T0 + 2 * GRACE))
