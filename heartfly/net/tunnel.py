"""What a forward proxy says when it is asked for a tunnel: that it stands, or why there is none.

Nothing of a request has left yet, so whatever goes wrong here is never ambiguous. Time limits are wire.py's.
"""

from __future__ import annotations

import re

from heartfly.net.reply import Incoming

_END = re.compile(rb"\r?\n\r?\n")
_MAX_BYTES = 32 * 1024
_LOGIN = 407
_INVALID = f"the proxy's answer is not valid HTTP, or its headers are over {_MAX_BYTES // 1024} KiB"


class Answer:
    """The answer to CONNECT, as far as it has come. `refusal`: why there is no tunnel; None: it stands."""

    def __init__(self) -> None:
        self.sent = False
        self.done = False
        self.keep = True
        self.refusal: str | None = "the proxy closed the connection before it answered"
        self._head = Incoming(to_head=True)
        self._bytes = bytearray()
        self._n_read = 0

    def feed(self, data: bytes) -> None:
        self._bytes += data
        self._n_read += len(data)
        while not self.done and (end := _END.search(self._bytes)) is not None:
            head, self._bytes = bytes(self._bytes[: end.end()]), self._bytes[end.end() :]
            self._head.feed(head)
            if self._head.done:
                self._judge()
        if not self.done and self._n_read > _MAX_BYTES:
            self._say(_INVALID)

    def end(self, *, broke: bool = False) -> None:
        if broke and not self.done:
            self.refusal = "the connection to the proxy broke before it answered"
        self.done = True

    def _judge(self) -> None:
        reply = self._head.reply
        if reply is None:
            self._say(_INVALID)
        elif reply.status == _LOGIN:
            self._say("the proxy wants another login than that of outgoing.proxy (407)")
        elif not 200 <= reply.status < 300:
            self._say(f"the proxy does not connect, it answered {reply.status}")
        elif self._bytes:
            # The receiver speaks only after we did: whatever this is, TLS must not begin with it.
            self._say("the proxy said more than that it is connected")
        else:
            self._say(None)

    def _say(self, refusal: str | None) -> None:
        self.refusal, self.done = refusal, True
