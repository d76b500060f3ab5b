"""The picture at the head of a status page: which files are taken, and what of them is kept and shown.

PNG and JPEG only, for an SVG can hold scripts. Of a file is kept what draws the picture, byte for byte: text, places,
cameras, thumbnails, animation and whatever was hung on at its end go. Nothing here unpacks a pixel.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from base64 import b64decode
from dataclasses import dataclass

from heartfly.errors import InvalidValueError

MOST_BYTES = 32_000
MOST_PIXELS = 1_024
"""Each way."""
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg"}

_PNG, _JPEG, _JPEG_END = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd9"
_JPEG_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends a scan: no byte that was stuffed, restart or filler. A picture may come in several scans."""
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"sRGB", b"IDAT", b"IEND"})
# Tables, restart intervals, and what says how colours are put together: JFIF's and Adobe's.
_JPEG_KEPT = frozenset({0xC4, 0xDB, 0xDD, 0xE0, 0xEE})
_JPEG_SIZES = frozenset({0xC0, 0xC1, 0xC2})
_JPEG_SCAN = 0xDA


@dataclass(frozen=True, slots=True)
class Logo:
    """`name`: of another picture another one. Empty, without content: there is none."""

    name: str
    content: bytes


NONE = Logo("", b"")


def logo_of(file: bytes) -> Logo:
    """InvalidValueError: it is none that can be shown. Of no bytes it is no logo."""
    if not file:
        return NONE
    if len(file) > MOST_BYTES:
        raise InvalidValueError("logo", f"must have at most {MOST_BYTES // 1_000} kB, not {-(-len(file) // 1_000)}")
    if file.startswith(_PNG):
        kind, content = "png", _png(file)
    elif file.startswith(_JPEG):
        kind, content = "jpg", _jpeg(file)
    else:
        raise InvalidValueError("logo", "must be a PNG or JPEG file")
    return Logo(f"{hashlib.sha256(content).hexdigest()[:16]}.{kind}", content)


def logo_of_base64(text: str) -> Logo:
    """As `logo_of`, of a file in base64."""
    try:
        file = b64decode(text, validate=True)
    except ValueError:
        raise InvalidValueError("logo", "must be a file in base64") from None
    return logo_of(file)


def _png(file: bytes) -> bytes:
    kept, at, kind = [_PNG], len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", _taken(file, at, 8))
        data = _taken(file, at + 8, length)
        if _taken(file, at + 8 + length, 4) != struct.pack(">I", zlib.crc32(kind + data)):
            raise _damaged()
        if (kind == b"IHDR") != (len(kept) == 1):
            raise _damaged()
        if kind == b"IHDR":
            if length != 13:
                raise _damaged()
            _demand_small(*struct.unpack(">II", data[:8]))
        if kind in _PNG_KEPT:
            kept.append(file[at : at + 12 + length])
        at += 12 + length
    if not any(chunk[4:8] == b"IDAT" for chunk in kept[1:]):
        raise _damaged()
    return b"".join(kept)


def _jpeg(file: bytes) -> bytes:
    kept, at, has_size, has_scan = [file[:2]], 2, False, False
    while file[at : at + 2] != _JPEG_END:
        sign, kind, length = struct.unpack(">BBH", _taken(file, at, 4))
        segment = _taken(file, at, 2 + length)
        if sign != 0xFF or length < 2 or (kind in _JPEG_SIZES and has_size):
            raise _damaged()
        at += 2 + length
        if kind in _JPEG_SIZES:
            height, width = struct.unpack(">HH", _taken(segment, 5, 4))
            _demand_small(width, height)
            has_size = True
        if kind in _JPEG_KEPT or kind in _JPEG_SIZES:
            kept.append(segment)
        elif kind == _JPEG_SCAN:
            mark = _JPEG_MARK.search(file, at)
            if mark is None or not has_size:
                raise _damaged()
            kept += [segment, file[at : mark.start()]]
            at, has_scan = mark.start(), True
    if not has_scan:
        raise _damaged()
    return b"".join([*kept, _JPEG_END])


def _taken(file: bytes, at: int, n: int) -> bytes:
    piece = file[at : at + n]
    if len(piece) != n:
        raise _damaged()
    return piece


def _demand_small(width: int, height: int) -> None:
    if not (0 < width <= MOST_PIXELS and 0 < height <= MOST_PIXELS):
        raise InvalidValueError("logo", f"must be at most {MOST_PIXELS} pixels wide and high, not {width} by {height}")


def _damaged() -> InvalidValueError:
    return InvalidValueError("logo", "is damaged, or no picture that browsers show")
