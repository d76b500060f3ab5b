"""Records in a file that only grows: whatever a crash leaves of it, all that was whole is read, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.frames import KEY_BYTES, OPENING_BYTES, frame_bytes, framed, frames_in, key_in, opening

KEY = bytes(range(KEY_BYTES))
PAYLOADS = st.lists(st.binary(max_size=60), max_size=8)


def together(payloads: Sequence[bytes]) -> bytes:
    return b"".join(framed(one, KEY) for one in payloads)


def read(data: bytes, *, most: int = 100) -> list[bytes]:
    return [one.payload for one in frames_in(data, KEY, at=0, most=most)]


@given(PAYLOADS)
def test_what_was_written_is_read_in_its_order(payloads: list[bytes]) -> None:
    found = frames_in(together(payloads), KEY, at=1000, most=100)

    assert payloads == [one.payload for one in found]
    ends = [1000 + sum(map(frame_bytes, payloads[: n + 1])) for n in range(len(payloads))]
    assert ends == [one.end for one in found]
    assert not any(one.lost for one in found)


@given(PAYLOADS, st.data())
def test_an_end_that_was_torn_off_anywhere_costs_only_what_was_not_whole(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = together(payloads)
    cut = data.draw(st.integers(0, len(whole)))
    kept = [n for n in range(len(payloads)) if sum(map(frame_bytes, payloads[: n + 1])) <= cut]

    assert payloads[: len(kept)] == read(whole[:cut])


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=8), st.data())
def test_a_byte_that_is_wrong_costs_its_own_record_only(payloads: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(together(payloads))
    place, flip = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    whole[place] ^= flip
    ends = [sum(map(frame_bytes, payloads[: n + 1])) for n in range(len(payloads))]
    hit = next(n for n, end in enumerate(ends) if place < end)

    found = frames_in(bytes(whole), KEY, at=0, most=100)

    assert payloads[:hit] + payloads[hit + 1 :] == [one.payload for one in found]
    lost = [one.lost for one in found]
    assert ([0] * hit + [frame_bytes(payloads[hit])] + [0] * len(payloads))[: len(found)] == lost


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_what_stands_inside_of_a_torn_record_is_none(forged: bytes, before: bytes) -> None:
    """Whoever pings writes the body: he does not know the key."""
    torn = framed(before + framed(forged, b"k" * KEY_BYTES) + b"more", KEY)[:-1]

    assert [] == read(torn)


def test_some_are_read_at_a_time() -> None:
    data = together([b"a", b"b", b"c"])

    first = frames_in(data, KEY, at=0, most=2)

    assert [b"a", b"b"] == [one.payload for one in first]
    assert [b"c"] == read(data[first[-1].end :])


@pytest.mark.parametrize("data", [b"", opening(KEY)[:-1], b"x" * OPENING_BYTES], ids=["nothing", "torn", "another"])
def test_a_file_that_does_not_begin_as_ours_has_no_key(data: bytes) -> None:
    assert key_in(data) is None


def test_the_key_stands_in_the_opening() -> None:
    assert KEY == key_in(opening(KEY) + b"more")
