"""Bodies that Sentry's SDK packs with Brotli where that is installed beside it: read if our extra is, else refused.

Bounded as all that is unpacked: of a piece of the input no more comes out at once than is let out.
"""

from __future__ import annotations

from heartfly.api.compat.telemetry.signal import UnreadableError, as_text

_PIECE = 16_384


def unpacked(raw: bytes, *, most: int) -> bytes:
    """UnreadableError: 413 beyond `most` bytes, 400 if it is no Brotli, 415 if we cannot read any."""
    try:
        import brotli  # noqa: PLC0415 - an extra
    except ImportError:
        raise UnreadableError(as_text("Brotli is not read here: the extra brotli is not installed", 415)) from None
    stream, found, rest = brotli.Decompressor(), bytearray(), raw
    try:
        while not stream.is_finished():
            before = len(found)
            found += stream.process(rest, output_buffer_limit=_PIECE)
            rest = b""
            if len(found) > most:
                raise UnreadableError(as_text(f"the body is larger than {most} bytes", 413))
            if len(found) == before and stream.can_accept_more_data():
                raise UnreadableError(as_text("the body is not one whole stream of Brotli", 400))
    except brotli.error:
        raise UnreadableError(as_text("the body is not what Brotli makes", 400)) from None
    return bytes(found)
