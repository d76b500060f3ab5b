"""What may stand at the head of a part of a form: no charset but UTF-8, wherever in the head another is named."""

from __future__ import annotations

import pytest

from heartfly.web.form_parts import are_utf8

DISPOSITION = b'Content-Disposition: form-data; name="a"'
LONG = b"X-%d: " + b"x" * 4_200
PUNYCODE = b"Content-Type: text/plain; charset=punycode"


def form(*lines: bytes) -> bytes:
    return b"--x\r\n" + b"\r\n".join(lines) + b"\r\n\r\ntext\r\n--x--\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        [DISPOSITION],
        [DISPOSITION, b"Content-Type: text/plain; charset=utf-8"],
        [DISPOSITION, b'content-type: text/plain; charset="UTF8"; x=y'],
        [DISPOSITION, b"Content-Type: text/plain; charset=us-ascii"],
        [b'Content-Disposition: form-data; name="_charset_"'],
        [b'Content-Disposition: form-data; name="a"; filename="charset.csv"', b"Content-Type: text/csv"],
        [b'Content-Disposition: form-data; name="a";', b' filename="charset=punycode"'],
        [DISPOSITION, b"", PUNYCODE],
    ],
    ids=["none", "utf-8", "quoted", "ascii", "a field's name", "a file's name", "folded", "in the text"],
)
def test_a_part_in_utf8_is_taken_whatever_it_is_called(lines: list[bytes]) -> None:
    assert are_utf8(form(*lines), "x")


@pytest.mark.parametrize(
    "lines",
    [
        [PUNYCODE, DISPOSITION],
        [LONG % 1, LONG % 2, DISPOSITION, PUNYCODE],
        [*(LONG % n for n in range(6)), DISPOSITION, PUNYCODE],
        [DISPOSITION, b"CONTENT-TYPE : text/plain; Charset = punycode"],
        [DISPOSITION, b"\x0bContent-Type\xc2\xa0: text/plain; charset=idna"],
        [DISPOSITION, b"Content-Type: text/plain;", b"\tcharset=punycode"],
        [DISPOSITION, b"Content-Type: text/plain; a=--x; charset=punycode"],
        [DISPOSITION, b"Content-Type: text/plain; charset=utf-8", PUNYCODE],
        [DISPOSITION, b'Content-Type: text/plain; charset="utf-8; charset=punycode'],
        [b"", b"--x", DISPOSITION, PUNYCODE],
        [DISPOSITION, b"", b"first", b"--x", DISPOSITION, PUNYCODE],
    ],
    ids=[
        "first", "behind two long ones", "behind as many as there may be", "capitals", "blanks", "folded",
        "behind the boundary", "twice", "in quotes", "after an empty head", "of the second part",
    ],
)  # fmt: skip
def test_a_part_in_another_charset_is_found(lines: list[bytes]) -> None:
    assert not are_utf8(form(*lines), "x")
