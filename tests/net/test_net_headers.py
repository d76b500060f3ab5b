"""Which headers the caller may set, and what leaves."""

from __future__ import annotations

import pytest

from heartfly.errors import InvalidValueError
from heartfly.net.headers import check_headers, outgoing_headers


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("", "x", "is not the name of a header"),
        ("X Y", "x", "is not the name of a header"),
        ("X:", "x", "is not the name of a header"),
        ("X\r\nY", "x", "is not the name of a header"),
        ("Ü", "x", "is not the name of a header"),
        ("Host", "internal.example", "is set by Heartfly itself"),
        ("content-LENGTH", "5", "is set by Heartfly itself"),
        ("Transfer-Encoding", "chunked", "is set by Heartfly itself"),
        ("Accept-Encoding", "gzip", "is set by Heartfly itself"),
        ("x-heartfly-hop", "0", "is set by Heartfly itself"),
        ("X-Name", "a\r\nHost: b", "line break or a control character"),
        ("X-Name", "a\nb", "line break or a control character"),
        ("X-Name", "a\x00", "line break or a control character"),
        ("X-Name", "\x7f", "line break or a control character"),
        ("X-Name", "\ud800", "line break or a control character"),
    ],
)
def test_headers_that_frame_or_forge_are_refused(name: str, value: str, words: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_headers({"X-Fine": "yes", name: value}, field="config.headers")

    assert "config.headers" == caught.value.field
    assert words in caught.value.message


def test_the_value_of_a_refused_header_is_not_repeated() -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_headers({"Authorization": "Bearer s3cr3t\n"}, field="headers")

    assert "s3cr3t" not in str(caught.value)


def test_ordinary_headers_leave_as_they_are_beside_ours() -> None:
    headers = {"Authorization": "Bearer x", "X-Name": " Bäckerei\tb ", "user-agent": "mine"}

    check_headers(headers, field="headers")
    sent = outgoing_headers(headers, user_agent="Heartfly")

    assert [
        (b"user-agent", b"mine"),
        (b"Accept", b"*/*"),
        (b"Authorization", b"Bearer x"),
        (b"X-Name", "Bäckerei\tb".encode()),
        (b"Accept-Encoding", b"identity"),
        (b"X-Heartfly-Hop", b"1"),
    ] == sent


def test_what_is_no_alert_does_not_say_that_it_is_one() -> None:
    sent = outgoing_headers({}, user_agent="Heartfly", of_alerts=False)

    assert [b"User-Agent", b"Accept", b"Accept-Encoding"] == [name for name, _ in sent]


def test_the_same_header_twice_in_different_case_leaves_once() -> None:
    sent = outgoing_headers({"X-A": "1", "x-a": "2"}, user_agent="Heartfly")

    assert [(b"x-a", b"2")] == [(name, value) for name, value in sent if name.lower() == b"x-a"]
