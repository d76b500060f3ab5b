"""Many callers, one transaction: what each of them is told, and when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typing_extensions import override

from heartfly.clock import SystemClock
from heartfly.db.changes import Changes, Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import FatalStoreError, GroupCommitter, Priority, WriteSession, each_alone
from heartfly.db.migrate import upgrade
from heartfly.db.models import instance
from heartfly.errors import AwayError, ConflictError, OverloadedError, StoreError

pytestmark = pytest.mark.anyio


def store(number: int) -> Callable[[Tx], int]:
    def command(tx: Tx) -> int:
        tx.conn.execute(sa.insert(instance).values(id=number, uuid="x", epoch=0))
        return number

    return command


async def stored(db: Database) -> list[int]:
    async with db.read() as read:
        return list((await read.execute(sa.select(instance.c.id).order_by(instance.c.id))).scalars())


class Gate:
    """A handler that waits in the writer thread until it is opened, so that others queue up behind it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, _tx: Tx, items: Sequence[Any]) -> list[Any]:
        self.entered.set()
        assert self.open.wait(60)
        return list(items)

    async def hold(self, db: Database, item: object = None) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(db.submit(self, item, priority=Priority.EDITS))
        await asyncio.to_thread(self.entered.wait, 20)
        return task


async def test_what_waits_during_a_commit_is_committed_together(db: Database) -> None:
    gate = Gate()
    sizes: list[int] = []

    def count(tx: Tx, items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return list(items)

    held = await gate.hold(db)
    others = [asyncio.ensure_future(db.submit(count, n, priority=Priority.EDITS)) for n in range(50)]
    await asyncio.sleep(0)  # noqa: TID251 - lets the tasks reach the queue; no time passes
    gate.open.set()

    assert list(range(50)) == await asyncio.gather(*others)
    assert [50] == sizes
    await held


async def test_an_event_loop_that_is_held_up_does_not_hold_up_the_writer(db: Database) -> None:
    first, second = Gate(), Gate()
    second.open.set()
    held = await first.hold(db)
    after = asyncio.ensure_future(db.submit(second, None, priority=Priority.EDITS))
    await asyncio.sleep(0)  # noqa: TID251 - lets the task reach the queue; no time passes
    first.open.set()

    assert second.entered.wait(60)  # blocks the loop: nobody of the first batch can have been told

    assert not held.done()
    await asyncio.gather(held, after)


async def test_a_result_is_told_after_its_commit(db: Database) -> None:
    assert 7 == await db.write(store(7))

    assert [7] == await stored(db)


async def test_a_refused_command_undoes_only_itself(db: Database) -> None:
    gate = Gate()

    def refused(tx: Tx) -> None:
        store(2)(tx)
        raise ConflictError("no")

    held = await gate.hold(db)
    tasks = [asyncio.ensure_future(db.write(c)) for c in (store(1), refused, store(3))]
    await asyncio.sleep(0)  # noqa: TID251 - lets the tasks reach the queue; no time passes
    gate.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await held

    assert [1, 3] == [r for r in results if isinstance(r, int)]
    assert isinstance(results[1], ConflictError)
    assert [1, 3] == await stored(db)


async def test_a_poisoned_command_fails_alone(db: Database) -> None:
    gate = Gate()
    held = await gate.hold(db)
    # The second insert of 1 breaks the primary key: an error of the database, not a refusal of ours.
    tasks = [asyncio.ensure_future(db.write(store(n))) for n in (1, 1, 2)]
    await asyncio.sleep(0)  # noqa: TID251 - lets the tasks reach the queue; no time passes
    gate.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await held

    assert 1 == results[0]
    assert isinstance(results[1], sa.exc.IntegrityError)
    assert 2 == results[2]
    assert [1, 2] == await stored(db)


async def test_pings_go_before_edits_and_edits_before_bulk(db: Database) -> None:
    gate = Gate()
    order: list[str] = []

    def note(tx: Tx, items: Sequence[str]) -> list[None]:
        order.extend(items)
        return [None] * len(items)

    lane = db._lanes[0]  # on PostgreSQL edits have a lane of their own; here one queue is meant
    held = asyncio.ensure_future(lane.submit(gate, None, priority=Priority.EDITS))
    await asyncio.to_thread(gate.entered.wait, 20)
    tasks = [
        asyncio.ensure_future(lane.submit(note, p.name, priority=p))
        for p in (Priority.BULK, Priority.EDITS, Priority.JUDGING, Priority.PINGS)
    ]
    await asyncio.sleep(0)  # noqa: TID251 - lets the tasks reach the queue; no time passes
    gate.open.set()
    await asyncio.gather(held, *tasks)

    assert ["PINGS", "JUDGING", "EDITS", "BULK"] == order


async def test_listeners_hear_of_changes_after_the_commit(db: Database) -> None:
    heard: list[Changes] = []
    db.listen(heard.append)

    def enqueue(tx: Tx) -> None:
        tx.changes.outbox = True

    await db.write(enqueue)
    await db.write(store(1))

    assert [Changes(outbox=True)] == heard


async def test_what_is_to_follow_a_commit_follows_no_other_end(db: Database) -> None:
    done: list[str] = []

    def both(tx: Tx, items: Sequence[str]) -> list[str]:
        tx.after.extend(lambda item=item: done.append(item) for item in items)  # type: ignore[misc]
        if "bad" in items:
            raise ConflictError("bad")
        return list(items)

    told = await asyncio.gather(
        *(db.submit(both, item, priority=Priority.EDITS) for item in ("good", "bad")), return_exceptions=True
    )

    assert ("good", ConflictError, ["good"]) == (told[0], type(told[1]), done)


# --- limits: a committer with a small queue and a short patience ---------------------------------------


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Callable[..., GroupCommitter]]:
    made: list[GroupCommitter] = []
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)

    def make(**limits: Any) -> GroupCommitter:
        committer = GroupCommitter(lambda: database._session(0), **{"clock": SystemClock(), **limits})
        committer.start()
        made.append(committer)
        return committer

    yield make
    for committer in made:
        await committer.stop()
    database.close()


async def test_a_full_queue_refuses_at_once(small: Callable[..., GroupCommitter]) -> None:
    gate = Gate()
    committer = small(capacity=1)
    first = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    second = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.sleep(0)  # noqa: TID251 - lets the task reach the queue; no time passes

    assert 1 == committer.n_queued
    with pytest.raises(OverloadedError):
        await committer.submit(gate, None, priority=Priority.PINGS)
    gate.open.set()
    await asyncio.gather(first, second)


@pytest.mark.parametrize("other", [Priority.JUDGING, Priority.EDITS, Priority.BULK])
async def test_a_queue_full_of_pings_refuses_no_beat_and_no_alert(
    small: Callable[..., GroupCommitter], other: Priority
) -> None:
    gate = Gate()
    committer = small(capacity=1)
    first = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    second = committer.enter(gate, "a ping", priority=Priority.PINGS)

    beat = committer.enter(gate, "a beat", priority=other)
    with pytest.raises(OverloadedError):
        committer.enter(gate, "another", priority=other)
    with pytest.raises(OverloadedError):
        committer.enter(gate, "another ping", priority=Priority.PINGS)
    gate.open.set()
    assert (None, "a ping", "a beat") == (await first, await second, await beat)


async def test_a_wait_ends_at_its_limit_and_what_still_queued_is_not_stored(
    small: Callable[..., GroupCommitter],
) -> None:
    gate = Gate()
    ran: list[int] = []

    def note(tx: Tx, items: Sequence[int]) -> list[int]:
        ran.extend(items)
        return list(items)

    committer = small(timeout_s=0.1)
    under_way = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    queued = asyncio.ensure_future(committer.submit(note, 1, priority=Priority.PINGS))
    results = await asyncio.gather(under_way, queued, return_exceptions=True)
    gate.open.set()
    later = committer.submit(note, 2, priority=Priority.PINGS)

    # Of the first nobody knows what becomes of it; the other one is not stored, and may be kept elsewhere.
    assert [OverloadedError, AwayError] == [type(result) for result in results]
    assert 2 == await later
    assert [2] == ran


async def test_the_limit_is_watched_for_each_wait(small: Callable[..., GroupCommitter]) -> None:
    committer = small(timeout_s=0.2)
    assert [1] == [await committer.submit(lambda _tx, items: items, 1, priority=Priority.PINGS)]
    gate = Gate()
    first = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)

    with pytest.raises(OverloadedError):
        await first
    second = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    with pytest.raises(OverloadedError):
        await second
    gate.open.set()


async def test_stopping_commits_what_is_queued_and_takes_no_more(small: Callable[..., GroupCommitter]) -> None:
    gate = Gate()
    committer = small()
    first = asyncio.ensure_future(committer.submit(gate, 1, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    second = asyncio.ensure_future(committer.submit(gate, 2, priority=Priority.PINGS))
    await asyncio.sleep(0)  # noqa: TID251 - lets the task reach the queue; no time passes
    stopping = asyncio.ensure_future(committer.stop())
    await asyncio.sleep(0)  # noqa: TID251 - lets the stop begin
    gate.open.set()

    assert [1, 2] == [await first, await second]
    await stopping
    with pytest.raises(OverloadedError):
        await committer.submit(gate, 3, priority=Priority.PINGS)


async def test_a_handler_that_forgets_an_item_stores_nothing(small: Callable[..., GroupCommitter]) -> None:
    committer = small()

    with pytest.raises(RuntimeError, match="1 items were applied, but 0 answers"):
        await committer.submit(lambda _tx, _items: [], 1, priority=Priority.PINGS)


class Stumbling(SystemClock):
    """Fails once in the writer's own thread: a fault that no item and no database is to blame for."""

    stumbles = 1

    @override
    def monotonic(self) -> float:
        if threading.current_thread().name == "heartfly-writer" and self.stumbles:
            self.stumbles -= 1
            raise RuntimeError("stumbled")
        return super().monotonic()


async def test_the_writer_outlives_a_fault_of_our_own(small: Callable[..., GroupCommitter]) -> None:
    clock = Stumbling()
    committer = small(clock=clock)

    assert 2 == await committer.submit(lambda _tx, items: items, 2, priority=Priority.PINGS)
    assert 0 == clock.stumbles


async def test_a_caller_who_went_away_is_passed_over(small: Callable[..., GroupCommitter]) -> None:
    gate = Gate()
    ran: list[int] = []

    def note(tx: Tx, items: Sequence[int]) -> list[int]:
        ran.extend(items)
        return list(items)

    committer = small()
    first = asyncio.ensure_future(committer.submit(gate, 1, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    gone = asyncio.ensure_future(committer.submit(note, 2, priority=Priority.PINGS))
    await asyncio.sleep(0)  # noqa: TID251 - lets the task reach the queue; no time passes
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    gate.open.set()
    await first
    assert 3 == await committer.submit(note, 3, priority=Priority.PINGS)

    assert [3] == ran


async def test_a_store_that_cannot_be_trusted_ends_everything(small: Callable[..., GroupCommitter]) -> None:
    fatal: list[StoreError] = []
    gate = Gate()

    def corrupt(tx: Tx, items: Sequence[object]) -> list[object]:
        gate(tx, items)
        raise FatalStoreError("the flush failed")

    committer = small(on_fatal=fatal.append)
    first = asyncio.ensure_future(committer.submit(corrupt, None, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    second = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.sleep(0)  # noqa: TID251 - lets the task reach the queue; no time passes
    gate.open.set()
    results = await asyncio.gather(first, second, return_exceptions=True)

    assert [FatalStoreError, FatalStoreError] == [type(result) for result in results]
    assert 1 == len(fatal)
    with pytest.raises(FatalStoreError):
        await committer.submit(gate, None, priority=Priority.PINGS)


async def test_a_fatal_error_found_while_items_are_tried_alone_is_fatal(small: Callable[..., GroupCommitter]) -> None:
    gate = Gate()
    calls: list[int] = []

    def later_corrupt(tx: Tx, items: Sequence[object]) -> list[object]:
        calls.append(len(items))
        if len(items) > 1:
            raise ValueError("the batch is poisoned")
        raise FatalStoreError("the flush failed")

    committer = small()
    held = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    tasks = [asyncio.ensure_future(committer.submit(later_corrupt, n, priority=Priority.PINGS)) for n in (1, 2)]
    await asyncio.sleep(0)  # noqa: TID251 - lets the tasks reach the queue; no time passes
    gate.open.set()
    results = await asyncio.gather(held, *tasks, return_exceptions=True)

    assert [FatalStoreError, FatalStoreError] == [type(result) for result in results[1:]]
    assert [2, 1] == calls


async def test_each_alone_keeps_the_order_of_its_commands(db: Database) -> None:
    results = await db.submit(
        lambda tx, items: [each_alone(tx, items[0])], [store(1), store(2)], priority=Priority.EDITS
    )

    assert [1, 2] == results


async def test_however_many_pings_wait_the_judge_is_taken_along(small: Callable[..., GroupCommitter]) -> None:
    gate = Gate()
    order: list[str] = []

    def note(_tx: Tx, items: Sequence[str]) -> list[None]:
        order.extend(items)
        return [None] * len(items)

    committer = small(max_batch=2)
    held = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.EDITS))
    await asyncio.to_thread(gate.entered.wait, 20)
    waits = [(f"ping {n}", Priority.PINGS) for n in range(4)] + [("beat", Priority.JUDGING)]
    tasks = [asyncio.ensure_future(committer.submit(note, item, priority=p)) for item, p in waits]
    await asyncio.sleep(0)  # noqa: TID251 - lets the tasks reach the queue; no time passes
    gate.open.set()
    await asyncio.gather(held, *tasks)

    assert ["ping 0", "ping 1", "beat", "ping 2", "ping 3"] == order


async def test_who_was_told_not_stored_finds_nothing_stored(small: Callable[..., GroupCommitter]) -> None:
    gate, poisoned = Gate(), Gate()
    stored_alone: list[int] = []

    def poison(tx: Tx, items: Sequence[int]) -> list[int]:
        if len(items) > 1:
            poisoned(tx, items)
            raise ValueError("the batch is poisoned")
        stored_alone.extend(items)
        return list(items)

    committer = small(timeout_s=0.5)
    held = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    tasks = [asyncio.ensure_future(committer.submit(poison, n, priority=Priority.PINGS)) for n in (1, 2)]
    await asyncio.sleep(0)  # noqa: TID251 - lets the tasks reach the queue; no time passes
    gate.open.set()
    results = await asyncio.gather(held, *tasks, return_exceptions=True)
    poisoned.open.set()

    assert [OverloadedError, OverloadedError] == [type(result) for result in results[1:]]
    assert 3 == await committer.submit(poison, 3, priority=Priority.PINGS)
    assert [3] == stored_alone


async def test_one_that_was_never_started_can_be_stopped() -> None:
    def never() -> WriteSession:
        raise AssertionError("nothing is written")

    await GroupCommitter(never, clock=SystemClock()).stop()


async def test_who_left_is_not_told_when_the_one_before_him_has_waited_too_long(
    small: Callable[..., GroupCommitter],
) -> None:
    gate = Gate()
    committer = small(timeout_s=0.2)
    waits = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    left = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.sleep(0)  # noqa: TID251 - lets the task reach the queue; no time passes
    left.cancel()
    results = await asyncio.gather(waits, left, return_exceptions=True)
    gate.open.set()

    assert [OverloadedError, asyncio.CancelledError] == [type(result) for result in results]


async def test_each_batch_is_told_with_its_size_and_time(tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []
    database = Database(
        url="", data_dir=tmp_path, clock=SystemClock(), on_batch=lambda n, took_s: told.append((n, took_s))
    )
    upgrade(database.engine)
    begun = SystemClock().monotonic()
    database.start()
    gate = Gate()
    held = await gate.hold(database)
    others = [asyncio.ensure_future(database.write(store(n))) for n in range(3)]
    await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, so that they are queued

    assert 3 == database.n_queued
    gate.open.set()
    await asyncio.gather(held, *others)
    await database.stop()

    assert [1, 3] == [n for n, _ in told]
    assert all(took_s > 0 for _, took_s in told)
    assert sum(took_s for _, took_s in told) <= SystemClock().monotonic() - begun


async def test_a_writer_that_hangs_can_be_seen(db: Database) -> None:
    assert 0.0 == db.stuck_s
    gate = Gate()
    held = await gate.hold(db)

    assert db.stuck_s > 0
    gate.open.set()
    await held
    await db.write(store(1))  # the batch before has ended by now
    assert db.refused_s is None


async def test_a_refusal_is_remembered(small: Callable[..., GroupCommitter]) -> None:
    gate = Gate()
    committer = small(capacity=1)
    before = committer.refused_s
    first = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.to_thread(gate.entered.wait, 20)
    second = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.PINGS))
    await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, so that it is queued

    with pytest.raises(OverloadedError):
        await committer.submit(gate, None, priority=Priority.PINGS)
    gate.open.set()
    await asyncio.gather(first, second)

    assert before is None
    assert 20 > (committer.refused_s or 99)


async def test_what_a_command_refuses_by_its_own_rules_is_no_refusal_of_the_database(db: Database) -> None:
    def refuses(_: Tx) -> None:
        raise ConflictError("there is one already")

    with pytest.raises(ConflictError):
        await db.write(refuses)

    assert db.refused_s is None


class Away(WriteSession):
    """A database that is not there."""

    @override
    def attempt(self, work: Callable[[Tx], Any]) -> Any:
        raise ConnectionResetError

    @override
    def explain(self, error: Exception) -> StoreError | OverloadedError | None:
        return OverloadedError("the database is away; nothing was stored")

    @override
    def tidy(self) -> None:
        """There is nothing to do."""

    @override
    def close(self) -> None:
        """There is nothing to close."""


async def test_a_batch_that_the_database_refused_is_remembered() -> None:
    committer = GroupCommitter(Away, clock=SystemClock())
    committer.start()

    with pytest.raises(OverloadedError, match="away"):
        await committer.submit(each_alone, store(1), priority=Priority.EDITS)

    assert 20 > (committer.refused_s or 99)
    await committer.stop()


async def test_what_nobody_waits_for_is_done_after_each_batch() -> None:
    tidied = threading.Event()

    class Tidy(Away):
        @override
        def tidy(self) -> None:
            tidied.set()

    committer = GroupCommitter(Tidy, clock=SystemClock())
    committer.start()

    with pytest.raises(OverloadedError):
        await committer.submit(each_alone, store(1), priority=Priority.EDITS)

    assert await asyncio.to_thread(tidied.wait, 20)
    await committer.stop()


async def test_a_database_that_could_not_be_opened_is_opened_for_the_next_batch() -> None:
    tries: Iterator[WriteSession | Exception] = iter([OverloadedError("the database is away"), Away()])

    def opened() -> WriteSession:
        found = next(tries)
        if isinstance(found, Exception):
            raise found
        return found

    committer = GroupCommitter(opened, clock=SystemClock())
    committer.start()
    results = [
        await asyncio.gather(committer.submit(each_alone, store(1), priority=Priority.EDITS), return_exceptions=True)
        for _ in range(2)
    ]

    assert [["the database is away"], ["the database is away; nothing was stored"]] == [
        [str(one) for one in some] for some in results
    ]
    await committer.stop()


@pytest.fixture
async def apart(tmp_path: Path) -> AsyncIterator[tuple[GroupCommitter, list[int]]]:
    """A committer beside others, and how many transactions it has begun."""
    begun: list[int] = []

    class Session:
        def attempt(self, work: Callable[[Tx], Any]) -> Any:
            begun.append(1)
            connection = engine.connect()
            with connection, connection.begin():
                return work(Tx(connection))

        def explain(self, _error: Exception) -> None:
            return None

        def tidy(self) -> None: ...

        def close(self) -> None: ...

    engine = sa.create_engine(f"sqlite:///{tmp_path}/apart.db")
    committer = GroupCommitter(Session, clock=SystemClock(), apart=True)
    committer.start()
    yield committer, begun
    await committer.stop()
    engine.dispose()


async def test_beside_other_writers_each_command_commits_alone_and_a_handlers_items_together(
    apart: tuple[GroupCommitter, list[int]],
) -> None:
    committer, begun = apart
    gate, sizes = Gate(), list[int]()

    def count(_tx: Tx, items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return list(items)

    held = asyncio.ensure_future(committer.submit(gate, None, priority=Priority.EDITS))
    await asyncio.to_thread(gate.entered.wait, 20)
    pings = [asyncio.ensure_future(committer.submit(count, n, priority=Priority.PINGS)) for n in range(3)]
    edits = [
        asyncio.ensure_future(committer.submit(each_alone, lambda _tx, n=n: n, priority=Priority.EDITS))
        for n in range(3)
    ]
    await asyncio.sleep(0)  # noqa: TID251 - lets the tasks reach the queue; no time passes
    gate.open.set()
    await held

    assert [0, 1, 2, 0, 1, 2] == await asyncio.gather(*pings, *edits)
    assert ([3], 1 + 1 + 3) == (sizes, len(begun))


async def test_beside_other_writers_what_nobody_waits_for_any_more_is_not_stored(
    apart: tuple[GroupCommitter, list[int]],
) -> None:
    committer, begun = apart
    first, second = Gate(), Gate()
    done: list[int] = []
    held = asyncio.ensure_future(committer.submit(first, None, priority=Priority.EDITS))
    await asyncio.to_thread(first.entered.wait, 20)
    slow = asyncio.ensure_future(committer.submit(second, None, priority=Priority.PINGS))
    left = asyncio.ensure_future(committer.submit(each_alone, lambda _tx: done.append(1), priority=Priority.EDITS))
    await asyncio.sleep(0)  # noqa: TID251 - lets the tasks reach the queue; no time passes
    first.open.set()
    await asyncio.to_thread(second.entered.wait, 20)
    left.cancel()
    await asyncio.wait([left])
    second.open.set()
    await asyncio.gather(held, slow)

    assert ([], 2) == (done, len(begun))
