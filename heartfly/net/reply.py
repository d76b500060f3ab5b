"""A reply as it comes in: llhttp takes it apart, and what is kept of it has bounds.

What is read and what became of it is decided here; time limits are http.py's, the connection is wire.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httptools

MAX_BODY_BYTES = 64 * 1024
_MAX_CHUNKS = 256  # each costs a call; a reply worth reading has few

# How much of one reply is read, framing included, before and after its headers are complete. Without it
# a receiver that sends nothing but interim replies (`100 Continue`) keeps a core busy until the deadline.
MAX_HEAD_BYTES = 32 * 1024
_MAX_REST_BYTES = 128 * 1024

_FINAL = 200  # statuses below it say that another one comes

_CLOSED = "closed the connection without a reply"
_BROKE = "the connection broke before a reply came"
_INVALID = f"the reply is not valid HTTP, or its headers are over {MAX_HEAD_BYTES // 1024} KiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the receiver said. `headers` have lower-case names; repeated ones are joined by a comma.

    `cut`: it is not whole. Its body was over 64 KiB, or it broke off or the time ran out after the head had come; or
    the head itself could not be read to its end, and then there is no body, and of the headers those before that place.
    The receiver's answer is known all the same, and to send again would be a duplicate.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool


class _Stop(Exception):  # noqa: N818 - what the parser is told, and nobody else
    """No more of this is read."""


class Incoming:
    """The reply to one request, as far as it has come."""

    def __init__(self, *, to_head: bool = False, peer: str = "the receiver") -> None:
        """`peer`: at the other end of the connection."""
        self.sent = False
        """Whether any byte of the request has left."""
        self.done = False
        """Nothing more is wanted: it is whole, or cut, or no reply at all."""
        self.keep = False
        """The connection may carry another request."""
        self.trouble = _BROKE
        """Why there is no reply, if there is none."""
        self._to_head = to_head
        self._peer = peer
        self._status: int | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._n_chunks = 0
        self._whole = False
        self._allowance = MAX_HEAD_BYTES
        self._parser = httptools.HttpResponseParser(self)
        # Programs that print their own head end its lines as their system does; what comes after an announced end is
        # not read anyway.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_data_after_close=True)

    @property
    def reply(self) -> Reply | None:
        """None while the head is unknown."""
        if self._status is None:
            return None
        body = bytes(self._body[:MAX_BODY_BYTES])
        return Reply(status=self._status, headers=_joined(self._headers), body=body, cut=not self._whole)

    # --- for the connection

    def feed(self, data: bytes) -> None:
        while data and not self.done:
            some = data[: self._allowance]
            if not some:
                self._stop()  # a head that is too long, or a body
                return
            self._allowance -= len(some)
            data = data[len(some) :]
            try:
                self._parser.feed_data(some)
            except httptools.HttpParserInvalidStatusError:
                self._give_up()
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._stop()

    def end(self, *, broke: bool = False) -> None:
        """Nothing more comes."""
        self.keep = False
        if self.done:
            return
        self.done = True
        self.trouble = _BROKE if broke else f"{self._peer} {_CLOSED}"
        names = {name.lower() for name, _ in self._headers}
        # Without a length the end of the connection is the end of the body.
        self._whole = self._status is not None and not broke and names.isdisjoint(_FRAMING)

    def _stop(self) -> None:
        """Read no further. A status that is known is the answer, also if its head is wrong after that.

        Two lengths, a length and chunks, a folded line: whoever says so may mean another body than we would read. It is
        not read then, and the connection carries nothing more, so nobody can be deceived by where it ends.
        """
        status = self._parser.get_status_code()
        if self._status is None and status >= _FINAL:
            self._status = status
        self._give_up()

    def _give_up(self) -> None:
        self.done, self.keep = True, False
        self.trouble = _INVALID

    # --- for the parser

    def on_message_begin(self) -> None:
        if self._whole:
            raise _Stop  # bytes that nobody asked for
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._status is None:  # else it is of a trailer, which is none of the headers
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:
            raise _Stop
        if status < _FINAL:
            return  # an interim reply
        codings = {value.strip().lower() for name, value in self._headers if name.lower() == b"transfer-encoding"}
        if codings - {b"chunked"}:
            raise _Stop
        self._status = status
        self._allowance = _MAX_REST_BYTES
        if self._to_head:
            self._whole = self.done = True

    def on_body(self, chunk: bytes) -> None:
        self._body += chunk
        self._n_chunks += 1
        if len(self._body) > MAX_BODY_BYTES or self._n_chunks > _MAX_CHUNKS:
            raise _Stop

    def on_message_complete(self) -> None:
        if self._status is not None and not self._to_head:
            self._whole = self.done = True
            self.keep = self._parser.should_keep_alive()


_FRAMING = {b"content-length", b"transfer-encoding"}


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
