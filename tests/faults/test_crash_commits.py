"""On PostgreSQL a node is killed, or loses its line, at each commit, one after another, while a short story goes on.

Just before it, and when it is made and nobody has heard of it. HEARTFLY_CRASH_COMMITS says how many points are drawn;
`every` takes the first commit, the second, and so on, at each of its moments, until no story that was let alone has had
so many: so there is none that was left out.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.faults.commits import Moment, Point, PointedWire
from tests.faults.story import Place, Story, copied, drop, each_at, prepared

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

POINTS = os.environ.get("HEARTFLY_CRASH_COMMITS", "2")
N_BESIDE = 4
"""Stories at one time: most of each is waiting."""
ABOUT = 60
"""A story has at least so many commits: those that are drawn are among them."""


@dataclass
class Enumeration:
    """`struck`: how many stories came to their point; `whole`: of which moments there is one that did not.

    A story that breaks a promise holds up none of the others.
    """

    folder: Path
    seed: int
    struck: Counter[Moment] = field(default_factory=Counter)
    whole: set[Moment] = field(default_factory=set)
    figures: Counter[str] = field(default_factory=Counter)
    most: int = 0
    """Commits of a story that was let alone."""
    broken: list[Exception] = field(default_factory=list)

    async def of(self, points: Iterator[Point], places: list[Place]) -> None:
        await each_at(places, points, self._one)

    async def _one(self, point: Point, place: Place) -> None:
        folder = self.folder / str(point).replace(" ", "-")
        server = await asyncio.to_thread(place.copy, folder)
        url = server.settings["DATABASE__URL"]
        try:
            with tempfile.TemporaryDirectory(prefix="wire-") as short:
                async with PointedWire(url, Path(short), point, server.kill) as wire:
                    story = Story(place, server, self.seed, may_end=not point.moment.kills, through=wire.url)
                    self.figures += await story.told()
            assert story.n_kills == (wire.struck and point.moment.kills)
        except Exception as error:  # noqa: BLE001 - all of them are told in the end
            error.add_note(f"It was {point}, in {folder}")
            self.broken.append(error)
            return
        finally:
            await asyncio.to_thread(drop, url)
        if wire.struck:
            self.struck[point.moment] += 1
        else:
            self.whole.add(point.moment)
            self.most = max(self.most, wire.n_commits)
        shutil.rmtree(folder)

    def every(self) -> Iterator[Point]:
        """Until a story of this moment went through, and none that did had more commits."""
        for moment in Moment:
            for n in count(1):
                if moment in self.whole and n > self.most:
                    break
                yield Point(moment, n)


def drawn(rng: random.Random, n: int) -> list[Point]:
    """One of each moment in turn."""
    left = {moment: rng.sample(range(1, ABOUT + 1), ABOUT) for moment in Moment}
    in_turn = (Point(moment, left[moment].pop()) for _ in count() for moment in left if left[moment])
    return list(islice(in_turn, min(n, ABOUT * len(left))))


async def test_killed_or_cut_off_at_any_commit_nothing_is_lost_and_nobody_is_told_what_is_not(
    postgres_server: str, postgres_template: str, tmp_path: Path
) -> None:
    seed, begun = int(os.environ.get("HEARTFLY_SEED", "1")), time.perf_counter()
    run, points = Enumeration(tmp_path, seed), [] if POINTS == "every" else drawn(random.Random(seed), int(POINTS))
    empty = make_url(postgres_server).set(drivername="postgresql+psycopg", database=postgres_template)
    async with AsyncExitStack() as stack:
        opened = []
        for n in range(min(len(points), N_BESIDE) if points else N_BESIDE):
            url = copied(empty)
            stack.callback(drop, url)
            opened.append(stack.enter_async_context(prepared(tmp_path / f"place {n}", url)))
        places = await asyncio.gather(*opened)
        await run.of(iter(points) if points else run.every(), places)
    n_struck, took_s = run.struck.total(), time.perf_counter() - begun
    print(
        f"seed={seed} struck at {n_struck} commits in {took_s:.0f} s; a story that is let alone: {run.most or 'none'}:"
    )
    for moment in Moment:
        print(f"  {run.struck[moment]}: {moment}")
    print("; ".join(f"{name}: {n}" for name, n in sorted(run.figures.items())))
    if run.broken:
        raise ExceptionGroup(f"seed={seed}: {len(run.broken)} stories are broken", run.broken)
    if points:
        assert len(points) == n_struck
    else:
        assert [] == [str(moment) for moment in Moment if run.struck[moment] < ABOUT]
