"""A browser tab that holds a stream: raw ASGI, one event after another, with a limit of time for each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from tests.web.browser import HOST, Browser

LIMIT_S = 120.0


@dataclass(frozen=True)
class Told:
    kind: str
    data: str
    id: str


@dataclass
class Listener:
    browser: Browser
    path: str = "/p/main/live"
    last_id: str = ""
    method: str = "GET"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    _left: asyncio.Event = field(default_factory=asyncio.Event)
    _more: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    _task: asyncio.Task[None] | None = None
    _rest: str = ""

    async def __aenter__(self) -> Self:
        url = urlsplit(self.path)
        cookies = "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())
        headers = [(b"host", HOST.encode()), (b"cookie", cookies.encode())]
        headers += [(b"last-event-id", self.last_id.encode())] if self.last_id else []
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": self.method, "scheme": "http",
            "path": url.path, "raw_path": url.path.encode(), "root_path": "", "query_string": url.query.encode(),
            "headers": headers, "server": ("127.0.0.1", 8000), "client": (self.browser.place, 40000),
        }  # fmt: skip
        begun = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await self._left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
                begun.set()
                return
            self.body += message.get("body", b"")
            self._more.put_nowait(message.get("body", b""))
            if not message.get("more_body"):
                self._more.put_nowait(None)
                self._left.set()

        self._task = asyncio.ensure_future(self.browser.pages(scope, receive, send))
        async with asyncio.timeout(LIMIT_S):
            await begun.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()
        assert self._task is not None
        async with asyncio.timeout(LIMIT_S):
            await self._task

    def leave(self) -> None:
        self._left.set()

    async def gone(self) -> None:
        """Return when the server has noticed that we left."""
        assert self._task is not None
        async with asyncio.timeout(LIMIT_S):
            await asyncio.shield(self._task)

    async def next(self) -> Told | None:
        """None: the stream has ended."""
        async with asyncio.timeout(LIMIT_S):
            while "\n\n" not in self._rest:
                more = await self._more.get()
                if more is None:
                    return None
                self._rest += more.decode()
        block, _, self._rest = self._rest.partition("\n\n")
        fields: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
        kind, mark = fields.get("event", [""])[0], fields.get("id", [""])[0]
        return Told(kind, "\n".join(fields.get("data", [])), mark)

    async def until(self, kind: str) -> list[Told]:
        """All that is told up to the first event of this kind, that one too."""
        found: list[Told] = []
        while not found or found[-1].kind != kind:
            event = await self.next()
            assert event is not None, f"the stream ended before {kind}: {found}"
            found.append(event)
        return found

    async def all(self) -> list[Told]:
        """What is left, to the end of the stream."""
        found: list[Told] = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found
