"""Pings while PostgreSQL is away: kept on the node's disk, and brought back in order, with their times, once."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heartfly.clock import SystemClock
from heartfly.config import load
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import AwayError, OverloadedError
from heartfly.pings.apply import PingApplier
from heartfly.pings.ingest import Ingest
from heartfly.pings.known import KnownAddresses
from heartfly.pings.rate import RateLimiter
from heartfly.pings.replay import TOO_OLD, Replay
from heartfly.pings.request import BySlug, ByUuid, PingOutcome, PingRequest, Target
from heartfly.pings.spool import Spool
from heartfly.pings.spool_file import SpoolFile
from tests.wire import Wire
from tests.world import KEEP, World, make_world

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

CLOCK = SystemClock()
SECOND = timedelta(seconds=1)
INSTANCE = "this one"
NOBODYS = ByUuid("c0ffee00-dead-4bee-8fed-0123456789ab")


@dataclass
class Node:
    """What of a node hears pings, over a wire to its database that can be cut."""

    world: World
    wire: Wire
    folder: Path
    max_bytes: int = 1_000_000
    counted: list[tuple[str, int]] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, *, node_id: int) -> None:
        """A life."""
        applier = PingApplier(ids=IdSource(1), node_id=node_id, rate=RateLimiter(per_minute=10**6), keep=KEEP)
        self.spool = Spool(
            self.folder, node_id=node_id, max_bytes=self.max_bytes, known=KnownAddresses(most=100),
            count=lambda what, n: self.counted.append((what, n)),
        )  # fmt: skip
        self.ingest = Ingest(self.world.db, applier, CLOCK, spool=self.spool)
        self.replay = Replay(self.spool, self.world.db, applier, CLOCK)

    async def another_life(self) -> None:
        """The one before it is over; what it left lies there."""
        await self.spool.close()
        self.begin(node_id=secrets.randbelow(1 << 40))
        await self.spool.open(instance=INSTANCE)

    def request(self, target: Target, kind: PingKind = PingKind.SUCCESS, **rest: Any) -> PingRequest:
        seq, received_at = self.ingest.arrived(target)
        self.ingest.gone(seq)
        return PingRequest(target=target, kind=kind, received_at=received_at, seq=seq, **rest)

    async def ping(self, target: Target, kind: PingKind = PingKind.SUCCESS, **rest: Any) -> PingRequest:
        request = self.request(target, kind, **rest)
        self.last = await self.ingest.submit(request)
        return request

    def outcome(self) -> PingOutcome:
        """Of the last ping."""
        return self.last.outcome

    async def goes_away(self) -> None:
        self.wire.close()
        await self.wire.cut()

    async def comes_back(self) -> None:
        await self.wire.reopen()

    def files(self) -> list[Path]:
        return sorted((self.folder / "spool").iterdir())


@pytest.fixture
async def node(postgres_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    async with Wire(postgres_url, tmp_path) as wire:
        node_id = secrets.randbelow(1 << 40)
        database = Database(url=wire.url, data_dir=tmp_path / "data", clock=CLOCK, node_id=node_id)
        database.start()
        world = await make_world(database, IdSource(1), CLOCK.now())
        found = Node(world, wire, tmp_path)
        found.begin(node_id=node_id)
        await found.spool.open(instance=INSTANCE)
        yield found
        await found.spool.close()
        await database.stop()


async def made(node: Node, **config: Any) -> tuple[Any, ByUuid]:
    """A check that was pinged once."""
    check = await node.world.check(CLOCK.now(), **config)
    target = ByUuid(check.ping_uuid)
    await node.ping(target)
    assert PingOutcome.OK is node.outcome()
    return check, target


async def heard(node: Node, check: Any) -> list[tuple[int, datetime, str]]:
    return [(ping.seq, ping.received_at, ping.kind) for ping in await node.world.pings_of(check)]


def told(*requests: PingRequest) -> list[tuple[int, datetime, str]]:
    return [(one.seq, one.received_at, one.kind.value) for one in requests]


async def test_a_known_check_is_heard_without_the_database_and_replayed_as_it_was(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    start = await node.ping(target, PingKind.START, body=b"hello", body_size=5)
    fail = await node.ping(target, PingKind.FAIL)
    assert PingOutcome.SPOOLED is node.outcome()
    backlog = node.ingest.backlog()
    assert backlog is not None
    assert (2, start.received_at) == (backlog.n, backlog.oldest_at)

    await node.comes_back()
    await node.replay.drain(node.stop)

    assert told(start, fail) == (await heard(node, check))[1:]
    flip = (await node.world.flips(check))[-1]
    assert ("down", fail.received_at) == (flip.to_status, flip.at)
    assert flip.decided_at > fail.received_at  # by then it was told
    assert node.ingest.backlog() is None
    assert [("spooled", 1), ("spooled", 1), ("replayed", 2)] == node.counted
    after = await node.ping(target)
    assert PingOutcome.OK is node.outcome()
    assert told(after) == (await heard(node, check))[3:]


async def test_whom_the_node_does_not_know_or_who_would_make_a_check_it_refuses(node: Node) -> None:
    await made(node, name="job", slug="job")
    slug = node.world.by_slug("job")
    await node.ping(slug)
    await node.goes_away()

    for target in (NOBODYS, node.world.by_slug("job", create=True), node.world.by_slug("new", create=True)):
        with pytest.raises(AwayError):
            await node.ping(target)
        assert node.ingest.backlog() is None
    await node.ping(slug)
    assert PingOutcome.SPOOLED is node.outcome()
    with pytest.raises(AwayError):
        await node.ping(NOBODYS)


async def test_while_others_lie_there_a_new_ping_goes_behind_them(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    first = await node.ping(target)
    await node.comes_back()

    second = await node.ping(target)
    assert PingOutcome.SPOOLED is node.outcome()
    _, other = await made(node)  # unknown as yet: it waits for nobody
    await node.replay.drain(node.stop)

    assert told(first, second) == (await heard(node, check))[1:]
    await node.ping(other)
    assert PingOutcome.OK is node.outcome()


async def test_who_comes_while_the_last_are_handed_over_stands_behind_them(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    sent = [await node.ping(target) for _ in range(3)]
    await node.comes_back()
    draining = asyncio.ensure_future(node.replay.drain(node.stop))
    while not draining.done():
        sent.append(await node.ping(target))
    await draining

    found = (await heard(node, check))[1:]
    assert told(*sent) == sorted(found)
    assert found == sorted(found)


async def test_more_than_a_piece_comes_back_in_order(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    first = await node.ping(target)
    sent = [node.request(target) for _ in range(1_200)]
    await asyncio.gather(*(node.ingest.submit(request) for request in sent))
    await node.comes_back()

    await node.replay.drain(node.stop)

    newest = told(first, *sent)[-KEEP.pings :]
    assert newest == (await heard(node, check))[-KEEP.pings :]
    assert 1_202 == (await node.world.row(check)).n_pings
    assert ("replayed", 1_201) == ("replayed", sum(n for what, n in node.counted if what == "replayed"))


async def test_a_few_large_ones_come_back_in_pieces_too(node: Node) -> None:
    """What is in memory at a time is bounded in bytes as well, also when the door is shut for the last of them."""
    check, target = await made(node)
    node.spool._max_bytes = 10_000_000
    await node.goes_away()
    sent = [node.request(target, body=bytes(100_000)) for _ in range(25)]
    for request in sent:
        await node.ingest.submit(request)
    await node.comes_back()

    await node.replay.drain(node.stop)

    assert told(*sent) == (await heard(node, check))[1:]
    assert max(n for what, n in node.counted if what == "replayed") <= 10


async def test_what_is_oldest_moves_on_with_the_replay(node: Node) -> None:
    """Deadlines wait for what is not in the database, and for nothing else."""
    _, target = await made(node)
    await node.goes_away()
    first = await node.ping(target)
    sent = [node.request(target, body=bytes(300)) for _ in range(700)]  # of which a piece holds some hundreds
    await asyncio.gather(*(node.ingest.submit(request) for request in sent))
    await node.comes_back()
    before = node.ingest.backlog()

    await node.replay._piece(node.spool.own)

    after = node.ingest.backlog()
    assert before is not None
    assert after is not None
    assert (701, first.received_at) == (before.n, before.oldest_at)
    n = before.n - after.n
    assert 100 < n < 600
    assert sent[n - 1 - 100].received_at < after.oldest_at <= sent[n - 1].received_at


async def test_a_full_spool_refuses_and_has_room_again_when_it_was_replayed(node: Node) -> None:
    check, target = await made(node)
    node.spool._max_bytes = 1_000
    await node.goes_away()
    sent = [await node.ping(target), await node.ping(target)]

    async def until_refused() -> None:
        while len(sent) < 20:
            sent.append(await node.ping(target))

    with pytest.raises(OverloadedError):
        await until_refused()
    backlog = node.ingest.backlog()
    assert backlog is not None
    assert (len(sent), True) == (backlog.n, backlog.n_bytes <= 1_000)
    await node.comes_back()

    straight = await node.ping(target)  # there is no room, but a database
    assert PingOutcome.OK is node.outcome()
    await node.replay.drain(node.stop)
    assert sorted(told(*sent, straight)) == sorted((await heard(node, check))[1:])
    await node.goes_away()
    await node.ping(target)
    assert PingOutcome.SPOOLED is node.outcome()
    await node.comes_back()


async def test_a_disk_that_takes_nothing_refuses(node: Node) -> None:
    _, target = await made(node)
    await node.goes_away()
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, node.spool.own.file._file)
    os.close(full)

    with pytest.raises(OverloadedError, match="cannot be written"):
        await node.ping(target)

    assert node.ingest.backlog() is None
    assert node.spool.own.oldest_at is None
    await node.comes_back()
    await node.replay.drain(node.stop)  # nothing lies there: the door is open again
    await node.ping(target)
    assert PingOutcome.OK is node.outcome()


async def test_what_an_earlier_life_left_is_taken_over_and_goes_first(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    left = [await node.ping(target) for _ in range(3)]
    await node.comes_back()
    await node.another_life()
    await node.spool.known.read(node.world.db)

    new = await node.ping(target)
    assert PingOutcome.SPOOLED is node.outcome()
    backlog = node.ingest.backlog()
    assert backlog is not None
    assert (4, left[0].received_at) == (backlog.n, backlog.oldest_at)
    await node.replay.drain(node.stop)

    assert told(*left, new) == (await heard(node, check))[1:]
    assert [node.spool.own.file.path] == node.files()


async def test_a_crash_between_the_commit_and_the_end_of_the_file_doubles_nothing(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    await node.ping(target)
    await node.ping(target)
    path = node.spool.own.file.path
    shutil.copy(path, node.folder / "copy")
    await node.comes_back()
    await node.replay.drain(node.stop)
    before = await heard(node, check)

    await node.another_life()
    shutil.copy(node.folder / "copy", path)
    await node.spool.take_over()
    await node.replay.drain(node.stop)

    assert 3 == len(before)
    assert before == await heard(node, check)
    assert not path.exists()


@pytest.mark.parametrize(("lost", "n_stored"), [("lose_answer", 1), ("lose_request", 0)])
async def test_a_ping_whose_commit_was_not_answered_is_there_once(node: Node, lost: str, n_stored: int) -> None:
    check, target = await made(node)
    setattr(node.wire, lost, True)
    node.wire.close()

    request = await node.ping(target)
    assert PingOutcome.SPOOLED is node.outcome()
    await node.comes_back()
    await drained(node)

    assert told(request) == (await heard(node, check))[1:]
    assert (n_stored, 1 - n_stored) == tuple(sum(n for what, n in node.counted if what == one)
                                             for one in ("stored", "replayed"))  # fmt: skip


async def drained(node: Node) -> None:
    """As soon as the server has noticed whom it lost."""
    async with asyncio.timeout(60):
        while node.ingest.backlog() is not None:
            try:
                await node.replay.drain(node.stop)
            except OverloadedError:
                continue


async def test_what_the_database_does_not_take_is_set_aside_and_holds_up_nobody(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    before, _, after = [await node.ping(target, agent=agent) for agent in ("a", "no text: \0", "b")]
    await node.comes_back()

    await node.replay.drain(node.stop)

    assert told(before, after) == (await heard(node, check))[1:]
    assert {("refused", 1), ("replayed", 2)} <= set(node.counted)
    (aside,) = [path for path in node.files() if path.suffix == ".refused"]
    file = SpoolFile.look(aside)
    assert ["no text: \0"] == [one.request.agent for piece in file.pieces() for one in piece.records]
    file.close()


async def test_what_was_set_aside_stays_while_somebody_looks_into_it(node: Node) -> None:
    _, target = await made(node)
    await node.goes_away()
    await node.ping(target, agent="first: \0")
    await node.comes_back()
    await node.replay.drain(node.stop)
    (aside,) = [path for path in node.files() if path.suffix == ".refused"]
    await node.goes_away()
    await node.ping(target, agent="second: \0")
    await node.comes_back()

    with aside.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        with pytest.raises(BlockingIOError):
            await node.replay.drain(node.stop)
    await node.replay.drain(node.stop)

    file = SpoolFile.look(aside)
    assert ["first: \0", "second: \0"] == [one.request.agent for piece in file.pieces() for one in piece.records]
    file.close()


async def test_what_was_set_aside_and_cannot_be_read_holds_up_nobody_and_stays_as_it_is(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    _, after = [await node.ping(target, agent=agent) for agent in ("no text: \0", "b")]
    broken = node.spool.own.file.path.with_suffix(".refused")
    broken.write_bytes(b"nothing of the kind")
    await node.comes_back()

    await node.replay.drain(node.stop)

    assert told(after) == (await heard(node, check))[1:]
    assert b"nothing of the kind" == broken.read_bytes()
    file = SpoolFile.look(broken.with_name(f"{broken.stem}-2.refused"))
    assert ["no text: \0"] == [one.request.agent for piece in file.pieces() for one in piece.records]
    file.close()


async def test_what_comes_back_after_its_numbers_were_forgotten_is_set_aside_and_not_doubled(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    for n in range(3):
        request = node.request(target)
        await node.ingest.submit(
            msgspec.structs.replace(request, received_at=request.received_at - TOO_OLD - (1 - n) * SECOND)
        )
    own = node.spool.own.file.path
    await node.comes_back()

    await node.replay.drain(node.stop)

    assert 2 == len(await heard(node, check))
    assert [("refused", 2), ("replayed", 1)] == sorted(node.counted[-2:])
    file = SpoolFile.look(own.with_suffix(".refused"))
    assert 2 == sum(len(piece.records) for piece in file.pieces())
    file.close()


async def test_of_a_life_that_nobody_knows_any_more_all_is_set_aside_at_once(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    for _ in range(3):
        request = node.request(target)
        await node.ingest.submit(msgspec.structs.replace(request, received_at=request.received_at - 2 * TOO_OLD))
    await node.comes_back()

    await node.replay.drain(node.stop)

    assert 1 == len(await heard(node, check))
    assert ("refused", 3) == node.counted[-1]
    assert node.ingest.backlog() is None


async def test_of_a_file_that_is_damaged_what_came_meanwhile_is_not_given_up(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    await node.ping(target)
    await asyncio.gather(*(node.ingest.submit(node.request(target)) for _ in range(600)))
    own = node.spool.own
    with own.file.path.open("r+b") as file:
        file.seek(own.file.begin)
        file.write(bytes(own.file.size - own.file.begin))
    await node.comes_back()

    damaged = await node.spool.read(own, own.at)  # before anything stands behind it that could be read
    piece = asyncio.ensure_future(node.replay._piece(own, damaged))
    sent: list[PingRequest] = []
    while not piece.done() and len(sent) < KEEP.pings // 2:  # of more, the check would not keep all
        sent.append(await node.ping(target))
    await piece
    backlog = node.ingest.backlog()
    await node.replay.drain(node.stop)

    assert backlog is not None
    assert len(sent) == backlog.n
    assert told(*sent) == (await heard(node, check))[1:]
    assert node.ingest.backlog() is None


async def test_pings_of_a_check_that_was_deleted_meanwhile_come_to_nothing(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    request = node.request(target)
    await node.ingest.submit(request)
    gone = node.request(NOBODYS)
    await node.spool.add(gone, None)
    await node.comes_back()

    await node.replay.drain(node.stop)

    assert told(request) == (await heard(node, check))[1:]
    assert ("unknown", 1) in node.counted


async def test_a_clock_that_was_set_back_since_makes_nothing_of_what_comes_now_older_than_that(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    ahead = node.request(target)
    await node.ingest.submit(msgspec.structs.replace(ahead, received_at=ahead.received_at + timedelta(hours=1)))
    await node.comes_back()
    await node.another_life()
    await node.replay.drain(node.stop)

    await node.ping(target, PingKind.FAIL)

    row = await node.world.row(check)
    assert ("down", 3) == (row.status, row.n_pings)
    assert row.last_end_at <= CLOCK.now()


async def test_a_spool_of_another_database_is_left_alone(node: Node) -> None:
    _, target = await made(node)
    await node.goes_away()
    await node.ping(target)
    path = node.spool.own.file.path
    await node.spool.close()
    await node.comes_back()

    node.begin(node_id=5)
    await node.spool.open(instance="another one")

    assert node.ingest.backlog() is None
    assert path in node.files()


async def test_a_file_that_cannot_be_read_keeps_nobody_from_starting(node: Node) -> None:
    broken = node.folder / "spool" / "00.spool"
    broken.write_bytes(b"nothing of the kind")

    await node.another_life()

    assert node.ingest.backlog() is None
    assert broken.exists()


async def test_it_comes_back_by_itself(node: Node) -> None:
    check, target = await made(node)
    running = asyncio.ensure_future(node.replay.run(node.stop))
    await node.goes_away()
    request = await node.ping(target)
    await node.comes_back()
    async with asyncio.timeout(60):
        while node.ingest.backlog() is not None:  # noqa: ASYNC110 - what it waits for is what is tested
            await asyncio.sleep(0.01)  # noqa: TID251 - bounded above
    node.stop.set()
    await running

    assert told(request) == (await heard(node, check))[1:]


async def test_who_goes_before_he_is_answered_is_heard_all_the_same(node: Node) -> None:
    check, target = await made(node)
    await node.goes_away()
    first = await node.ping(target)
    request = node.request(target)
    asked = asyncio.ensure_future(node.ingest.submit(request))
    await asyncio.sleep(0)  # noqa: TID251 - lets it reach the spool; no time passes
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await node.comes_back()

    await node.replay.drain(node.stop)

    assert told(first, request) == (await heard(node, check))[1:]


async def test_a_node_knows_what_the_database_holds_and_what_was_called(node: Node) -> None:
    check, target = await made(node)
    await node.world.check(CLOCK.now(), name="twice", slug="twice")
    other = await node.world.check(CLOCK.now(), name="other", slug="other")
    known = node.spool.known
    assert (True, False) == (target in known, node.world.by_slug("other") in known)

    await known.read(node.world.db)

    assert node.world.by_slug("other") in known
    assert ByUuid(other.ping_uuid) in known
    assert BySlug("another key", "other") not in known
    assert (True, False) == (ByUuid(check.ping_uuid) in known, NOBODYS in known)


async def test_while_the_database_is_away_what_was_learned_stays(node: Node) -> None:
    _, target = await made(node)
    await node.goes_away()

    assert not await node.spool.known.could_read(node.world.db)

    assert target in node.spool.known
    await node.comes_back()
    assert await node.spool.known.could_read(node.world.db)


@pytest.mark.parametrize(("sqlite", "max_bytes"), [(True, 1_000), (False, 0)])
async def test_with_sqlite_or_without_room_there_is_none(
    tmp_path: Path, postgres_url: str, max_bytes: int, *, sqlite: bool
) -> None:
    settings = load(None, {"HEARTFLY_DATA__DIR": str(tmp_path), "HEARTFLY_SPOOL__MAX_BYTES": str(max_bytes)})
    database = Database(url="" if sqlite else postgres_url, data_dir=tmp_path, clock=CLOCK)
    spool = Spool.of(settings, database, count=lambda *_, **__: None)
    applier = PingApplier(ids=IdSource(1), node_id=1, rate=RateLimiter(per_minute=1), keep=KEEP)
    replay, stop = Replay(spool, database, applier, CLOCK), asyncio.Event()

    await replay.open()
    running = asyncio.ensure_future(replay.run(stop))
    stop.set()
    await running
    await replay.close()

    assert spool is None
    assert not (tmp_path / "spool").exists()
    database.close()


async def test_a_service_that_is_stopped_ends_also_while_the_database_is_away(node: Node) -> None:
    _, target = await made(node)
    running = asyncio.ensure_future(node.replay.run(node.stop))
    await node.goes_away()
    await node.ping(target)

    node.stop.set()
    await running

    await node.replay.close()
    assert 1 == len(node.files())
    await node.comes_back()
    node.begin(node_id=6)
    await node.spool.open(instance=INSTANCE)
    assert node.ingest.backlog() is not None
