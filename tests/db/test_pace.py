"""Work that gives way: it rests beside who writes, hurries where nobody does, and ends when it is asked to."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from heartfly.db.copies import check, copy
from heartfly.db.pace import Pace
from heartfly.errors import StoreError
from tests.sim_clock import SimClock

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "heartfly.db-wal"
    path.write_bytes(b"")
    return path


def commit(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"page")


def work(clock: SimClock, milliseconds: float) -> None:
    clock.move_to(clock.now() + timedelta(milliseconds=milliseconds))


def test_beside_who_writes_it_rests_as_long_as_it_worked(clock: SimClock, log: Path) -> None:
    pace = Pace([log], clock)

    for _ in range(3):
        commit(log)
        work(clock, 10)
        pace.step()

    assert 0.030 == pytest.approx(clock.rested)


def test_where_nobody_writes_it_does_not_rest(clock: SimClock, log: Path) -> None:
    pace = Pace([log, log.with_name("usage.db-wal")], clock)

    for _ in range(3):
        work(clock, 10)
        pace.step()

    assert 0 == clock.rested


def test_who_writes_to_one_of_many_files_is_rested_for(clock: SimClock, log: Path) -> None:
    pace = Pace([log, log.with_name("usage.db-wal")], clock)

    commit(log.with_name("usage.db-wal"))
    work(clock, 10)
    pace.step()

    assert 0.010 == pytest.approx(clock.rested)


def test_who_writes_now_and_then_is_rested_for_in_between_too(clock: SimClock, log: Path) -> None:
    pace = Pace([log], clock)
    commit(log)

    for _ in range(150):  # 10 ms of work and 10 of rest: three seconds, had somebody gone on writing
        work(clock, 10)
        pace.step()

    assert 0.5 == pytest.approx(clock.rested, abs=0.05)


def test_it_does_not_rest_after_each_little_thing(clock: SimClock, log: Path) -> None:
    pace = Pace([log], clock)
    commit(log)
    rested = []

    for _ in range(5):
        work(clock, 1)
        pace.step()
        rested.append(clock.rested)

    assert [0, 0, 0] == rested[:3]
    assert 0.004 == pytest.approx(clock.rested, abs=0.001)


def test_a_disk_that_hung_is_not_waited_for_twice(clock: SimClock, log: Path) -> None:
    pace = Pace([log], clock)

    commit(log)
    work(clock, 60_000)
    pace.step()

    assert 1 == clock.rested


def filled(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE things (a TEXT)")
        connection.executemany("INSERT INTO things VALUES (?)", ((f"{n:>500}",) for n in range(20_000)))
        connection.commit()
    return path


def nobody(_done: int, _of: int) -> None:
    """Looks at the progress."""


def end() -> None:
    raise StoreError("Heartfly is stopping")


@pytest.mark.parametrize(
    "long_work",
    [check, lambda path, step: copy(path, path.with_name("copy.db"), progress=nobody, step=step)],
    ids=["check", "copy"],
)
def test_what_one_statement_does_for_long_ends_when_it_is_asked_to_and_says_why(
    tmp_path: Path, long_work: Callable[[Path, Callable[[], None]], object]
) -> None:
    with pytest.raises(StoreError, match=r"^Heartfly is stopping$"):
        long_work(filled(tmp_path / "some.db"), end)


def interrupted_now() -> None:
    """As it rests, which is half of the time."""
    signal.raise_signal(signal.SIGINT)


def interrupted_soon() -> None:
    """As SQLite computes."""
    signal.setitimer(signal.ITIMER_REAL, 0.000_1)


@pytest.mark.parametrize("step", [interrupted_now, interrupted_soon])
def test_who_interrupts_it_is_not_told_that_the_copy_cannot_be_read(tmp_path: Path, step: Callable[[], None]) -> None:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            check(filled(tmp_path / "some.db"), step)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_copy_is_brought_to_the_disk_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever commits beside it waits behind what is not there yet."""
    source, target = filled(tmp_path / "some.db"), tmp_path / "copy.db"
    sizes: list[int] = []
    monkeypatch.setattr("heartfly.db.copies.bring_to_disk", lambda _: sizes.append(target.stat().st_size))

    copy(source, target, progress=nobody, step=lambda: None)

    steps = [after - before for before, after in zip([0, *sizes], sizes, strict=False)]
    assert max(steps) <= 4 * 1024 * 1024
    assert len(steps) >= source.stat().st_size // (1024 * 1024)
    assert target.stat().st_size == sizes[-1]
