"""All that is looked at, in the order in which it is told."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from heartfly.clock import Clock
from heartfly.config import Settings
from heartfly.db.room import room
from heartfly.doctor import database, machine, mail, proxy, smtp, spool, usage
from heartfly.doctor.finding import Finding
from heartfly.notify.channels.base import MailSettings


async def examine(settings: Settings, *, mail_settings: MailSettings | None, clock: Clock) -> Sequence[Finding]:
    data_dir, url, now = settings.data.dir, settings.database_url, clock.now()
    on_postgres = url.startswith("postgresql")
    folder = data_dir if on_postgres else Path(url.removeprefix("sqlite:///")).parent
    return [
        *([] if on_postgres else [machine.sqlite_version(sqlite3.sqlite_version_info[:3])]),
        machine.directory(data_dir),
        machine.key_file(data_dir / "secret.key"),
        *([] if on_postgres else [machine.database_files(Path(url.removeprefix("sqlite:///")))]),
        machine.disk(folder, room(folder)),
        machine.clock(now),
        machine.zones(now),
        machine.address(settings.server.public_url),
        await mail.look(mail_settings, base_url=settings.server.public_url),
        await proxy.look(settings.outgoing),
        await smtp.look(settings.smtp, now),
        *await database.look(settings, clock),
        *await asyncio.to_thread(spool.look, data_dir, now),
        await asyncio.to_thread(usage.look, settings, now),
    ]
