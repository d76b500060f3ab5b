"""A relay between Heartfly and PostgreSQL's socket that loses what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum
from pathlib import Path
from typing import Self

from sqlalchemy import make_url

_COMMIT = b"COMMIT\0"
"""As a whole statement: a transaction begins with READ COMMITTED."""
_DONE = b"Z\0\0\0\5I"
"""The server has answered all, and is in no transaction."""
_READS = b"default_transaction_read_only=on"


class Loss(Enum):
    """Of a commit; the connection is lost with it. ANSWER: it has been made."""

    REQUEST = 1
    ANSWER = 2


class Wire:
    """A relay to the server's socket that can lose the answer to a commit, or be cut. `folder`: a short name."""

    def __init__(self, url: str, folder: Path) -> None:
        address = make_url(url)
        host = str(address.query["host"])
        self._server = next(Path(host).glob(".s.PGSQL.*[0-9]"))
        self._path = folder / self._server.name
        self.url = address.update_query_dict({"host": str(folder)}).render_as_string(hide_password=False)
        self.lose_answer = False
        self.lose_request = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_unix_server(self._accept, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        await self.cut()

    def close(self) -> None:
        """Nobody gets a new connection."""
        self._listener.close()

    async def reopen(self) -> None:
        self._path.unlink(missing_ok=True)
        await self.__aenter__()

    def at_commit(self) -> Loss | None:
        """What becomes of a commit of somebody who writes."""
        loss = Loss.ANSWER if self.lose_answer else Loss.REQUEST if self.lose_request else None
        if loss is Loss.ANSWER:
            self.lose_answer = False
        elif loss is Loss.REQUEST:
            self.lose_request = False
        return loss

    def happens(self) -> None:
        """The commit is lost right now, before anybody can notice."""

    async def cut(self) -> None:
        for writer in self._writers:
            writer.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(str(self._server))
        self._writers |= {writer, up_writer}
        silent = asyncio.Event()
        for task in (
            asyncio.ensure_future(self._requests(reader, up_writer, writer, silent)),
            asyncio.ensure_future(self._answers(up_reader, writer, silent)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _requests(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        silent: asyncio.Event,
    ) -> None:
        writes, end = True, b""
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if _READS in data:
                    writes = False
                said = end + data
                end = said[1 - len(_COMMIT) :]
                if writes and _COMMIT in said and (loss := self.at_commit()) is not None:
                    if loss is Loss.REQUEST:
                        self.happens()
                        back.close()
                        target.close()
                        return
                    silent.set()
                target.write(data)
                await target.drain()
            target.close()

    async def _answers(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, silent: asyncio.Event) -> None:
        end = b""
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                end = (end + data)[-len(_DONE) :]  # it may come in two pieces
                if silent.is_set():
                    if end != _DONE:
                        continue
                    self.happens()
                    target.close()
                    return
                target.write(data)
                await target.drain()
            target.close()
