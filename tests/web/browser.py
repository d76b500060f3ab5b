"""A browser without a window: raw ASGI with one cookie jar, that follows nothing and sends what forms send."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlencode, urlsplit

import anyio

from heartfly.web.pages import Pages
from tests.api.door import Reply

HOST = "beat.example.org"


@dataclass
class Browser:
    pages: Pages
    cookies: dict[str, str] = field(default_factory=dict)
    place: str = "192.0.2.7"
    last: Reply | None = None
    _tokens: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, *, headers: Sequence[tuple[str, str]] = (), method: str = "GET") -> Reply:
        return await self._ask(method, path, b"", headers)

    async def post(
        self,
        path: str,
        fields: Mapping[str, str | Sequence[str]] | None = None,
        *,
        kind: str = "application/x-www-form-urlencoded",
        origin: str | None = f"http://{HOST}",
        site: str | None = None,
        token: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        """As our own form would be sent, unless said otherwise. `token` None: of a page of this session."""
        sent: dict[str, str | Sequence[str]] = dict(fields or {})
        sent.setdefault("form_token", await self._known_token() if token is None else token)
        more = [("Content-Type", kind)]
        more += [("Origin", origin)] if origin is not None else []
        more += [("Sec-Fetch-Site", site)] if site is not None else []
        return await self._ask("POST", path, urlencode(sent, doseq=True).encode(), [*more, *headers])

    async def post_raw(self, path: str, body: bytes, *, kind: str) -> Reply:
        """A body that no form of ours would send."""
        return await self._ask("POST", path, body, [("Content-Type", kind), ("Origin", f"http://{HOST}")])

    async def _known_token(self) -> str:
        """Of the first page of this session that was asked: as good as each later one's."""
        session = "; ".join(self.cookies.values())
        if not self._tokens.get(session):
            self._tokens[session] = await self.form_token()
        return self._tokens[session]

    async def form_token(self) -> str:
        if not self.cookies:
            return ""
        found = None
        for path in ("/account/security", "/account/security/required"):  # or the one page of who has too little
            page = (await self._ask("GET", path, b"", ())).body.decode()
            found = found or re.search(r'name="form_token" value="([^"]+)"', page)
        return unescape(found[1]) if found else ""

    async def hidden(self, path: str, name: str, *, form: int = 0) -> str:
        """What the page's form would send along, of the first form that has such a field unless said otherwise."""
        page = (await self._ask("GET", path, b"", ())).body.decode()
        return unescape(re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', page)[form])

    async def sign_in(self, email: str, password: str, **more: Any) -> Reply:
        return await self.post("/sign-in", {"email": email, "password": password}, **more)

    async def _ask(self, method: str, path: str, body: bytes, headers: Sequence[tuple[str, str]]) -> Reply:
        given = [(b"host", HOST.encode())]
        given += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        if self.cookies:
            given.append((b"cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()))
        url = urlsplit(path)
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": url.path, "raw_path": url.path.encode(), "root_path": "", "query_string": url.query.encode(),
            "headers": given, "server": ("127.0.0.1", 8000), "client": (self.place, 40000),
        }  # fmt: skip
        pieces, sent = [body], []

        answered = anyio.Event()

        async def receive() -> dict[str, Any]:
            if not pieces:
                await answered.wait()  # who hangs up before would get no more of a long answer; a stream has no end
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": pieces.pop(0), "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            endless = any(value.startswith(b"text/event-stream") for _, value in sent[0]["headers"])
            if endless or (message["type"] == "http.response.body" and not message.get("more_body")):
                answered.set()

        await self.pages(scope, receive, send)
        head, *rest = sent
        names = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head["headers"]}
        if "set-cookie" in names:
            name, _, value = names["set-cookie"].partition(";")[0].partition("=")
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        self.last = Reply(head["status"], names, b"".join(message.get("body", b"") for message in rest))
        return self.last
