"""Bodies of events: what they may look like, and what a hostile one costs."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from anyio import lowlevel

from heartfly.api.body import NotJsonError
from heartfly.api.event_bodies import LARGE, MAX_BYTES, BodyTooLargeError, events_in, events_of
from heartfly.core.amounts import Number
from heartfly.errors import InvalidValueError
from heartfly.usage.ingest import Unreadable

LINES = "application/x-ndjson; charset=utf-8"
TRIES = 8


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"[]", []),
        (b'[{"a": 1}, 2, "x", null]', [{"a": "1"}, "2", "x", None]),
        (b'{"a": 1.50}', [{"a": "1.50"}]),
        (b' \n[{"a": 123456789012345678901234567890.1}]', [{"a": "123456789012345678901234567890.1"}]),
    ],
)
def test_an_array_or_one_event_is_read_with_numbers_as_they_were(body: bytes, found: list[Any]) -> None:
    assert found == events_in(body)
    assert found == events_in(body, media_type="application/json", encoding="identity")
    assert found == events_in(gzip.compress(body), encoding=" GZIP ")


def test_a_number_is_told_from_a_text() -> None:
    (one,) = events_in(b'{"a": 1, "b": "1"}')

    assert (Number, str) == (type(one["a"]), type(one["b"]))


def test_lines_are_looked_at_one_by_one() -> None:
    body = b'{"a": 1}\n\n  \r\n{"a": \n{"b": NaN}\n\xff\n' + b"[" * 50 + b"]" * 50 + b"\n[1]"

    first, cut, odd, bytes_, deep, last = events_in(body, media_type=LINES)

    assert ({"a": "1"}, ["1"]) == (first, last)
    assert [Unreadable] * 4 == [type(one) for one in (cut, odd, bytes_, deep)]
    assert ('{"a": ', '{"b": NaN}', "\N{REPLACEMENT CHARACTER}") == (cut.raw, odd.raw, bytes_.raw)
    assert "is no number of JSON" in odd.reason
    assert "nested at most 32 deep" in deep.reason


@pytest.mark.parametrize("body", [b"", b"[", b"1", b'"text"', b"null", b"[NaN]", b"\xff", b"[" * 40 + b"]" * 40])
def test_what_is_no_json_of_events_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        events_in(body)


@pytest.mark.parametrize("media_type", ["", LINES])
def test_more_than_a_request_may_hold_are_refused_as_a_whole(media_type: str) -> None:
    body = b"[" + b",\n".join([b"{}"] * 2001) + b"]" if not media_type else b"{}\n" * 2001

    with pytest.raises(InvalidValueError, match="holds 2001 events; at most 2000"):
        events_in(body, media_type=media_type)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "is not what gzip makes"),
        (gzip.compress(b"[]")[:-4], "is not one whole stream of gzip"),
        (gzip.compress(b"[]") + b"more", "is not one whole stream of gzip"),
        (gzip.compress(b"[]") + gzip.compress(b"[]"), "is not one whole stream of gzip"),
        (b"", "is not one whole stream of gzip"),
    ],
    # Named by hand: a packed body holds the second it was packed in.
    ids=["not packed", "cut short", "more behind it", "two streams", "empty"],
)
def test_a_packed_body_must_be_whole(body: bytes, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said) as raised:
        events_in(body, encoding="gzip")
    assert "Content-Encoding" == raised.value.field


def test_another_encoding_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidValueError, match="'br' is not read"):
        events_in(b"[]", encoding="br")


def test_a_bomb_is_unpacked_no_further_than_a_body_may_be_long() -> None:
    packing = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packing.compress(bytes(1 << 20)) for _ in range(500)) + packing.flush()
    began = time.process_time()

    with pytest.raises(BodyTooLargeError):
        events_in(bomb, encoding="gzip")
    assert 0.5 > time.process_time() - began


def test_a_body_that_is_too_long_is_refused() -> None:
    with pytest.raises(BodyTooLargeError, match="larger than 4 MiB"):
        events_in(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize("some", [b"0,", b"{},", b"[],", b'{"a":0},'])
def test_more_values_than_events_can_have_are_counted_and_not_read(some: bytes) -> None:
    """Of four MiB of zeros Python makes a quarter of a GiB."""
    many = b"[[" + some * ((MAX_BYTES - 9) // len(some)) + b"0]]"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidValueError, match="more than 300000 values"):
            events_in(many)
        with pytest.raises(InvalidValueError, match="more than 300000 values"):
            events_in(many, media_type="application/x-ndjson")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 6 * MAX_BYTES > most


def test_a_line_that_leaves_a_text_open_hides_no_values_of_the_next() -> None:
    with pytest.raises(InvalidValueError, match="more than 300000 values"):
        events_in(b'"\n[' + b"0," * 300_000 + b"0]", media_type=LINES)
    (_, told) = events_in(b'"\n["' + b"0," * 300_000 + b'"]', media_type=LINES)
    assert ["0," * 300_000] == told


@pytest.mark.parametrize("line", [b"ab\n", b" \n", b"\r\n", b"\n"])
def test_lines_are_counted_before_they_are_split(line: bytes) -> None:
    """Of four MiB of short lines the lines alone are 70; blank ones are none."""
    body = line * ((MAX_BYTES - 3) // len(line)) + b"[1]"
    tracemalloc.start()
    try:
        if line.strip():
            with pytest.raises(InvalidValueError, match=r"holds \d{7} events; at most 2000"):
                events_in(body, media_type=LINES)
        else:
            assert [["1"]] == events_in(body, media_type=LINES)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body) > most


@pytest.mark.anyio
@pytest.mark.parametrize("packed", [False, True])
async def test_others_are_served_while_a_large_body_of_numbers_is_read(*, packed: bool) -> None:
    """Its numbers alone would hold the interpreter from the first to the last.

    By what this process computes, and of some tries the best: while others have the processors, nobody here is held up.
    """
    body = b'[{"a": [' + b"1," * LARGE + b"1]}]"
    sent, encoding = (gzip.compress(body, 1), "gzip") if packed else (body, "")

    async def held() -> float:
        """The largest share of all that was computed in which nobody else had a turn."""
        reading = asyncio.create_task(events_of(sent, encoding=encoding))
        began = last = time.process_time()
        longest = 0.0
        while not reading.done():
            await lowlevel.checkpoint()
            now = time.process_time()
            longest, last = max(longest, now - last), now
        assert LARGE + 1 == len((await reading)[0]["a"])
        return longest / (last - began)

    least = 1.0
    for _ in range(TRIES):
        least = min(least, await held())
        if least < 0.5:
            break
    assert least < 0.5


@pytest.mark.anyio
async def test_a_large_body_is_what_a_small_one_would_be() -> None:
    body = b'[{"a": 1.50, "b": -0, "c": "1"}, 1e3]'

    assert events_in(body) == await events_of(gzip.compress(body), encoding="gzip")
    with pytest.raises(NotJsonError):
        await events_of(gzip.compress(b"[NaN]"), encoding="gzip")
