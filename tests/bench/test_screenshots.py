"""The pictures of the README are light, and packing one anew changes no point of it."""

from __future__ import annotations

import random
import zlib

import pytest

from bench.screenshots import KEPT, MOST_BYTES, smaller
from bench.served import ROOT


def png(lines: bytes, *, level: int, width: int, height: int) -> bytes:
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    chunks = [(b"IHDR", head), (b"tEXt", b"by\x00hand"), (b"IDAT", zlib.compress(lines, level)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )


def test_a_picture_packed_anew_is_the_same_picture() -> None:
    lines = b"".join(b"\0" + bytes([n % 7] * 300) for n in range(200))

    small = smaller(png(lines, level=0, width=300, height=200))
    start = small.index(b"IDAT")
    length = int.from_bytes(small[start - 4 : start], "big")
    assert lines == zlib.decompress(small[start + 4 : start + 4 + length])
    assert len(small) < 2_000


def test_a_picture_that_is_too_large_is_refused() -> None:
    lines = random.Random(1).randbytes(MOST_BYTES + 1_000)

    with pytest.raises(RuntimeError, match="too many for the README"):
        smaller(png(lines, level=0, width=1, height=1))


@pytest.mark.parametrize("name", KEPT)
def test_those_of_the_readme_are_there_and_light(name: str) -> None:
    assert 0 < (ROOT / "docs" / "images" / f"{name}.png").stat().st_size <= MOST_BYTES
    assert f"(docs/images/{name}.png)" in (ROOT / "README.md").read_text(encoding="utf-8")
