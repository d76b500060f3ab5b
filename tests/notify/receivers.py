"""Receivers that do as they are told, and remember what came."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from typing_extensions import override

from heartfly.clock import SystemClock
from tests.notify.examples import at

NOW = at("03:10:01")


class StillClock(SystemClock):
    """Stands at 03:10:01: signatures and dates are the same in each run."""

    @override
    def now(self) -> datetime:
        return NOW


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class HttpReceiver:
    """Answers 200, or what was scripted, and keeps each request."""

    def __init__(self, *, host: str = "127.0.0.1") -> None:
        self._host = host
        self.requests: list[Request] = []
        self._answers: deque[bytes | None] = deque()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        self.url = f"http://{self._host}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def will_answer(self, status: int, *, body: bytes = b"", headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        self._answers.append(head.encode() + body)

    def will_hang_up(self) -> None:
        """Read the request and close without a word."""
        self._answers.append(None)

    def answer_to(self, _request: Request) -> bytes:
        """Of what nothing was scripted for."""
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            method, target, _ = first.split(" ")
            self.requests.append(Request(method, target, headers, body))
            answer = self._answers.popleft() if self._answers else self.answer_to(self.requests[-1])
            if answer is not None:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever called was killed before he had said anything, or before he heard the answer
        finally:
            writer.close()


class SmtpScript:
    """A mail server that answers each command as scripted. None: it hangs up; `WAIT`: it says nothing."""

    WAIT = "WAIT"

    def __init__(self, **answers: str | None) -> None:
        usual = {
            "GREETING": "220 mx ESMTP",
            "EHLO": "250 mx",
            "MAIL": "250 OK",
            "RCPT": "250 OK",
            "DATA": "354 go on",
            "END": "250 taken",
            "QUIT": "221 bye",
        }
        self._answers: dict[str, str | None] = {**usual, **{name.upper(): a for name, a in answers.items()}}
        self.commands: list[str] = []
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer("GREETING", writer)
            while line := (await reader.readline()).decode().strip():
                self.commands.append(line)
                verb = line[:4].upper()
                if not await self._answer(verb, writer):
                    return
                if verb == "DATA" and str(self._answers["DATA"]).startswith("354"):
                    await reader.readuntil(b"\r\n.\r\n")
                    if not await self._answer("END", writer):
                        return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, verb: str, writer: asyncio.StreamWriter) -> bool:
        answer = self._answers.get(verb, "502 what?")
        if answer == self.WAIT:
            await self._stopping.wait()
        if answer is None or answer == self.WAIT:
            return False
        writer.write(f"{answer}\r\n".encode())
        await writer.drain()
        return True
