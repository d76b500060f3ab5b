"""A caller of the native API: raw ASGI, so that any bytes can be sent and every byte of the answer is seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio

from heartfly.accounts.last_use import LastUse
from heartfly.api.native import NativeApi
from heartfly.api.ping import WHOLE
from heartfly.api.state import ApiState
from heartfly.clock import Clock
from heartfly.config import Settings
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.limits.apply import LimitApplier
from heartfly.limits.book import Book
from heartfly.limits.checker import Checker
from heartfly.limits.tracked import TrackedCalls
from heartfly.notify.letters import Letters
from heartfly.notify.mail_server import mail_settings
from heartfly.server.forwarded import client_address
from heartfly.usage.apply import EventApplier
from heartfly.usage.close_day import Closer
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.ingest import EventIngest
from tests.world import SEALER, World

BASE_URL = "http://beat.example.org"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> list[str]:
        """Of a problem: which fields are wrong."""
        return [error["field"] for error in self.json["errors"]]


@dataclass(frozen=True)
class Door:
    """One caller with one key."""

    api: NativeApi
    key: str

    async def __call__(
        self,
        method: str,
        path: str,
        asked: Any = None,
        *,
        body: bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
        whole: bool = False,
    ) -> Reply:
        """`path` may have a query. `asked` is sent as JSON, `body` as it is. `whole`: to a server that
        takes answers in one message.
        """
        raw = body if body is not None else b"" if asked is None else json.dumps(asked).encode()
        given = [
            (b"host", b"beat.example.org"),
            *((name.lower().encode(), value.encode("latin-1")) for name, value in headers),
        ]
        if self.key:
            given.append((b"authorization", f"Bearer {self.key}".encode()))
        url = urlsplit(path)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": url.path,
            "raw_path": url.path.encode(),
            "root_path": "",
            "query_string": url.query.encode("utf-8", "surrogateescape"),
            "headers": given,
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 40000),
        }
        if whole:
            scope["extensions"] = {WHOLE: {}}
        # In pieces, as a network brings it.
        pieces = [raw[:10], raw[10:]]
        sent: list[dict[str, Any]] = []
        answered = anyio.Event()

        async def receive() -> dict[str, Any]:
            if not pieces:
                await answered.wait()  # who hangs up before gets no more of a long answer
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if message["type"] in {WHOLE, "http.response.body"} and not message.get("more_body"):
                answered.set()

        await self.api(scope, receive, send)
        head, *rest = sent
        if head["type"] == WHOLE:
            assert head["fields"].endswith(b"\r\n")
            fields = [line.partition(": ") for line in head["fields"].decode("latin-1")[:-2].split("\r\n")]
            told = {name: value for name, _, value in fields}
            assert len(fields) == len(told)
            return Reply(head["status"], told, head["body"])
        names = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head["headers"]}
        return Reply(head["status"], names, b"".join(message.get("body", b"") for message in rest))


def state_of(
    db: Database, clock: Clock, ids: IdSource, settings: Settings | None = None, *, usage: Database | None = None
) -> ApiState:
    """`usage`: that part of the data, for tests that touch it."""
    told, part = settings or Settings(), usage or db
    book = Book()
    of_limits = LimitApplier(book, ids)
    events = EventApplier(ids, calls=TrackedCalls(of_limits))
    return ApiState(
        database=db,
        usage=part,
        events=EventIngest(part, events, clock, keep=told.events_taken),
        checker=Checker(part, book, of_limits, clock),
        closer=Closer(part, Folder(part, clock, ids, hands=Hands(beside=False)), clock, ids),
        clock=clock,
        ids=ids,
        sealer=SEALER,
        settings=told,
        base_url=BASE_URL,
        last_use=LastUse(db, clock),
        letters=Letters(mail_settings(told), BASE_URL, clock),
        client_address=lambda scope: client_address(scope, ()),
    )


@dataclass(frozen=True)
class House:
    """A project behind its API, with a key of each kind."""

    world: World
    full: Door
    read: Door

    @property
    def nobody(self) -> Door:
        return Door(self.full.api, "")
