"""A client of the Healthchecks API: what its scripts send, to our application."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from heartfly.api.native import NativeApi
from heartfly.db.models import checks
from tests.api.door import Door, House, Reply

MISSING = "3f0f8f9e-6a1c-4a55-8d4c-111111111111"


@dataclass(frozen=True)
class Theirs:
    api: NativeApi
    key: str
    version: int = 3

    async def __call__(
        self,
        method: str,
        path: str,
        asked: Any = None,
        *,
        body: bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        """`path`: what follows the version, or from the root on."""
        whole = path if path.startswith("/") else f"/api/v{self.version}/{path}"
        given = [*headers, *([("x-api-key", self.key)] if self.key else [])]
        return await Door(self.api, "")(method, whole, asked, body=body, headers=given)

    def of(self, version: int) -> Theirs:
        return replace(self, version=version)

    async def made(self, **asked: Any) -> Any:
        reply = await self("POST", "checks/", {"name": "Backup"} | asked)
        assert 201 == reply.status, reply.body
        return reply.json

    async def check(self, check: Any) -> Any:
        reply = await self("GET", f"checks/{check['uuid']}")
        assert 200 == reply.status, reply.body
        return reply.json


def writer(house: House) -> Theirs:
    return Theirs(house.full.api, house.world.project.api_key)


def reader(house: House) -> Theirs:
    return Theirs(house.full.api, house.world.project.read_key)


def nobody(house: House) -> Theirs:
    return Theirs(house.full.api, "")


async def stored(house: House, check: Any) -> Any:
    """The row of a check that was made through the API."""
    async with house.world.db.read() as read:
        return (await read.execute(sa.select(checks).where(checks.c.ping_uuid == check["uuid"]))).one()
