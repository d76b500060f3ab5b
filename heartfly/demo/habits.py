"""How a job behaves: when it starts and ends, what it says, and what goes wrong with it. A stream without an end.

Nothing is judged here. What a signal, or the lack of one, means for the check is decided in core/check.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from random import Random

from heartfly.checks.config import CheckConfig
from heartfly.checks.rows import rules_of_config
from heartfly.core.words import PingKind

QUIET = timedelta(hours=3)
"""Before the present nothing goes wrong by chance: what is wrong now was chosen."""


class Trouble(Enum):
    FAILS = auto()
    EXITS = auto()
    SILENT = auto()
    HANGS = auto()
    """Without a start it is never heard of at all."""
    POOR = auto()
    """It says that it succeeded, and its figure says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What goes wrong with the slots of [from_at, to_at)."""

    from_at: datetime
    to_at: datetime
    trouble: Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """`lag_s`: from the expected time to the start. `odds`: how likely trouble by chance begins with a slot."""

    lag_s: float = 2.0
    run_s: float = 30.0
    starts: bool = False
    figure: tuple[str, int] | None = None
    """A name and what it usually is."""
    odds: float = 0.0
    scenes: tuple[Scene, ...] = ()
    runs_since: timedelta | None = None
    """How long before the present its newest run began, which is still under way."""
    never: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    at: datetime
    kind: PingKind
    exit_status: int | None = None
    body: bytes = b""


def beats(config: CheckConfig, habit: Habit, *, born_at: datetime, now: datetime, chance: Random) -> Iterator[Beat]:
    """Every signal that the job sends, in order, from its birth on and past `now`."""
    if habit.never:
        return
    next_after = rules_of_config(config).next_after
    by_chance = _ByChance(habit, now, chance)
    slot = next_after(born_at, born_at)
    while slot is not None:
        following = next_after(slot, born_at)
        if following is None:
            return
        trouble = next((one.trouble for one in habit.scenes if one.from_at <= slot < one.to_at), None)
        trouble = trouble or by_chance.at(following)
        yield from _run(habit, slot, following, trouble=trouble, now=now, chance=chance)
        slot = following


class _ByChance:
    """Trouble that comes unasked and lasts for one slot or a few."""

    def __init__(self, habit: Habit, now: datetime, chance: Random) -> None:
        self._habit, self._now, self._chance = habit, now, chance
        self._left, self._trouble = 0, Trouble.FAILS

    def at(self, following: datetime) -> Trouble | None:
        """`following`: the next slot, by which all must be well again."""
        if following >= self._now - QUIET:
            return None
        if self._left == 0 and self._chance.random() < self._habit.odds:
            self._left = self._chance.choice((1, 1, 1, 1, 2, 2, 3))
            kinds = [Trouble.FAILS, Trouble.EXITS, Trouble.EXITS, Trouble.SILENT, Trouble.SILENT, Trouble.HANGS]
            self._trouble = self._chance.choice([*kinds, Trouble.POOR] if self._habit.figure else kinds)
        if self._left == 0:
            return None
        self._left -= 1
        return self._trouble


def _run(
    habit: Habit, slot: datetime, following: datetime, *, trouble: Trouble | None, now: datetime, chance: Random
) -> Iterator[Beat]:
    lag_s = habit.lag_s + chance.random() * min(20.0, 1.0 + habit.lag_s)
    took_s = max(1.0, habit.run_s * chance.lognormvariate(0.0, 0.18))
    begins = slot + timedelta(seconds=round(lag_s, 6))
    if habit.runs_since is not None and begins <= now < following:
        begins, took_s = now - habit.runs_since, habit.run_s
    ends = begins + timedelta(seconds=round(took_s, 6))
    if trouble is Trouble.SILENT:
        return
    if habit.starts:
        yield Beat(begins, PingKind.START)
    match trouble:
        case Trouble.HANGS:
            return
        case Trouble.FAILS:
            yield Beat(ends, PingKind.FAIL, body=_last_words(chance))
        case Trouble.EXITS:
            status = chance.choice((1, 1, 1, 2, 3, 127, 137, 143))
            yield Beat(ends, PingKind.FAIL, exit_status=status, body=_last_words(chance))
        case _:
            yield Beat(ends, PingKind.SUCCESS, body=_figures(habit, chance, poor=trouble is Trouble.POOR))


def _figures(habit: Habit, chance: Random, *, poor: bool) -> bytes:
    if habit.figure is None:
        return b""
    name, usual = habit.figure
    found = 0 if poor else round(usual * chance.uniform(0.85, 1.15))
    return f"done\n{name}={found}\n".encode()


_WORDS = (
    "pg_dump: error: connection to server at 10.0.0.4, port 5432 failed: Connection refused\n",
    """Traceback (most recent call last):
  File "/opt/jobs/load.py", line 118, in <module>
    main()
  File "/opt/jobs/load.py", line 64, in main
    rows = read(source)
ValueError: column 'amount' has 3 values that are no numbers
""",
    "rsync: [sender] write error: Broken pipe (32)\nrsync error: error in socket IO (code 10)\n",
    "curl: (28) Operation timed out after 30001 milliseconds with 0 bytes received\n",
    "cp: error writing '/backup/2026.tar': No space left on device\n",
    "ERROR 1205 (HY000): Lock wait timeout exceeded; try restarting transaction\n",
    "Killed\n",
    "ssh: connect to host files.internal port 22: No route to host\n",
)


def _last_words(chance: Random) -> bytes:
    return chance.choice(_WORDS).encode()
