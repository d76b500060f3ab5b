"""Text from outside, made fit to be sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.notify.text import isolated, many_lines, one_line, tail, without_ping_addresses

HOST = "heartfly.example.com"
ANY_TEXT = st.text(st.characters(), max_size=300)
"""Any code point, lone surrogates included."""


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\0", "\x1b"])
def test_a_line_end_in_a_name_becomes_a_space(end: str) -> None:
    assert one_line(f"backup{end}Bcc: x@y.z") == "backup Bcc: x@y.z"


def test_a_long_name_is_cut_with_an_ellipsis() -> None:
    assert one_line("a" * 1_000_000, limit=5) == "aaaa…"


def test_a_name_of_just_the_limit_is_whole() -> None:
    assert one_line("aaaaa", limit=5) == "aaaaa"


def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    assert one_line("a\ud800b") == "a\ufffdb"


def test_an_override_that_would_reverse_the_text_behind_it_is_dropped() -> None:
    assert one_line("a\u202eb\u2067c\u2069") == "abc"


def test_right_to_left_text_is_isolated_from_the_sentence_around_it() -> None:
    assert isolated("גיבוי") == "\u2068גיבוי\u2069"


def test_other_text_is_not_touched_so_that_mail_filters_match_it() -> None:
    assert isolated("Sicherung 🦋") == "Sicherung 🦋"


@given(ANY_TEXT, st.integers(1, 60))
def test_one_line_is_one_line_within_the_limit_that_can_be_encoded(text: str, limit: int) -> None:
    line = one_line(text, limit=limit)
    line.encode()
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


def test_output_keeps_its_lines_and_loses_its_colours() -> None:
    assert many_lines("\x1b[1;31merror\x1b[0m\r\n\tat 1\rdone\n\n") == "error\n\tat 1\ndone"


def test_a_control_character_in_output_is_shown_as_one_that_cannot_be_shown() -> None:
    assert many_lines("a\0b\x85c") == "a\ufffdb\ufffdc"


@given(ANY_TEXT)
def test_output_has_no_control_characters_but_tab_and_newline(text: str) -> None:
    lines = many_lines(text)
    lines.encode()
    assert all(char in "\t\n" or char >= " " for char in lines)


def test_a_tail_begins_with_a_whole_line() -> None:
    assert tail("first line\nsecond\nthird line is long", limit=24) == "third line is long"


def test_a_tail_of_one_long_line_is_cut_within_it() -> None:
    assert tail("a" * 50 + "b" * 10, limit=12) == "aa" + "b" * 10


def test_a_tail_of_just_the_limit_is_whole() -> None:
    assert tail("one\ntwo", limit=7) == "one\ntwo"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "curl https://heartfly.example.com/ping/9c0e4c35-8a51-4a52-8d6e-9a0b7f1c2d3e/7 &&",
            "curl https://heartfly.example.com/ping/… &&",
        ),
        ("GET /ping/9C0E4C35-8A51-4A52-8D6E-9A0B7F1C2D3E?rid=1", "GET /ping/…"),
        ("http://10.0.0.7:8000/ping/Zk3v9QeR_u1X-7pLmN0aBc/nightly/start", "http://10.0.0.7:8000/ping/…"),
        ("(https://heartfly.example.com/9c0e4c35-8a51-4a52-8d6e-9a0b7f1c2d3e/fail)", "(https://heartfly.example.com/…"),
        ('"https://heartfly.example.com/Zk3v9QeR_u1X-7pLmN0aBc/nightly"', '"https://heartfly.example.com/…"'),
    ],
)
def test_a_ping_address_is_hidden(text: str, expected: str) -> None:
    assert without_ping_addresses(text, host=HOST) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://heartfly.example.com/p/acme/checks/5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a01",
        "the run 9c0e4c35-8a51-4a52-8d6e-9a0b7f1c2d3e",
        "https://other.example.com/9c0e4c35-8a51-4a52-8d6e-9a0b7f1c2d3e",
        "/ping/pong",
    ],
)
def test_what_is_no_ping_address_is_kept(text: str) -> None:
    assert without_ping_addresses(text, host=HOST) == text
