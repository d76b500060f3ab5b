"""Syslog's headers and frames: what is taken off, what is left, however it comes in pieces."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.syslog import MAX_MESSAGE, Frames, message_of

LINE = b'203.0.113.9 - - [28/Nov/2026:13:00:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "x: y"'


@pytest.mark.parametrize(
    ("header", "host"),
    [
        (b"<190>Nov 28 13:00:00 web-1 nginx: ", "web-1"),
        (b"<190>Nov  8 13:00:00 web-1 nginx[17]: ", "web-1"),
        (b"<190>Nov 28 13:00:00 nginx: ", ""),
        (b"<14>1 2026-11-28T13:00:00.123Z web-1 nginx 17 - - ", "web-1"),
        (b'<14>1 - web-1 nginx - ID47 [a@1 b="c\\"] d"][e f="]"] \xef\xbb\xbf', "web-1"),
        (b"<14>1 - - - - - - ", ""),
        (b"<14>", ""),
        (b"", ""),
    ],
)
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\0"])
def test_the_header_is_taken_off_and_the_line_is_left(header: bytes, host: str, end: bytes) -> None:
    assert (host, LINE) == message_of(header + LINE + end)


@given(st.binary(max_size=200))
def test_whatever_comes_is_some_message(raw: bytes) -> None:
    message_of(raw)
    message_of(b"<14>1 - - - - - " + raw)


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=40).filter(lambda one: b"\n" not in one and one.strip()), st.booleans()
        )
    ),
    st.lists(st.integers(1, 30), min_size=1),
)
def test_messages_are_told_apart_in_whatever_pieces_they_come(some: list[tuple[bytes, bool]], sizes: list[int]) -> None:
    # A line that begins like a length is one: who sends these counts.
    sent = [(b"<14>" + text, counted) for text, counted in some]
    stream = b"".join(b"%d %s" % (len(text), text) if counted else text + b"\n" for text, counted in sent)
    frames, found, place = Frames(), [], 0
    for n in range(len(stream) + 1):
        size = sizes[n % len(sizes)]
        found += frames.of(stream[place : place + size])
        place += size

    assert [text for text, _ in sent] == found
    assert 0 == frames.lost


def test_what_is_too_long_is_left_out_and_what_follows_is_not() -> None:
    frames = Frames()
    found = frames.of(b"70000 " + b"x" * 70_000 + b"3 <1>")
    for piece in (b"<2>" + b"y" * MAX_MESSAGE, b"y" * MAX_MESSAGE, b"y\n<3>z\n", b"99999999999 x\n"):
        found += frames.of(piece)

    assert [b"<1>", b"<3>z", b"99999999999 x"] == found
    assert 2 == frames.lost


@pytest.mark.parametrize(
    ("rest", "found", "lost"),
    [
        (b"<1>x", [b"<1>x"], 0),
        (b"17", [b"17"], 0),
        (b" ", [], 0),
        (b"", [], 0),
        (b"9 <1>x", [], 1),
        (b"70000 x", [], 1),
        (b"x" * (MAX_MESSAGE + 1), [], 1),
    ],
)
def test_the_end_of_a_stream_ends_its_last_line_and_breaks_off_what_has_a_length(
    rest: bytes, found: list[bytes], lost: int
) -> None:
    frames = Frames()
    before = frames.of(b"<1>a\n" + rest)

    assert ([b"<1>a"], found, lost) == (before, frames.end(), frames.lost)
    assert [] == frames.end()


def test_a_line_that_comes_whole_and_is_too_long_is_left_out() -> None:
    frames = Frames()

    assert [b"<1>a"] == frames.of(b"y" * (MAX_MESSAGE + 1) + b"\n<1>a\n")
    assert 1 == frames.lost


@pytest.mark.parametrize("one", [b"\n", b"a\n", b"1 a"])
def test_many_short_messages_in_one_piece_take_no_longer_each(one: bytes) -> None:
    def took(n: int) -> float:
        begun = time.process_time()
        Frames().of(one * n)
        return time.process_time() - begun

    few = min(took(20_000) for _ in range(3))

    # Where each message copied all that follows, eight times as many took more than sixty times as long.
    assert 30 * few > min(took(160_000) for _ in range(2))
