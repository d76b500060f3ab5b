"""Figures that a job reports: what counts as one, exactly, and what a hostile body may cost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from heartfly.core.metrics import MAX_METRICS, SCANNED, of_body, of_query, quantity
from heartfly.errors import InvalidValueError


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", {}),
        (b"rows=10", {"rows": "10"}),
        (b"done: rows: 10, cost=0.10; late=-3\n", {"rows": "10", "cost": "0.10", "late": "-3"}),
        (b"rows=10 rows=11", {"rows": "11"}),
        (b"took 3s rows=ten rows=1e9 =5 a=1b", {}),
        (b'{"rows": 12345678901234567890, "cost": 0.1, "name": "x", "deep": {"a": 1}, "ok": true, "big": 1e99}',
         {"rows": "12345678901234567890", "cost": "0.1"}),
        (b'{"not json rows=4', {"rows": "4"}),
        (b"{} rows=4", {"rows": "4"}),
        (b'{"a": NaN, "b": Infinity, "c": 5}', {"c": "5"}),
        (b"[1, 2]", {}),
        (b"\xff\xfe rows=4", {"rows": "4"}),
        (b"errors=5,231 rows=7", {"rows": "7"}),  # a thousand and more to its writer
        (b"rows=5,errors=1,", {"rows": "5", "errors": "1"}),
    ],
)  # fmt: skip
def test_figures_are_read_exactly_and_the_rest_is_left_alone(body: bytes, found: dict[str, str]) -> None:
    assert {name: Decimal(value) for name, value in found.items()} == of_body(body)


def test_a_json_list_holds_no_figures_even_when_it_looks_like_an_object() -> None:
    assert {} == of_body(b'{"a": 1' + b"}" * 3)


def test_no_more_than_fifty_figures_are_kept() -> None:
    body = b" ".join(b"m%d=%d" % (n, n) for n in range(80))
    document = b"{" + b",".join(b'"m%d":%d' % (n, n) for n in range(80)) + b"}"

    assert MAX_METRICS == len(of_body(body)) == len(of_body(document))
    assert MAX_METRICS == len(of_query(f"m{n}:{n}" for n in range(80)))


def test_of_a_long_body_the_beginning_and_the_end_are_looked_through() -> None:
    body = b"first=1 " + b"x" * (3 * SCANNED) + b" middle=2 " + b"x" * (3 * SCANNED) + b" last=3"

    assert {"first": Decimal(1), "last": Decimal(3)} == of_body(body)


def test_half_a_word_at_a_cut_is_no_figure() -> None:
    half = SCANNED // 2
    across = b"x" * (half - 8) + b" rows=12345 " + b"x" * SCANNED
    end = b"good=1 " + b"x" * SCANNED
    end += b" bad_rows=5" + b" " * (half - len(b"rows=5"))

    assert {} == of_body(across)
    assert {"good": Decimal(1)} == of_body(end)
    assert {"first": Decimal(1)} == of_body(b"first=1 rows=12", end=b"12345")
    assert {} == of_body(b"rows=12", end=b"rows=34")
    assert {"rows": Decimal(34)} == of_body(b"rows=12 ...", end=b"... rows=34")


def test_a_long_json_document_is_read_whole() -> None:
    assert {"rows": Decimal(500)} == of_body(b'{"log": "' + b"x" * (2 * SCANNED) + b'", "rows": 500}\n')


def test_a_body_that_nests_without_end_is_no_error() -> None:
    assert {} == of_body(b'{"a":' * 10_000)


@pytest.mark.parametrize(
    "value", ["rows", "rows:", ":1", "rows:ten", "1a:2", "rows:1e9", "r" * 65 + ":1", "rows:" + "9" * 21]
)
def test_a_figure_in_the_query_must_be_one(value: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        of_query([value])

    assert "metric" == refused.value.field


def test_figures_in_the_query_come_in_two_spellings() -> None:
    assert {"rows": Decimal(10), "cost": Decimal("0.5")} == of_query(["rows:10", "cost=0.5"])


@pytest.mark.parametrize("text", ["1e999999999", "NaN", "", "+1", "1.", ".5", "1" * 21, "0." + "1" * 19, "１"])
def test_what_is_no_quantity_is_refused_before_any_arithmetic(text: str) -> None:
    assert quantity(text) is None


def test_the_last_value_counts_however_often_a_name_comes_before_it() -> None:
    progress = b"\n".join(b"rows=%d" % n for n in range(1, 2000))

    assert {"rows": Decimal(0), "late": Decimal(1)} == of_body(progress + b"\nrows=0\nlate=1")
