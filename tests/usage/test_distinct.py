"""Different values are counted rightly however many they are, whether they fit into the memory or not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from heartfly.usage.distinct import Distinct


@pytest.mark.parametrize("most_held", [1, 7, 1_000])
@pytest.mark.parametrize("make", [str, lambda n: n.to_bytes(16, "big")], ids=["texts", "bytes"])
def test_each_owner_has_each_value_once(most_held: int, make: Any) -> None:
    draw = random.Random(3)
    pairs = [(draw.randrange(3), make(draw.randrange(40))) for _ in range(200)]
    with Distinct(most_held) as distinct:
        for start in range(0, len(pairs), 9):
            distinct.add(pairs[start : start + 9])

        expected = {owner: len({value for of, value in pairs if of == owner}) for owner in range(3)}
        assert expected == distinct.counts() == distinct.counts()


def test_nothing_is_nobodys() -> None:
    with Distinct() as distinct:
        assert {} == distinct.counts()


def test_no_more_is_held_than_was_agreed_on() -> None:
    with Distinct(10) as distinct:
        distinct.add((1, str(n)) for n in range(11))

        assert not distinct._held
        assert {1: 11} == distinct.counts()
