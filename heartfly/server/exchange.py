"""One request and its answer, as ASGI sees them: uvicorn's cycle, with two corrections.

`receive` and `send` are uvicorn's. Ours is how an application's failure ends (said once, in our log; no
traceback for a request that we cut off ourselves) and that HTTP/1.0 is not answered in chunks. When a
request may begin and how its connection ends is decided in protocol.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

from typing_extensions import override
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from heartfly.logs import logger

_log = logger(__name__)

WHOLE = "heartfly.response.whole"
"""An extension of ASGI that `scope["extensions"]` names: an answer in one message, its fields written out already.

`{"type": WHOLE, "status": 200, "fields": b"content-length: 2\\r\\n…", "body": b"OK"}`. The fields hold the length of
the body and are trusted: they must be constants of the application. uvicorn's cycle checks each field of each answer;
for a ping that is a tenth of all its work.
"""


def _nothing() -> None:
    """Stand in for the connection's callback, so that cycle and connection can be freed at once."""


class Exchange(RequestResponseCycle):
    @override
    async def run_asgi(self, app: ASGI3Application) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.transport.close()  # cut off at shutdown; the connection has said so
            raise
        except Exception:  # noqa: BLE001 - a request is the boundary; the log and the client are told
            _log.exception("request failed")
            await self._fail()
        else:
            if not self.response_complete and not self.disconnected:
                _log.error("the application left a request without a complete answer")
                await self._fail()
        finally:
            self.on_response = _nothing

    async def _fail(self) -> None:
        if self.response_started:
            self.transport.close()  # the client sees that the answer is cut short
        else:
            await self.send_500_response()

    @override
    async def send(self, message: Any) -> None:
        if message["type"] != WHOLE:
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_started:
            raise RuntimeError("a whole answer after another one began")
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(
            b"%bdate: %b\r\n%b%b\r\n%b"
            % (
                STATUS_LINE[message["status"]],
                self.default_headers[0][1],
                message["fields"],
                b"" if self.keep_alive else b"connection: close\r\n",
                b"" if self.scope["method"] == "HEAD" else message["body"],
            )
        )
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def disconnect(self) -> None:
        """The client is gone, or treated as if: `receive` says so and what is sent goes nowhere."""
        if not self.response_complete:
            self.disconnected = True
            self.waiting_for_100_continue = False  # who was refused is not asked any more
            self.message_event.set()


class Http10Exchange(Exchange):
    """The client does not know chunks. Without a length, the end of the connection ends the answer."""

    delimited_by_close = False

    @override
    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            if not any(name.lower() == b"content-length" for name, _ in headers):
                self.delimited_by_close = True
                self.chunked_encoding = False
        elif self.delimited_by_close and message["type"] == "http.response.body":
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
