"""All orders of what meets at a deadline, the few scenes first; and whoever spoils a rule on purpose is found out."""

from __future__ import annotations

from math import factorial, prod

import pytest

from tests.interleaved.meeting import PING, ROUND, Scene, Ways
from tests.interleaved.orders import SCENES, count

SOON = [scene for scene in SCENES if len(scene.pings) == 1 or scene.rounds == 1]
"""Those of less than half a million orders. `python -m bench.interleave` looks at all."""


@pytest.mark.parametrize("scene", SOON, ids=lambda scene: scene.name)
def test_no_order_contradicts_a_ping_that_came_in_time(scene: Scene) -> None:
    found = count(scene)

    assert found.n_states > 1_000
    assert found.n_orders > 10_000


def test_all_orders_are_counted() -> None:
    scene = SCENES[0]
    own = [len(PING), scene.rounds * len(ROUND), len(scene.ticks)]

    assert factorial(sum(own)) // prod(map(factorial, own)) == count(scene).n_orders


def test_whoever_is_under_way_for_too_long_is_late_and_that_is_said() -> None:
    (scene,) = [scene for scene in SCENES if scene.name == "a success that takes long"]

    assert {
        "at the very deadline the first to commit wins",
        "a request is waited for 2 s, then it is a late signal",
    } == set(count(scene).exceptions)


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        (Ways(limit=lambda _since, now: now), "though a ping that came in time"),
        (Ways(notes_first=False), "though a ping that came in time"),
        (Ways(time_first=False), "though a ping that came in time"),
        (Ways(due=lambda wake, through: wake < through), "what was due is left alone"),
    ],
    ids=["nobody under way is waited for", "time before note", "who is under way before the time", "> for >="],
)
def test_a_rule_that_is_spoiled_is_found(ways: Ways, words: str) -> None:
    with pytest.raises(AssertionError, match=words) as found:
        count(SCENES[0], ways)

    assert len(str(found.value).splitlines()) <= 12
