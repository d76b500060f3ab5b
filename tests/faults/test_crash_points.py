"""The server is killed at each system call that matters, one after another, while a short story goes on; then audited.

The story: a run that goes well and one that hangs, a job that fails and gets well, one that falls silent, and a webhook
for each flip. Whoever heard no 2xx says it again; who finds the server dead starts it on what is left. In the end all
six promises of auditor.py are held. HEARTFLY_CRASH_POINTS says how many points are drawn; `every` takes the first of
each kind, the second, and so on, until a story goes through: so there is none that was left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import time
import urllib.error
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count, islice
from pathlib import Path

import pytest

from tests.faults.auditor import Alive, audit
from tests.faults.clients import SECOND, Job, Load, now, set_up, until_drained
from tests.faults.crash_points import KINDS, Kind, Point, Recorded, recorder
from tests.faults.days_over import sum_up_days
from tests.faults.lives import Span
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

POINTS = os.environ.get("HEARTFLY_CRASH_POINTS", "3")
N_BESIDE = 4
"""Stories at one time: most of each is waiting."""
LIMIT_S = 180
PATIENCE_S = 60
"""A deadline that was passed over shows in that the story does not end; a busy machine may take its time."""
MOODY, BEGUN, SILENT = "moody", "begun", "silent"
JOBS = (
    Job(MOODY, "moody"),
    Job(BEGUN, "begun", max_run=1),
    Job(SILENT, "silent", period=5, grace=1, max_run=None),
)


@dataclass
class Place:
    """A Heartfly that has its checks and its channels, and stands still; each story begins with a copy of it."""

    server: Server
    key: str
    jobs: dict[str, Job]
    receiver: HttpReceiver

    def copy(self, folder: Path) -> Server:
        shutil.copytree(self.server.folder / "heartfly-data", folder / "heartfly-data")
        self.receiver.requests.clear()
        return Server(folder, dict(self.server.settings), port=self.server.port)


@asynccontextmanager
async def prepared(folder: Path) -> AsyncIterator[Place]:
    folder.mkdir()
    server = Server(folder, {"PINGS__RATE_PER_MINUTE": "1000000"}, port=free_port())
    async with HttpReceiver() as receiver:
        try:
            keys = server.init()  # in this process, which goes into the folder: one after another
            await asyncio.to_thread(server.start)
            load = await set_up(server, keys["api_key"], receiver, JOBS)
            assert 0 == await asyncio.to_thread(server.stop)
        finally:
            server.leave()
        yield Place(server, keys["api_key"], load.jobs, receiver)


@dataclass
class Story:
    """`before`: what runs the first life, which may kill it; all that come after are let alone."""

    place: Place
    server: Server
    seed: int
    before: Sequence[str]
    lives: list[Span] = field(default_factory=list)
    n_kills: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.load = Load(self.server.port, [], jobs=self.place.jobs)
        self.paths = {job.name: path for path, job in self.place.jobs.items()}

    async def told(self) -> Counter[str]:
        """How it was judged."""
        try:
            await self._is_lived()
        finally:
            self.server.leave()
        end = now()
        await sum_up_days(self.server)
        alive = Alive(self.lives, PATIENCE_S * SECOND, end)
        return audit(self.server, self.load, self.place.receiver, self.seed, alive=alive)

    async def _is_lived(self) -> None:
        await self._starts(self.before)
        await self._say(SILENT, "")
        run = await self._say(BEGUN, "/start")
        await self._say(BEGUN, "", run)
        await self._say(BEGUN, "/start")
        for end in ("", "/fail", ""):
            await self._say(MOODY, end)
        await self._until(self._silence_is_told)
        await self._say(BEGUN, "")
        await self._until(self._drained)
        while (status := await asyncio.to_thread(self.server.stop)) == -signal.SIGKILL:
            await self._looks()
            await self._until(self._drained)
        self.lives.append((self.since, now()))
        assert 0 == status

    async def _starts(self, before: Sequence[str]) -> None:
        self.server.before = before
        try:
            await asyncio.to_thread(self.server.start)
        except AssertionError:
            if not before or self._status() != -signal.SIGKILL:
                raise
            self.n_kills += 1
            await self._starts([])
        else:
            self.since = now()

    def _status(self) -> int | None:
        assert self.server.process is not None
        return self.server.process.poll()

    async def _looks(self) -> None:
        """Whoever finds it dead starts it."""
        if (status := self._status()) is not None:
            assert (-signal.SIGKILL, 0) == (status, self.n_kills)
            self.n_kills += 1
            self.lives.append((self.since, now()))
            await self._starts([])

    async def _say(self, name: str, end: str, run: str = "") -> str:
        """Until it was heard, each time under a new id, as that of another run; the id under which it was heard."""
        path, rid = self.paths[name], run or self._rid()
        async with asyncio.timeout(LIMIT_S):
            while not await self.load.ping(path, end, rid):
                rid = self._rid()
                await self._looks()
        return rid

    def _rid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    async def _until(self, so: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not await so():
                await self._looks()
                await asyncio.sleep(0.05)  # noqa: TID251 - polls a real process, bounded above

    async def _silence_is_told(self) -> bool:
        said = [json.loads(one.body) for one in self.place.receiver.requests]
        return any(event["type"] == "check.down" and event["check"]["name"] == SILENT for event in said)

    async def _drained(self) -> bool:
        try:
            await until_drained(self.server, self.place.key)
        except (urllib.error.URLError, ConnectionError, HTTPException):
            return False
        return True


@dataclass
class Enumeration:
    """`killed`: how many stories of a kind were cut off; `whole`: of which kinds there is one that was not.

    A story that breaks a promise holds up none of the others.
    """

    folder: Path
    seed: int
    killed: Counter[Kind] = field(default_factory=Counter)
    whole: set[Kind] = field(default_factory=set)
    figures: Counter[str] = field(default_factory=Counter)
    broken: list[Exception] = field(default_factory=list)

    async def of(self, points: Iterator[Point], places: list[Place]) -> None:
        async with asyncio.TaskGroup() as group:
            for place in places:
                group.create_task(self._those_of(points, place))

    async def _those_of(self, points: Iterator[Point], place: Place) -> None:
        for point in points:
            await self._one(point, place)

    async def _one(self, point: Point, place: Place) -> None:
        folder = self.folder / str(point).replace(" ", "-")
        server = place.copy(folder)
        story = Story(place, server, self.seed, point.tracer(folder / "heartfly-data", folder / "strace.log"))
        try:
            self.figures += await story.told()
        except (AssertionError, OSError) as error:
            error.add_note(f"It was killed at {point}, in {folder}")
            self.broken.append(error)
            return
        if story.n_kills:
            self.killed[point.kind] += 1
        else:
            self.whole.add(point.kind)
        shutil.rmtree(folder)

    def every(self) -> Iterator[Point]:
        """The stories of one kind overlap: some of the next are begun before one of this has gone through."""
        for kind in KINDS:
            for n in count(1):
                if kind in self.whole:
                    break
                yield Point(kind, n)


def drawn(rng: random.Random, n: int) -> list[Point]:
    """First one by which pings are written, then by lot; of each kind as many as of another, if it has so many."""
    others = rng.sample(KINDS[1:], len(KINDS) - 1)
    left = {kind: rng.sample(range(1, kind.about + 1), kind.about) for kind in (KINDS[0], *others)}
    in_turn = (Point(kind, left[kind].pop()) for _ in count() for kind in left if left[kind])
    return list(islice(in_turn, min(n, sum(map(len, left.values())))))


async def recorded(place: Place, folder: Path, seed: int) -> Recorded:
    server, traces = place.copy(folder), folder / "traces"
    traces.mkdir()
    story = Story(place, server, seed, recorder(traces))
    await story.told()
    assert server.process is not None
    main = server.process.pid
    async with asyncio.timeout(LIMIT_S):
        while "+++ exited with 0 +++" not in (traces / f"t.{main}").read_text(errors="replace"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # noqa: TID251 - strace is nobody's child; bounded above
    return Recorded.of(traces, folder / "heartfly-data", main)


async def test_killed_at_any_call_that_matters_nothing_is_lost_and_nobody_is_told_what_is_not(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace here: apt-get install strace")
    seed, begun = int(os.environ.get("HEARTFLY_SEED", "1")), time.perf_counter()
    run, points = Enumeration(tmp_path, seed), [] if POINTS == "every" else drawn(random.Random(seed), int(POINTS))
    n_beside = min(len(points) + 1, N_BESIDE) if points else N_BESIDE
    async with AsyncExitStack() as stack:
        opened = [stack.enter_async_context(prepared(tmp_path / f"place {n}")) for n in range(n_beside)]
        places = await asyncio.gather(*opened)
        known, _ = await asyncio.gather(
            recorded(places[0], tmp_path / "recorded", seed), run.of(iter(points), places[1:])
        )
        assert [] == known.strange()
        assert [] == [str(kind) for kind in KINDS if known.most(kind) < kind.about]
        if not points:
            await run.of(run.every(), places)
    n_killed, took_s = run.killed.total(), time.perf_counter() - begun
    print(f"seed={seed} killed at {n_killed} points in {took_s:.0f} s, of which a story has:")
    for kind in KINDS:
        print(f"  {run.killed[kind]} of {known.most(kind)}: {kind}")
    print("; ".join(f"{name}: {n}" for name, n in sorted(run.figures.items())))
    if run.broken:
        raise ExceptionGroup(f"seed={seed}: {len(run.broken)} stories are broken", run.broken)
    if points:
        assert len(points) == n_killed
    else:
        assert [] == [str(kind) for kind in KINDS if not run.killed[kind]]
