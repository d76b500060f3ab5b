"""Whoever judges a long history piece by piece says what he would say of the whole, keeps little, and can say no.

What is spoiled is spoiled while the simulation goes on: in a window that is judged long before the end, or so that only
what is known from earlier windows can tell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.db.models import alerts, flips, incidents, notifications, pings, runs
from heartfly.logs import configure
from tests.simulator.ground_truth import Edict, Job, Sent
from tests.simulator.history import History, Plan
from tests.simulator.oracle import SeenFlip
from tests.simulator.run import Simulation
from tests.simulator.verdict import conclude, judge, simulate
from tests.simulator.windows import Judge

PLAN = Plan(seed=3, n_checks=12, days=7, faults_per_day=12, window=0.25)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    configure(SimpleNamespace(level="error", format="json"), sys.stderr, now=SystemClock().now)


def test_windows_of_any_length_give_the_verdict_of_the_whole() -> None:
    history = Simulation(PLAN).run()
    whole = judge(history)
    history.engine.dispose()

    assert [] == whole.wrong
    for window in (0.1, 1.0, 3.0):
        verdict = simulate(replace(PLAN, window=window))

        assert (whole.digest, whole.wrong) == (verdict.digest, verdict.wrong)
        assert whole.figures == verdict.figures
        assert whole.tally == verdict.tally


# --- how much is kept


def n_kept(windows: Judge) -> int:
    """Of all that happened, how much is in memory and in the database; digests have a time of their own."""
    history = windows.history
    n = sum(len(job.history) + len(job.before) for job in history.jobs) + len(history.machine.turns)
    n += sum(map(len, history.flips.values())) + sum(len(replay.life.flips) for replay in windows.replays)
    n += sum(len(replay.ended) + len(replay.life.heirs) for replay in windows.replays)
    n += len(windows.audit.spans) + len(windows.audit.alarmed) + len(windows.marks)
    of_flips = sa.select(sa.func.count()).where(alerts.c.key.startswith("flip:"))
    counts = [of_flips, *(sa.select(sa.func.count()).select_from(table) for table in (flips, incidents, pings, runs))]
    counts.append(sa.select(sa.func.count()).select_from(sa.text("temp.seen")))
    with history.engine.connect() as connection:
        return n + sum(connection.execute(count).scalar_one() for count in counts)


def test_what_is_kept_does_not_grow_with_the_days() -> None:
    simulation = Simulation(Plan(seed=9, n_checks=12, days=20))
    windows, kept = Judge(simulation.history), list[int]()

    def rest() -> None:
        windows.rest()
        kept.append(n_kept(windows))

    simulation.at_rest = rest
    simulation.run()

    assert max(kept[-5:]) < 1.1 * max(kept[4:9]), kept
    assert max(kept) < 0.5 * simulation.history.tally["sent"]
    assert [] == conclude(windows).wrong
    simulation.history.engine.dispose()


# --- whoever judges by windows can say no


def unjudged(windows: Judge, *, of: str = "down") -> tuple[Job, SeenFlip] | None:
    """A flip that is judged next, or soon."""
    for job in windows.history.jobs:
        for flip in windows.history.flips[job.index]:
            if flip.step > windows.marks[0].step and flip.to_status == of:
                return job, flip
    return None


def nobody_was_alarmed(windows: Judge) -> bool:
    if (found := unjudged(windows)) is None:
        return False
    windows.history.flips[found[0].index].remove(found[1])
    return True


def somebody_was_alarmed_twice(windows: Judge) -> bool:
    if (found := unjudged(windows)) is None:
        return False
    seen, flip = windows.history.flips[found[0].index], found[1]
    seen.insert(seen.index(flip) + 1, replace(flip, flip_no=flip.flip_no + 1))
    return True


def an_alarm_came_a_microsecond_early(windows: Judge) -> bool:
    if (found := unjudged(windows)) is None:
        return False
    seen, flip = windows.history.flips[found[0].index], found[1]
    seen[seen.index(flip)] = replace(flip, at=flip.at - 1)
    return True


def a_flip_was_lost(windows: Judge) -> bool:
    """One that is followed by another: production code asks for the newest."""
    for job in windows.history.jobs:
        seen = windows.history.flips[job.index]
        if len(seen) > 2:
            mine = flips.c.check_id == job.row.id, flips.c.flip_no == seen[-2].flip_no
            return _write(windows.history, sa.delete(flips).where(*mine))
    return False


def a_notification_was_lost(windows: Judge) -> bool:
    if (found := unjudged(windows)) is None:
        return False
    key = f"flip:{found[0].row.id}:{found[1].flip_no}"
    one = sa.select(alerts.c.id).where(alerts.c.key == key).scalar_subquery()
    return _write(windows.history, sa.delete(notifications).where(notifications.c.alert_id == one))


def an_incident_was_lost(windows: Judge) -> bool:
    one = sa.select(sa.func.min(incidents.c.id)).where(incidents.c.closed_at.is_not(None)).scalar_subquery()
    return _write(windows.history, sa.delete(incidents).where(incidents.c.id == one))


def a_ping_was_lost(windows: Judge) -> bool:
    one = sa.select(sa.func.min(pings.c.received_at)).scalar_subquery()
    return _write(windows.history, sa.delete(pings).where(pings.c.received_at == one))


def each_digest_was_lost(windows: Judge) -> bool:
    _write(windows.history, sa.delete(alerts).where(alerts.c.kind == "check.unverified"))
    return False


def an_incident_was_lost_between_its_flips(windows: Judge) -> bool:
    """The flip that opened it is gone already, the one that closed it is not."""
    for _, number in windows.audit.spans:
        return _write(windows.history, sa.delete(incidents).where(incidents.c.id == number))
    return False


def what_followed_was_lost(windows: Judge) -> bool:
    """Of a flip that was judged the next one."""
    for job in windows.history.jobs:
        seen = windows.history.flips[job.index]
        if len(seen) > 2 and seen[0].flip_no > 1 and seen[0].step < windows.marks[0].step < seen[1].step:
            del seen[1]
            return True
    return False


def somebody_was_told_again(windows: Judge) -> bool:
    """Of a flip that is gone."""
    for job, account in zip(windows.history.jobs, windows.audit.accounts, strict=True):
        if account.n_flips:
            pid, values = job.row.pid, {"pid": job.row.pid, "source": "", "at": 0, "decided_at": 0}
            alert = {"id": 1, "key": f"flip:{job.row.id}:1", "kind": "check.down", "payload": "{}"}
            told = {"pid": pid, "alert_id": 1, "channel_id": 1, "source": "", "state": "done", "created_at": 0}
            return all(_insert(windows.history, *one) for one in (("alerts", values | alert), ("notifications", told)))
    return False


def an_alarm_was_taken_back_after_days(windows: Judge) -> bool:
    for job in windows.history.jobs:
        seen, standing = windows.history.flips[job.index], windows.alarms.standing[job.index]
        for place, flip in enumerate(seen):
            if standing and flip.flip_no > standing and flip.step > windows.marks[0].step:
                seen[place] = replace(flip, retracts=standing)
                return True
    return False


def nobody_heard_what_was_sent_windows_ago(windows: Judge) -> bool:
    """An end in time, which got lost, in a window that is over when the alarm is raised."""
    history, first = windows.history, windows.marks[0]
    for job in history.jobs:
        for flip in history.flips[job.index]:
            sent_at = flip.real - job.timing.grace * 9 // 10
            over = [mark for mark in windows.marks if sent_at < mark.real and mark.step < flip.step]
            in_time = flip.at - job.timing.grace < history.machine.time.wall_of(sent_at) < flip.at
            by_clock = flip.reason == "missed" and job.config.kind != "period"
            if over and sent_at > first.real and in_time and by_clock:
                place = sum(_at(item) <= sent_at for item in job.history)
                job.history.insert(place, Sent(job.index, "success", sent_at))
                for mark in windows.marks:
                    mark.n_begun[job.index] += mark.real > sent_at
                return True
    return False


BEFORE_THE_END = [
    (nobody_was_alarmed, "missing: "),
    (somebody_was_alarmed_twice, "too many: "),
    (an_alarm_came_a_microsecond_early, "but it is "),
    (a_flip_was_lost, "does not follow on"),
    (a_notification_was_lost, "to 2 channels"),
    (an_incident_was_lost, "its flips say"),
    (each_digest_was_lost, "in no digest"),
    # across the edge of a window
    (an_incident_was_lost_between_its_flips, "its flips say"),
    (what_followed_was_lost, "missing: "),
    (an_alarm_was_taken_back_after_days, "was taken back long after"),
    (nobody_heard_what_was_sent_windows_ago, "FALSE ALARM"),
]
AT_THE_END = [(a_ping_was_lost, "rows and"), (somebody_was_told_again, "told of flips that are none")]
"""What adds up only there."""


def _at(item: Sent | Edict) -> int:
    return item.wall if isinstance(item, Edict) else item.at


def _write(history: History, statement: sa.Delete) -> bool:
    with history.engine.begin() as connection:
        return connection.execute(statement).rowcount > 0


def _insert(history: History, table: str, values: dict[str, object]) -> bool:
    with history.engine.begin() as connection:
        places = ", ".join(f":{name}" for name in values)
        connection.execute(sa.text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"), values)
    return True


def wrong_while_spoiled(spoil: Callable[[Judge], bool]) -> tuple[list[str], list[str]]:
    """What was found before the end, and then."""
    simulation = Simulation(PLAN)
    windows, is_spoiled = Judge(simulation.history), False

    def rest() -> None:
        nonlocal is_spoiled
        if windows.history.jobs[0].n_taken and not is_spoiled:
            is_spoiled = spoil(windows)
        windows.rest()

    simulation.at_rest = rest
    simulation.run()
    before = [wrong for wrong, _ in windows.told]
    wrong = conclude(windows).wrong
    simulation.history.engine.dispose()
    return before, wrong[len(before) :]


@pytest.mark.parametrize(("spoil", "words"), BEFORE_THE_END)
def test_whatever_is_spoiled_while_it_goes_on_is_found_before_the_end(
    spoil: Callable[[Judge], bool], words: str
) -> None:
    before, _ = wrong_while_spoiled(spoil)

    assert any(words in wrong for wrong in before), before


@pytest.mark.parametrize(("spoil", "words"), AT_THE_END)
def test_whatever_is_spoiled_while_it_goes_on_and_adds_up_at_the_end_is_found_there(
    spoil: Callable[[Judge], bool], words: str
) -> None:
    before, then = wrong_while_spoiled(spoil)

    assert [] == before
    assert any(words in wrong for wrong in then), then
