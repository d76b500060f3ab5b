"""Percentiles are within 1.1 % of the exact ones, whatever the times are and in whatever order rows were merged."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from heartfly.core.amounts import ONE
from heartfly.core.columns import Amounts, Page
from heartfly.core.packed import unpacked
from heartfly.core.routing import Router
from heartfly.core.traffic import Cube
from heartfly.db.types import micros
from heartfly.usage.request_fold import RequestTally
from heartfly.usage.requests import Cell, Limits, Row, added

HOUR = datetime(2026, 11, 28, 10, tzinfo=UTC)
TOTAL: Cell = (Cube.TOTAL, 0, 0, 200)
PERCENTS = ["0.1", "1", "10", "25", "50", "75", "90", "95", "99", "99.9", "100"]


def distributions() -> dict[str, list[str]]:
    """Milliseconds as a sender writes them."""
    draw = random.Random(5)
    bounds = [2 ** (k / 32) for k in range(-320, 640, 3)]
    return {
        "one value": ["38.214"] * 500,
        "bounds of buckets, and beside them": [f"{x * by:.9f}" for x in bounds for by in (1, 0.9999999, 1.0000001)],
        "powers of two": [str(2**k) for k in range(36)] * 9,
        "from a nanosecond to a month": [f"{10 ** draw.uniform(-6, 9.4):.9f}" for _ in range(3_000)],
        "two heaps": [f"{draw.gauss(2, 0.01):.3f}" for _ in range(990)] + [f"{draw.gauss(60_000, 9):.3f}"] * 10,
        "a heavy tail": [f"{draw.paretovariate(0.6):.3f}" for _ in range(3_000)],
        "whole milliseconds, many of them nothing": [str(draw.choice([0, 0, 0, 1, 2, 3, 5, 8])) for _ in range(999)],
        "each half a bucket further": [f"{1.01**k:.12f}" for k in range(2_000)],
        "a single one far out": ["1"] * 999 + ["86400000.5"],
    }


def folded(texts: Sequence[str], page: int = 700) -> Row:
    tally, known = RequestTally(Limits(), Router(), {}, HOUR), Amounts()
    rows = [
        (
            micros(HOUR) + n,
            n,
            1,
            1,
            f"t-{n}",
            json.dumps({"route": "/a", "status": 200})[:-1] + f',"latency_ms":{text}}}',
        )
        for n, text in enumerate(texts)
    ]
    for start in range(0, len(rows), page):
        some = rows[start : start + page]
        tally.take(Page([row[5] for row in some], known), some)
    return tally.found().cells[TOTAL]


@pytest.mark.parametrize("name", distributions())
def test_a_percentile_is_within_its_error_of_the_exact_one(name: str) -> None:
    texts = distributions()[name]
    exact = sorted(Fraction(text) for text in texts)
    row = folded(texts)
    found = unpacked(row.latencies or b"")

    assert len(texts) == row.n_timed == found.n
    assert int(exact[-1] * 1_000 + Fraction(1, 2)) == row.latency_max_us
    for percent in PERCENTS:
        rank = max(1, -(-Fraction(percent) * len(exact) // 100))
        expected = exact[int(rank) - 1]
        told = found.percentile(int(Decimal(percent) * ONE))
        assert told is not None
        assert abs(Fraction(told, ONE) - expected) <= expected * Fraction(11, 1_000), (percent, float(expected))


@pytest.mark.parametrize("name", distributions())
def test_rows_merge_to_the_same_bytes_in_any_order_and_by_any_parts(name: str) -> None:
    texts, draw = distributions()[name], random.Random(6)
    whole = folded(texts)
    for _ in range(4):
        draw.shuffle(texts)
        cuts = sorted({0, len(texts), *(draw.randrange(len(texts)) for _ in range(draw.randrange(9)))})
        parts = [folded(texts[a:b]) for a, b in pairwise(cuts)]
        draw.shuffle(parts)
        while len(parts) > 1:
            n = draw.randrange(2, len(parts) + 1)
            parts = [added((TOTAL, one) for one in parts[:n])[TOTAL], *parts[n:]]
        assert [whole] == parts
