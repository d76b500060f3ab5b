"""Records in a file that only grows: each in a frame with its length and a checksum, so that a torn end is seen.

    file   = opening: MAGIC, the file's key (16 bytes), then frames
    frame  = MARK (4 bytes), length (4, big endian), checksum (8), payload

A crash leaves a last frame that is cut off or not whole: it was never acknowledged. A frame that is damaged in the
middle costs itself only: reading goes on at the next one that is whole. The checksum takes the file's own key, so
nothing that stands inside of a payload can pass for a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

MAGIC = b"HFFRAME1"
KEY_BYTES = 16
OPENING_BYTES = len(MAGIC) + KEY_BYTES

_MARK = b"\xf5\xc3HF"
_SUM_BYTES = 8
_HEAD_BYTES = len(_MARK) + 4 + _SUM_BYTES


@dataclass(frozen=True, slots=True)
class Framed:
    """`end`: where its frame ends, counted as the caller counts. `lost`: bytes before it that belong to no frame."""

    payload: bytes
    end: int
    lost: int = 0


def opening(key: bytes) -> bytes:
    """How a file begins. `key`: KEY_BYTES by chance."""
    return MAGIC + key


def key_in(data: bytes) -> bytes | None:
    """Of a file that begins with `data`; None: it is no such file, or its opening is torn."""
    if len(data) < OPENING_BYTES or not data.startswith(MAGIC):
        return None
    return data[len(MAGIC) : OPENING_BYTES]


def framed(payload: bytes, key: bytes) -> bytes:
    length = len(payload).to_bytes(4)
    return b"".join((_MARK, length, _checksum(length, payload, key), payload))


def frame_bytes(payload: bytes) -> int:
    return _HEAD_BYTES + len(payload)


def frames_in(data: bytes, key: bytes, *, at: int, most: int) -> Sequence[Framed]:
    """The first whole frames in `data`, which stands at `at` in its file.

    What follows the last of them is torn, damaged, or goes on behind `data`: whoever has more asks again from there.
    """
    found: list[Framed] = []
    start = through = 0
    while 0 <= start < len(data) and len(found) < most:
        end = _end_of(data, start, key)
        if end is None:
            start = data.find(_MARK, start + 1)
            continue
        found.append(Framed(data[start + _HEAD_BYTES : end], at + end, lost=start - through))
        start = through = end
    return found


def _end_of(data: bytes, start: int, key: bytes) -> int | None:
    """Where the frame ends that begins here; None: there is none that is whole."""
    head = data[start : start + _HEAD_BYTES]
    if len(head) < _HEAD_BYTES or not head.startswith(_MARK):
        return None
    length = head[len(_MARK) : len(_MARK) + 4]
    end = start + _HEAD_BYTES + int.from_bytes(length)
    if end > len(data) or head[-_SUM_BYTES:] != _checksum(length, data[start + _HEAD_BYTES : end], key):
        return None
    return end


def _checksum(length: bytes, payload: bytes, key: bytes) -> bytes:
    return blake2b(length + payload, digest_size=_SUM_BYTES, key=key).digest()
