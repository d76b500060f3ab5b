"""Every order in which a scene can go on, each actor's own steps in theirs: how many there are, and is any wrong?

Orders that have led to the same state go on alike, so each state is looked at once and its orders are counted: none is
left out, and none is drawn by chance. A wrong one is told step by step, the shortest of all.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from tests.interleaved.meeting import DEADLINE, HOLD, HOUR, MINUTE, Meeting, Scene, State, Ways, WrongError

SCENES = (
    Scene("a success", ("success",), 2),
    Scene("a success, and the clock is set back", ("success",), 2, turns=(-HOUR,)),
    Scene("a success, and the clock is put forward", ("success",), 2, turns=(HOUR,)),
    Scene("a success that takes long", ("success",), 2, ticks=(1, HOLD, 1, HOLD)),
    Scene("a success, and a kill", ("success",), 2, kills=1),
    Scene("a success by the calendar, and a kill", ("success",), 2, kills=1, calendar=True),
    Scene("a success that takes long, and a kill", ("success",), 2, ticks=(1, HOLD, HOLD), kills=1),
    Scene("two successes", ("success", "success"), 1),
    Scene("a failure and a success", ("fail", "success"), 1),
    Scene("a start and its end", ("start", "success"), 2, ticks=(1,)),
    Scene("a start that holds its slot, and its end", ("start", "success"), 2, ticks=(1,), max_run=2 * MINUTE),
    Scene("two successes, in three rounds", ("success", "success"), 3, ticks=(1,)),
    Scene("two successes, and the clock is set back", ("success", "success"), 2, turns=(-HOUR,)),
    Scene("a failure and a success, and a kill", ("fail", "success"), 2, ticks=(1,), kills=1),
    Scene("two successes, and a kill", ("success", "success"), 2, kills=1),
)
"""From few orders to many."""


@dataclass
class Counted:
    scene: Scene
    n_orders: int = 0
    n_states: int = 0
    exceptions: Counter[str] = field(default_factory=Counter)
    """How many orders end otherwise than in the order of receipt, by the rule that says so."""


def count(scene: Scene, ways: Ways | None = None) -> Counted:
    """AssertionError: the shortest story of an order that is wrong."""
    meeting = Meeting(scene, ways)
    begin = meeting.begin()
    orders: dict[State, int] = {begin: 1}
    came: dict[State, tuple[State, str]] = {}
    found = Counted(scene)
    # All orders that have made so many steps; each step of anybody leads to a state of one step more.
    layer = deque([begin])
    while layer:
        following: dict[State, int] = {}
        for state in layer:
            try:
                moves = meeting.moves(state)
                if not moves:
                    found.n_orders += orders[state]
                    if exception := meeting.ends(state):
                        found.exceptions[exception] += orders[state]
            except WrongError as wrong:
                raise AssertionError(_story(scene, state, came, str(wrong))) from None
            for words, after in moves:
                following[after] = following.get(after, 0) + orders[state]
                came.setdefault(after, (state, words))
        found.n_states += len(layer)
        orders = following
        layer = deque(following)
    return found


def _story(scene: Scene, state: State, came: dict[State, tuple[State, str]], wrong: str) -> str:
    lines: list[str] = []
    while state in came:
        before, words = came[state]
        lines.append(f"  {state.now - DEADLINE:+} µs: {words}")
        state = before
    return "\n".join([f"{scene.name}: {wrong}; from the deadline on", *reversed(lines)])
