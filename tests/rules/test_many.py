"""Many rules with many scopes are judged beside everything else that the process does."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from heartfly.core.rule_definitions import rule_from
from heartfly.core.windows import Window
from heartfly.core.words import Severity
from heartfly.rules.figures import Row, Table
from heartfly.rules.look import judged, moves
from heartfly.rules.rows import Stored
from heartfly.rules.seeing import Sight, window_of
from heartfly.rules.sources import SOURCES
from tests.rules.neighbourhood import CALLS, TEN

pytestmark = pytest.mark.anyio

N_RULES, N_SCOPES = 120, 1_000
A_TICK_S = 0.001


def many() -> tuple[list[Stored], Sight]:
    rule = rule_from({"by": ["provider"], "conditions": [CALLS]})
    (condition,) = rule.conditions
    rows: list[Any] = [SimpleNamespace(id=n, channels=None) for n in range(N_RULES)]
    what, window = SOURCES[condition.of].what(condition, rule.by), window_of(condition, TEN)
    table: Table = {(f"p-{n}",): Row(n=11 if n == 3 else 1) for n in range(N_SCOPES)}
    sight = Sight(TEN, [Window(TEN - timedelta(days=3), TEN - timedelta(days=2))], {(what, window): table})
    return [Stored(row, rule, Severity.LOW) for row in rows], sight


async def test_whoever_waits_for_the_loop_does_not_wait_for_all_rules_to_be_judged() -> None:
    """By this thread's own time: while others have the processors, it holds nobody up."""
    rules, sight = many()
    loop, at = asyncio.get_running_loop(), [time.thread_time()]

    is_judging = True

    def tick() -> None:
        at.append(time.thread_time())
        if is_judging:
            loop.call_later(A_TICK_S, tick)

    tick()
    begun = time.thread_time()
    await judged(rules, sight, {})
    took = time.thread_time() - begun
    is_judging = False
    at.append(time.thread_time())

    assert max(after - before for before, after in pairwise(at)) < took / 4


async def test_what_is_judged_in_pieces_comes_to_the_same() -> None:
    rules, sight = many()

    found, looked = await judged(rules, sight, {})

    assert moves(rules, sight, {}) == (found, looked)
    assert (N_RULES, N_RULES * N_SCOPES, N_RULES) == (looked.rules, looked.scopes, looked.fired)
