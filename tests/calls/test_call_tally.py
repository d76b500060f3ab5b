"""Calls make the same rows in whatever order and pages they are read, also where there are too many names and kinds."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from heartfly.core.calls import KEYS, OTHER, Cube
from heartfly.core.columns import Amounts, Page
from heartfly.core.prices import Book
from heartfly.db.types import micros
from heartfly.usage import call_columns, call_fold
from heartfly.usage.call_columns import tags_of
from heartfly.usage.call_fold import CallTally
from heartfly.usage.calls import Calls, Row
from heartfly.usage.requests import Limits
from tests.calls.oracle import calls_of

FROM = datetime(2026, 11, 27, tzinfo=UTC)
_US = micros(FROM)


def folded(rows: Sequence[tuple[Any, ...]], *, page: int) -> Calls:
    tally = CallTally(Limits(), Book(()), {}, FROM)
    for start in range(0, len(rows), page):
        some = rows[start : start + page]
        tally.take(Page([row[5] for row in some], Amounts()), some)
    return tally.found()


def named(found: Calls) -> dict[tuple[Any, ...], Row]:
    """By names in place of numbers, which go by the order in which they came."""
    cells = {}
    for (cube, key1, key2, status), row in found.cells.items():
        keys: list[Any] = []
        for kind, number in zip(KEYS[Cube(cube)], (key1, key2), strict=True):
            is_name = kind is not None and number < 0
            keys.append(found.unnamed[kind][-number - 1] if is_name and kind is not None else number)
        cells[cube, *keys, status] = row
    return cells


def rows_of(told: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (_US + n * 1_000_003, n, 1, n % 3, f"t-{n}", json.dumps(one, separators=(",", ":")))
        for n, one in enumerate(told)
    ]


def test_the_order_and_the_pages_do_not_matter() -> None:
    rows = rows_of([dict(call.told) for call in calls_of(300, seed=8, from_at=FROM, to_at=FROM.replace(hour=1))])
    found = named(folded(rows, page=300))
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        assert found == named(folded(rows, page=7 + seed * 50))


def test_nor_do_they_where_there_are_too_many_names_and_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_columns, "MOST_KINDS", 3)
    monkeypatch.setattr(call_fold, "_MOST_UNNAMED", 4)
    rows = rows_of(
        [
            {
                "model": f"m-{n * 7 % 30:02}",
                "user": f"u-{n % 25:02}",
                "key": f"k-{n * 3 % 20:02}",
                "tags": f"t-{n % 9}, t-{n % 8}",
                "endpoint": f"/e-{n % 11:02}",
                f"units.k{n * 11 % 40:02}": "2",
            }
            for n in range(120)
        ]
    )
    found = folded(rows, page=120)
    assert [4] * 5 == [len(texts) for texts in found.unnamed.values()]
    assert OTHER in {key1 for cube, key1, *_ in found.cells if cube == Cube.USER}
    total = found.cells[int(Cube.TOTAL), 0, 0, 0]
    assert (120, 3) == (total.n, sum(measure.startswith("u:") for measure in total.measures))
    assert total.n_odd > 100
    for seed in range(4):
        random.Random(seed).shuffle(rows)
        assert named(found) == named(folded(rows, page=3 + seed * 9))


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        (None, ("",)),
        ("", ("",)),
        (" , ", ("",)),
        ("b,a, b", ("a", "b")),
        ('["x, y","z"]', ("x, y", "z")),
        ("[odd", ("[odd",)),
    ],
)
def test_tags_are_a_list_with_commas_or_one_of_json(text: str | None, tags: tuple[str, ...]) -> None:
    assert tags == tags_of(text)
