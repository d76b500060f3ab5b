"""Rows of a CSV of calls: what each property may be, and that nothing is guessed, rounded or counted twice."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import amount
from heartfly.core.call_csv import Columns, Row, Unread
from heartfly.errors import InvalidValueError

BERLIN = ZoneInfo("Europe/Berlin")
AT = "2026-11-28T12:00:00Z"


def event(told: dict[str, str], *, zone: ZoneInfo | None = None, **fixed: str) -> dict[str, Any]:
    found = row(told, zone=zone, **fixed)
    assert isinstance(found, Row), found
    one: dict[str, Any] = json.loads(found.text)
    return one


def row(told: dict[str, str], *, zone: ZoneInfo | None = None, **fixed: str) -> Row | Unread:
    told = {"time": AT} | told
    fixed = {} if "provider" in told else {"provider": "openai"} | fixed
    return Columns(list(told), {}, fixed, zone).row(list(told.values()), lambda: "by its line")


def test_a_row_is_a_call_with_what_its_columns_say() -> None:
    one = event({
        "provider": "openai", "model": "gpt-x", "endpoint": "/v1/x", "customer": "acme", "user": "ann", "tags": "a,b",
        "status": "200", "error": "", "latency_ms": "12.50", "cost": "1.2e-05", "currency": "USD",
        "units.input_tokens": "86", "request_id": "req_1", "key": "k", "tier": "batch",
    })  # fmt: skip

    assert {
        "transaction_id": "openai:req_1", "customer_id": "acme", "timestamp": AT, "event_type": "api.call",
        "properties": {
            "provider": "openai", "model": "gpt-x", "endpoint": "/v1/x", "user": "ann", "tags": "a,b", "status": "200",
            "latency_ms": "12.5", "cost": "0.000012", "currency": "USD", "units.input_tokens": "86",
            "units.requests": "1", "request_id": "req_1", "key": "k", "tier": "batch",
        },
    } == one  # fmt: skip


def test_a_row_that_says_no_more_than_when_is_one_request_of_somebody() -> None:
    one = event({})

    assert ("by its line", "anonymous", {"provider": "openai", "units.requests": "1"}) == (
        one["transaction_id"], one["customer_id"], one["properties"],
    )  # fmt: skip
    assert "unknown" == event({"provider": ""})["properties"]["provider"]


def test_tokens_that_are_told_whole_are_told_in_parts() -> None:
    one = event({"prompt_tokens": "100", "units.cached_tokens": "60", "units.cache_write_tokens": "10",
                 "completion_tokens": "20", "units.reasoning_tokens": "8"})["properties"]  # fmt: skip

    assert ("30", "60", "10", "12", "8") == tuple(
        one[f"units.{kind}_tokens"] for kind in ("input", "cached", "cache_write", "output", "reasoning")
    )
    assert "fewer than" in row({"prompt_tokens": "1", "units.cached_tokens": "2"})


@pytest.mark.parametrize(
    ("text", "zone", "at"),
    [
        ("2026-11-28T13:00:00+01:00", None, "2026-11-28T12:00:00Z"),
        ("2026-11-28 12:00:00Z", None, "2026-11-28T12:00:00Z"),
        ("2026-11-28 13:00:00", BERLIN, "2026-11-28T12:00:00Z"),
        ("2026-11-28T13:00:00.1234567", BERLIN, "2026-11-28T12:00:00.123456Z"),
        ("2026-11-28 13:00", BERLIN, "2026-11-28T12:00:00Z"),
        ("2026-11-28", BERLIN, "2026-11-27T23:00:00Z"),
        ("2026-10-25 02:30:00", BERLIN, "2026-10-25T00:30:00Z"),  # the first of two
        ("1795867200", None, "2026-11-28T12:00:00Z"),
        ("1795867200.25", None, "2026-11-28T12:00:00.250000Z"),
        ("1795867200250", None, "2026-11-28T12:00:00.250000Z"),
    ],
)
def test_times_are_instants_however_they_are_written(text: str, zone: ZoneInfo | None, at: str) -> None:
    assert at == event({"time": text}, zone=zone)["timestamp"]


@pytest.mark.parametrize(
    ("told", "zone", "why"),
    [
        ({"time": ""}, None, "has no time"),
        ({"time": "2026-11-28 13:00:00"}, None, "has no zone: say --zone"),
        ({"time": "2026-03-29 02:30:00"}, BERLIN, "was skipped in Europe/Berlin"),
        ({"time": "2026-02-30 02:30:00"}, BERLIN, "does not exist"),
        ({"time": "0001-01-01 00:00:00"}, BERLIN, "does not exist"),
        ({"time": "28.11.2026 13:00"}, BERLIN, "is none of RFC 3339"),
        ({"status": "OK"}, None, "status is no number"),
        ({"units.images": "two"}, None, "units.images is no decimal number"),
        ({"units.images": "-1"}, None, "units.images is negative"),
        ({"units.images": "1e30"}, None, "20 digits"),
        ({"units.images": "1e-19"}, None, "18 places"),
        ({"units.images": "NaN"}, None, "no amount"),
        ({"units.images": "1E+99999999"}, None, "no amount"),
        ({"cost": "1"}, None, "no currency"),
        ({"cost": "$1", "currency": "USD"}, None, "cost is no decimal number"),
        ({"cost": "1", "currency": "dollars"}, None, "no currency"),
        ({"latency_s": "fast"}, None, "latency_s is no decimal number"),
        ({"model": "m" * 513}, None, "model is longer than 512"),
        ({"customer": "a\x00b"}, None, "customer holds a character"),
        ({"customer": "c" * 257}, None, "longer than 256"),
        ({"request_id": "r" * 200}, None, "request_id is longer than 128"),
    ],
)
def test_what_cannot_be_read_says_why(told: dict[str, str], zone: ZoneInfo | None, why: str) -> None:
    found = row(told, zone=zone)

    assert isinstance(found, Unread)
    assert why in found


def test_seconds_of_latency_are_told_in_milliseconds_and_a_credit_may_be_negative() -> None:
    one = event({"latency_s": "1.2345", "cost": "-0.5", "currency": "EUR"})["properties"]

    assert ("1234.5", "-0.5", "EUR") == (one["latency_ms"], one["cost"], one["currency"])
    assert "currency" not in event({"currency": "USD"})["properties"]


def test_no_digit_is_rounded_away() -> None:
    many = "12345678901234567890.123456789012345678"
    one = event({"prompt_tokens": many, "units.cached_tokens": "0.000000000000000001", "latency_s": many[3:]})

    assert "12345678901234567890.123456789012345677" == one["properties"]["units.input_tokens"]
    assert "45678901234567890123.456789012345678" == one["properties"]["latency_ms"]


def test_an_id_of_its_own_names_an_event() -> None:
    assert "mine" == event({"id": "mine", "request_id": "r"})["transaction_id"]


def test_rows_have_as_many_cells_as_there_are_columns() -> None:
    columns = Columns(["time", "provider"], {}, {}, None)

    assert "has 1 columns, and the first line 2" == columns.row([AT], lambda: "")
    assert "has 3 columns, and the first line 2" == columns.row([AT, "a", "b"], lambda: "")


@pytest.mark.parametrize(
    ("header", "mapped", "fixed", "field", "why"),
    [
        (["when", "provider"], {}, {}, "map", "which column is the time"),
        (["time"], {}, {}, "map", "which column is the provider"),
        (["time", "provider"], {"when": "time"}, {}, "map", "when is none of the file's columns: time, provider"),
        (["a", "a"], {"a": "time"}, {}, "map", "a is the name of two columns"),
        (["time", "provider", "x"], {"x": "modle"}, {}, "map", "modle is none of"),
        (["time", "provider", "x"], {"x": "units.Tokens"}, {}, "map", "units.Tokens is none of"),
        (["time"], {}, {"colour": "red"}, "set", "colour is none of"),
        (["a", "b", "provider"], {"a": "time", "b": "time"}, {}, "map", "time is said twice"),
        (["time", "x"], {"x": "provider"}, {"provider": "y"}, "map", "provider is said twice"),
        (["time", "provider", "prompt_tokens", "units.input_tokens"], {}, {}, "map", "the same tokens twice"),
    ],
)
def test_columns_that_cannot_be_are_refused_by_the_option(
    header: list[str], mapped: dict[str, str], fixed: dict[str, str], field: str, why: str
) -> None:
    with pytest.raises(InvalidValueError, match=why) as refused:
        Columns(header, mapped, fixed, None)
    assert field == refused.value.field


def test_a_column_that_is_said_to_be_something_wins_over_one_that_is_called_so() -> None:
    columns = Columns(["Time", "created", "provider"], {"created": "time"}, {}, None)

    found = columns.row(["yesterday", AT, "openai"], lambda: "")

    assert isinstance(found, Row)
    assert AT == json.loads(found.text)["timestamp"]


@given(st.decimals(min_value=0, max_value=10**19, places=18))
def test_every_amount_arrives_to_the_digit(value: Decimal) -> None:
    told = event({"units.gb": str(value)})["properties"]["units.gb"]

    assert value == Decimal(told)
    assert amount(told) is not None
