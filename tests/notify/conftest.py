"""The world that messages go to: a real HTTP receiver and a real mail server, on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.net.addresses import parse_allow_private
from heartfly.net.http import OutgoingHttp
from heartfly.notify.channels.base import ChannelContext, MailSettings
from tests.notify.examples import at
from tests.notify.post_office import PostOffice
from tests.notify.receivers import HttpReceiver, StillClock


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with HttpReceiver() as running:
        yield running


@pytest.fixture
async def context() -> AsyncIterator[ChannelContext]:
    async with AsyncExitStack() as stack:
        http = OutgoingHttp(allow=parse_allow_private(True), own_hosts=(), user_agent="Heartfly/test")  # noqa: FBT003
        stack.push_async_callback(http.aclose)
        yield ChannelContext(http=http, mail=None, clock=StillClock())


def mail_settings(port: int, *, security: str = "none", username: str = "", timeout_s: float = 5.0) -> MailSettings:
    return MailSettings(
        host="127.0.0.1",
        port=port,
        username=username,
        password="open sesame" if username else "",
        security=security,
        from_address="heartfly@example.com",
        from_name="Heartfly",
        timeout_s=timeout_s,
    )


@pytest.fixture
async def post(db: Database, ids: IdSource, context: ChannelContext) -> PostOffice:
    """A project with an outbox, on each database."""
    office = PostOffice(db, ids, context, at("03:00"))
    await office.open()
    return office
