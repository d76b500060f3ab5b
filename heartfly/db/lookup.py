"""Small questions that each request asks of PostgreSQL, over one connection that stays, in no transaction of its own.

A question through the pool takes four rounds to the server (is it there, begin, the question, the end), and several
times the computing of the question. Who needs several answers of one instant reads through the pool. What is asked is
not decided here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Dialect, make_url
from sqlalchemy.exc import DBAPIError

from heartfly.db.prepared import Prepared


class Lookup:
    """One question at a time: whoever asks meanwhile waits, and hears with the one before that the server is away.

    Call in one event loop.
    """

    def __init__(self, url: str, **connect: Any) -> None:
        """`connect`: what else the driver is given to connect with."""
        address = make_url(url)
        self._dialect: Dialect = address.get_dialect()()
        self._dialect.dbapi = self._driver = type(self._dialect).import_dbapi()
        _, self._address = self._dialect.create_connect_args(address)
        self._connect = connect
        self._connection: Any = None
        self._turn = asyncio.Lock()
        self._n_lost = 0
        self._lost: Exception | None = None

    async def rows(self, question: Prepared, **values: Any) -> list[Any]:
        """As Prepared.rows. OperationalError of SQLAlchemy, when the server is away or takes too long."""
        plan = question.plan(self._dialect)
        text, parameters = plan.given(plan.parameters([values]))
        n_lost = self._n_lost
        async with self._turn:
            if self._lost is not None and n_lost != self._n_lost:
                # Else each would wait for a server that is away, one after the other.
                raise self._lost.with_traceback(None)
            try:
                found = await self._found(text, parameters)
            except self._driver.Error as error:
                told = DBAPIError.instance(
                    text, None, error, self._driver.Error, hide_parameters=True, dialect=self._dialect
                )
                if self._connection is None or self._connection.closed:
                    self._n_lost, self._lost = self._n_lost + 1, told
                raise told from error
            return plan.converted(found)

    async def _found(self, text: str, parameters: Any) -> list[tuple[Any, ...]]:
        is_fresh = self._connection is None or self._connection.closed
        try:
            return await self._asked(text, parameters)
        except self._driver.OperationalError:
            # The server may have been away and back since the last question.
            if is_fresh or not self._connection.closed:
                raise
        return await self._asked(text, parameters)

    async def _asked(self, text: str, parameters: Any) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            connect = self._driver.AsyncConnection.connect
            self._connection = await connect(**self._address, **self._connect, autocommit=True)
        cursor = await self._connection.execute(text, parameters, prepare=True)
        found: list[tuple[Any, ...]] = await cursor.fetchall()
        return found

    async def close(self) -> None:
        async with self._turn:
            if self._connection is not None:
                await self._connection.close()
                self._connection = None
