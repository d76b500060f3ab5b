"""Calls to other people's APIs, told of by a block or a decorator: all that is known of each, and none pays for it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from heartfly_client import Calls, calls_of
from heartfly_client.calls.record import Made, event_of, exact, tags_text, transaction_id
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import amount
from tests.sender.receiving import Receiver
from tests.sender.vendors import CHAT, MESSAGE, RUN

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def calls(receiver: Receiver, tmp_path: Path) -> Iterator[Calls]:
    made = Calls(receiver.url, "hf_key", folder=tmp_path / "queue", every_s=0.01)
    yield made
    made.close()


def told(receiver: Receiver, calls: Calls) -> list[dict[str, Any]]:
    """All events, once it is closed."""
    calls.close()
    return [json.loads(one) for one in receiver.known.values()]


def properties(receiver: Receiver, calls: Calls) -> dict[str, str]:
    (one,) = told(receiver, calls)
    found: dict[str, str] = one["properties"]
    return found


# --- what is told


def test_a_block_tells_of_its_call_with_all_that_is_known(receiver: Receiver, calls: Calls) -> None:
    with calls.track(
        provider="openai", model="gpt-x", endpoint="/v1/chat/completions", customer="acme", user="ann",
        tags=["search", "beta"], key="prod-1", tier="batch",
    ) as call:  # fmt: skip
        call.units(input_tokens=86, output_tokens=172)
        call.cost("0.0123", "USD")
        call.status(200)
        call.request_id("req_1")
        call.note("purpose", "summaries")

    (one,) = told(receiver, calls)

    assert ("openai:req_1", "acme", "api.call") == (one["transaction_id"], one["customer_id"], one["event_type"])
    latency = one["properties"].pop("latency_ms")
    assert {
        "provider": "openai", "model": "gpt-x", "endpoint": "/v1/chat/completions", "tier": "batch", "user": "ann",
        "key": "prod-1", "tags": "beta,search", "status": "200", "request_id": "req_1", "cost": "0.0123",
        "currency": "USD", "units.requests": "1", "units.input_tokens": "86", "units.output_tokens": "172",
        "purpose": "summaries",
    } == one["properties"]  # fmt: skip
    assert 0 < Decimal(latency) < 60_000
    assert {"/v1/events"} == {one["path"] for one in receiver.headers}
    assert {"Bearer hf_key"} == {one["authorization"] for one in receiver.headers}


def test_a_call_of_which_nothing_is_known_is_one_request_of_somebody(receiver: Receiver, calls: Calls) -> None:
    with calls.track(provider="maps"):
        pass

    (one,) = told(receiver, calls)

    assert "anonymous" == one["customer_id"]
    assert {"provider", "latency_ms", "units.requests"} == one["properties"].keys()


def test_an_exception_goes_on_and_only_its_name_is_told(receiver: Receiver, calls: Calls) -> None:
    with pytest.raises(ValueError, match="sk-secret"), calls.track(provider="openai"):
        raise ValueError("wrong key sk-secret")

    known = properties(receiver, calls)

    assert "ValueError" == known["error"]
    assert "secret" not in json.dumps(known)


def test_what_an_exception_says_is_told_where_that_is_wanted(receiver: Receiver, tmp_path: Path) -> None:
    calls = Calls(receiver.url, "hf_key", folder=tmp_path / "queue", every_s=0.01, messages=True)

    with pytest.raises(ValueError, match="too long"), calls.track(provider="openai"):
        raise ValueError("the prompt is too long")

    assert "ValueError: the prompt is too long" == properties(receiver, calls)["error"]


class RateLimitedError(Exception):
    status_code = 429


def test_the_status_of_an_exception_is_told(receiver: Receiver, calls: Calls) -> None:
    with pytest.raises(RateLimitedError), calls.track(provider="openai"):
        raise RateLimitedError

    known = properties(receiver, calls)

    assert ("429", "RateLimitedError") == (known["status"], known["error"])


def test_a_decorated_function_is_called_as_it_was_and_its_calls_are_told(receiver: Receiver, calls: Calls) -> None:
    @calls.track(provider="openai", model="gpt-x")
    def asked(question: str, *, loud: bool) -> str:
        """Says it."""
        call = calls.call()
        assert call is not None
        call.units(requests=2)
        return question.upper() if loud else question

    assert "HELLO" == asked("hello", loud=True)
    assert "hello" == asked("hello", loud=False)
    assert ("asked", "Says it.", None) == (asked.__name__, asked.__doc__, calls.call())
    assert ["2", "2"] == [one["properties"]["units.requests"] for one in told(receiver, calls)]


async def test_functions_of_an_event_loop_have_each_a_call_of_their_own(receiver: Receiver, calls: Calls) -> None:
    both = asyncio.Barrier(2)

    @calls.track(provider="openai")
    async def asked(n: int) -> None:
        await both.wait()  # both are under way
        call = calls.call()
        assert call is not None
        call.units(input_tokens=n)

    await asyncio.gather(asked(1), asked(20))

    assert {"1", "20"} == {one["properties"]["units.input_tokens"] for one in told(receiver, calls)}


async def test_a_cancelled_call_is_told_and_stays_cancelled(receiver: Receiver, calls: Calls) -> None:
    begun = asyncio.Event()

    async def asked() -> None:
        async with calls.track(provider="openai"):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(asked())
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert "CancelledError" == properties(receiver, calls)["error"]


def test_a_generator_is_refused_in_words(calls: Calls) -> None:
    def pieces() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="inside of it"):
        calls.track(provider="openai")(pieces)


def test_whose_calls_they_are_is_said_once_for_all_within(receiver: Receiver, calls: Calls) -> None:
    with calls_of("acme", user="ann", tags=["web"]), calls_of(user="bob", tags=["search"]):
        with calls.track(provider="openai"):
            pass
        with calls.track(provider="openai", customer="globex", tags=["own"]):
            pass
    with calls.track(provider="openai"):
        pass

    found = [
        (one["customer_id"], one["properties"].get("user"), one["properties"].get("tags"))
        for one in told(receiver, calls)
    ]
    assert [
        ("acme", "bob", "search,web"), ("globex", "bob", "own,search,web"), ("anonymous", None, None),
    ] == found  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "answer", "units"),
    [
        ("openai", CHAT, {"input_tokens": "86", "cached_tokens": "1920", "output_tokens": "172",
                          "reasoning_tokens": "128", "requests": "1"}),
        ("anthropic", MESSAGE, {"input_tokens": "21", "cached_tokens": "188086", "cache_write_tokens": "750",
                                "cache_write_1h_tokens": "250", "output_tokens": "393", "search_queries_medium": "2",
                                "requests": "1"}),
    ],
)  # fmt: skip
def test_units_are_read_out_of_an_answer(
    receiver: Receiver, calls: Calls, provider: str, answer: dict[str, Any], units: dict[str, str]
) -> None:
    class Answered:
        def model_dump(self) -> dict[str, Any]:
            return answer

    with calls.track(provider=provider) as call:
        call.read(Answered())

    known = properties(receiver, calls)

    assert units == {name[6:]: value for name, value in known.items() if name.startswith("units.")}
    assert answer["model"] == known["model"]


@pytest.mark.parametrize("answer", [None, 7, object(), [], {"usage": 3}, {"usage": {"prompt_tokens": "many"}}])
def test_what_is_no_answer_says_nothing_and_breaks_nothing(receiver: Receiver, calls: Calls, answer: object) -> None:
    with calls.track(provider="openai") as call:
        call.read(answer)

    assert "units.input_tokens" not in properties(receiver, calls)


def test_what_is_no_amount_is_left_out_and_named(receiver: Receiver, calls: Calls) -> None:
    with calls.track(provider="openai") as call:
        call.units(input_tokens=float("nan"), output_tokens="a few", cached_tokens=1)
        call.units(**{"Not A Kind": 1})
        call.cost("1e-19", "USD")
        call.cost("1", "dollars")
        call.cost("0.1", "USD")
        call.cost("0.2", "USD")
        call.cost("1", "EUR")  # which is another money

    known = properties(receiver, calls)

    assert "input_tokens, output_tokens, Not A Kind, cost" == known["unread"]
    assert ("1", "0.3", "USD") == (known["units.cached_tokens"], known["cost"], known["currency"])
    assert "units.input_tokens" not in known


def test_no_digit_of_what_is_added_up_is_rounded_away(receiver: Receiver, calls: Calls) -> None:
    with calls.track(provider="openai") as call:
        for _ in range(2):
            call.units(gb="12345678901234567890.123456789012345678")
            call.cost("12345678901234567890.123456789012345678", "USD")

    known = properties(receiver, calls)

    assert ["24691357802469135780.246913578024691356"] * 2 == [known["units.gb"], known["cost"]]


def test_a_run_of_apify_counts_once_with_its_cost_to_the_last_digit(receiver: Receiver, calls: Calls) -> None:
    run = json.loads(json.dumps(RUN), parse_float=Decimal)
    for _ in range(2):
        calls.apify_run(run, customer="acme")

    (one,) = told(receiver, calls)

    known = one["properties"]
    assert ("apify:run:HG7ML7M8z78YcAPEB", "2026-11-28T12:00:00Z", "acme") == (
        one["transaction_id"], one["timestamp"], one["customer_id"],
    )  # fmt: skip
    assert ("apify", "shop~crawler", "0.0125500000000001", "USD", "90.5", "0.0502", "90500") == tuple(
        known[name]
        for name in ("provider", "model", "cost", "currency", "units.seconds", "units.compute_units", "latency_ms")
    )


def test_a_call_that_is_told_of_twice_counts_once(receiver: Receiver, calls: Calls) -> None:
    for _ in range(2):
        with calls.track(provider="openai") as call:
            call.request_id("req_1")

    assert 1 == len(told(receiver, calls))


# --- what nobody pays for


def test_calls_that_cannot_be_kept_are_counted_and_told(receiver: Receiver, tmp_path: Path) -> None:
    calls = Calls(receiver.url, "hf_key", folder=tmp_path / "queue", every_s=3600, most_waiting=3)
    for _ in range(10):
        with calls.track(provider="openai"):
            pass

    found = told(receiver, calls)

    assert (7, 3) == (calls.dropped, calls.recorded)
    assert ["7"] == [one["properties"]["n"] for one in found if one["event_type"] == "api.calls_dropped"]


def test_a_server_that_is_away_loses_nothing(receiver: Receiver, tmp_path: Path) -> None:
    away = Calls("http://127.0.0.1:9", "hf_key", folder=tmp_path / "queue", every_s=0.01, tell=lambda _: None)
    with away.track(provider="openai") as call:
        call.request_id("req_1")
    away.close(patience_s=0.2)
    assert 0 < away._background.queue.bytes_waiting()

    back = Calls(receiver.url, "hf_key", folder=tmp_path / "queue", every_s=0.01)
    with back.track(provider="openai") as call:
        call.request_id("req_2")

    assert {"openai:req_1", "openai:req_2"} == {one["transaction_id"] for one in told(receiver, back)}


def test_a_fork_tells_of_its_own_calls(receiver: Receiver, calls: Calls) -> None:
    child = os.fork()
    if child == 0:
        with calls.track(provider="forked"):
            pass
        calls.close()
        os._exit(0)
    assert 0 == os.waitpid(child, 0)[1]
    with calls.track(provider="parent"):
        pass

    assert {"forked", "parent"} == {one["properties"]["provider"] for one in told(receiver, calls)}


MOST_US = 60.0


def test_a_call_costs_its_program_few_microseconds(tmp_path: Path) -> None:
    """The best of some tries: others use this machine, too."""
    calls = Calls("http://127.0.0.1:9", "k", folder=tmp_path / "q", every_s=3600, most_waiting=10**6)
    n = 2_000

    def took() -> float:
        begun = time.thread_time_ns()
        for _ in range(n):
            with calls.track(provider="openai", model="gpt-x", tags=["a"]) as call:
                call.units(input_tokens=86, output_tokens=172)
        return (time.thread_time_ns() - begun) / n / 1_000

    tries = sorted(took() for _ in range(5))
    print(f"\n{tries[0]:.1f} us a call at best, {median(tries):.1f} in the middle")

    assert tries[0] < MOST_US


def test_calls_of_many_threads_are_all_told(receiver: Receiver, calls: Calls) -> None:
    def some() -> None:
        for _ in range(50):
            with calls.track(provider="openai") as call:
                call.units(input_tokens=1)

    threads = [threading.Thread(target=some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 400 == len(told(receiver, calls))


# --- amounts and names


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_every_amount_that_is_told_is_one_that_the_server_takes_to_the_digit(given: Decimal) -> None:
    text = exact(given)

    if text is None:
        assert amount(f"{given:f}") is None or len(f"{given:f}".partition(".")[2]) > 18
    else:
        assert amount(text) is not None
        assert given == Decimal(text)


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        ("12.50", "12.5"),
        (Decimal("1E+3"), "1000"),
        (True, None),
        ("", None),
        (Decimal("Infinity"), None),
        (10**21, None),
        (Decimal("1E+999999"), None),
    ],
)
def test_amounts_are_spelled_without_exponents(given_: Any, text: str | None) -> None:
    assert text == exact(given_)


def test_tags_are_a_list_of_json_where_a_comma_is_in_one() -> None:
    assert "a,b" == tags_text(["b", "a", "a", " "])
    assert '["a,b","c"]' == tags_text(["c", "a,b"])


def test_names_are_as_long_as_the_server_takes_and_the_same_for_the_same_call() -> None:
    assert "openai:r" == transaction_id("openai", "r", "else")
    assert "else" == transaction_id("openai", " ", "else")
    for request_id in ("x" * 500, "\ud800"):
        name = transaction_id("p" * 500, request_id, "else")
        assert name == transaction_id("p" * 500, request_id, "")
        assert len(name) <= 128
        assert name.encode()


def test_what_no_event_can_hold_is_replaced(tmp_path: Path) -> None:
    made = Made("p\x00", 0, model="m" * 9_999, customer="\ud800", tags=["a\nb"])

    one = json.loads(event_of(made, "x"))

    assert ("p\N{REPLACEMENT CHARACTER}", 512) == (one["properties"]["provider"], len(one["properties"]["model"]))
