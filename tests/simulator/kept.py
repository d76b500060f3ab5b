"""A simulation put aside and taken up again, in another process if need be: a year of many checks takes hours.

Where the process under Heartfly is dead, all that counts is the database and what the surroundings know; so all of it
is one file: what was planned, sent and judged as Python keeps it, and the database as SQLite does. What goes on from
there gives the log that it would have given. Not decided here: how often that is done.
"""

from __future__ import annotations

import io
import os
import pickle
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from typing_extensions import override

from heartfly.db.ids import IdSource
from heartfly.db.sqlite import SqliteSession, driver_of, writing_engine
from tests.simulator.history import Plan
from tests.simulator.run import Simulation
from tests.simulator.verdict import Verdict, conclude
from tests.simulator.windows import Judge


class OtherPlanError(Exception):
    """What is kept there was begun with another seed, for other checks or other days."""


@dataclass(slots=True)
class Kept:
    """`computed`: seconds of a processor so far. `commits`: of Heartfly, in the order in which they computed it."""

    simulation: Simulation
    windows: Judge
    computed: float = 0.0
    commits: list[str] = field(default_factory=list)

    def put(self, file: Path) -> None:
        """All of it or, if that fails, what was there before. The process under Heartfly must be dead."""
        assert self.simulation.machine.life is None
        with self.simulation.history.engine.connect() as connection:
            database = driver_of(connection).serialize()
        beside = file.with_name(f"{file.name}.new")
        dead, self.simulation.dead = self.simulation.dead, None
        try:
            with beside.open("wb") as output:
                _Writer(output).dump((self, database))
                output.flush()
                os.fsync(output.fileno())
        finally:
            self.simulation.dead = dead
        beside.replace(file)


def simulate_kept(
    plan: Plan, file: Path, *, commit: str, computed: Callable[[], float], every_s: float
) -> tuple[Verdict, Kept]:
    """As verdict.simulate, from where the file ends, if there is one; put there each `every_s` seconds of `computed`.

    OtherPlanError.
    """
    kept = taken_up(file) if file.exists() else begun(plan)
    if kept.simulation.plan != plan:
        raise OtherPlanError(f"{file} is of {kept.simulation.plan}")
    if kept.commits[-1:] != [commit]:
        kept.commits.append(commit)
    before, put_at = kept.computed, kept.computed

    def dead() -> None:
        nonlocal put_at
        kept.computed = before + computed()
        if kept.computed - put_at >= every_s:
            kept.put(file)
            put_at = kept.computed

    kept.simulation.dead = dead
    try:
        kept.simulation.go_on()
        kept.computed = before + computed()
        return conclude(kept.windows), kept
    finally:
        kept.simulation.history.engine.dispose()


def begun(plan: Plan) -> Kept:
    simulation = Simulation(plan)
    windows = Judge(simulation.history)
    simulation.at_rest = windows.rest
    simulation.begin()
    return Kept(simulation, windows)


def taken_up(file: Path) -> Kept:
    """What `put` wrote, by this version of the simulator. FileNotFoundError: there is none."""
    engine = writing_engine(None)
    kept: Kept
    kept, database = _Reader(io.BytesIO(file.read_bytes()), engine).load()
    with engine.connect() as connection:
        driver_of(connection).deserialize(database)
    kept.simulation.watch_flips()
    return kept


class _Writer(pickle.Pickler):
    @override
    def persistent_id(self, obj: object) -> str | None:
        """What stands for the connection to the database: it is made anew."""
        if isinstance(obj, sa.Engine):
            return "engine"
        if isinstance(obj, SqliteSession):
            return "session"
        return "nothing yet" if isinstance(obj, sqlite3.Connection | sqlite3.Cursor) else None

    @override
    def reducer_override(self, obj: object) -> Any:
        return (_ids, (obj._node, obj._last)) if isinstance(obj, IdSource) else NotImplemented


class _Reader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, engine: sa.Engine) -> None:
        super().__init__(file)
        self._made = {"engine": engine, "session": SqliteSession(engine), "nothing yet": None}

    @override
    def persistent_load(self, pid: Any) -> object:
        return self._made[pid]


def _ids(node: int, last: int) -> IdSource:
    ids = IdSource(0)
    ids._node, ids._last = node, last
    return ids
