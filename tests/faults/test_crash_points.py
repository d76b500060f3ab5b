"""The server is killed at each system call that matters, one after another, while a short story goes on; then audited.

HEARTFLY_CRASH_POINTS says how many points are drawn; `every` takes the first of each kind, the second, and so on, until
a story goes through: so there is none that was left out. Here on SQLite; PostgreSQL: test_crash_commits.py.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

import pytest

from tests.faults.crash_points import KINDS, Kind, Point, Recorded, recorder
from tests.faults.story import LIMIT_S, Place, Story, each_at, prepared

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

POINTS = os.environ.get("HEARTFLY_CRASH_POINTS", "2")
N_BESIDE = 4
"""Stories at one time: most of each is waiting."""


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
        await each_at(places, points, self._one)

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
