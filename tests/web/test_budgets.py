"""What the pages weigh: bytes as they go over the wire, which no busy machine changes. Times: `make bench-pages`."""

from __future__ import annotations

import gzip
import re
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.models import checks
from heartfly.web.files import Files
from tests.web.browser import Browser
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

KB = 1_000
CSS, SCRIPT = 12 * KB, 7 * KB
SMALL, PAGE = 10 * KB, 20 * KB
LISTS = {40: 9 * KB, 1_000: 75 * KB}


async def weight(browser: Browser, path: str) -> int:
    """Of the page's own text, packed; what it holds is looked at, so that no error page is weighed."""
    reply = await browser.get(path, headers=[("Accept-Encoding", "gzip")])
    assert (200, "gzip") == (reply.status, reply.headers["content-encoding"])
    assert b"<h1>" in gzip.decompress(reply.body)
    print(f"{path}: {len(reply.body)} bytes")
    return len(reply.body)


def test_style_and_script_are_light() -> None:
    files = Files("")
    packed = {name: len(found.packed) for name, found in _files(files).items()}

    assert packed["heartfly.css"] <= CSS, packed
    assert sum(n for name, n in packed.items() if name.endswith(".js")) <= SCRIPT, packed


def _files(files: Files) -> dict[str, Any]:
    return {name: files.get(files.url(name).rpartition("/")[2]) for name in files._names}


@pytest.mark.parametrize("n", LISTS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_list_is_light(town: Town, n: int) -> None:
    await many(town, n)

    assert await weight(await town.owner(), "/p/main/checks") <= LISTS[n]


async def many(town: Town, n: int) -> None:
    """Checks as people have them: names, tags, schedules and times that differ, one in twenty down."""
    check = await town.world.check(START, name="Backup", slug="backup")
    async with town.world.db.read() as read:
        row = (await read.execute(sa.select(checks).where(checks.c.uuid == check.uuid))).mappings().one()
    jobs, places = ("Backup", "Report", "Import", "Billing roll-up", "Certificate renewal"), ("Riga", "Oslo", "Turin")
    rows = [
        dict(row) | {
            "id": row["id"] + i, "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{i}")), "ping_uuid": str(uuid.uuid4()),
            "slug": f"job-{i}", "slug_key": f"job-{i}", "name": f"{jobs[i % 5]} of {places[i % 3]} {i}",
            "tags": ["etl", "prod"][: i % 3], "status": "down" if i % 20 == 0 else "up",
            "kind": "cron", "expression": f"{i % 60} {i % 24} * * *", "zone": "Europe/Riga",
            "last_ping_at": START.replace(hour=i % 10, minute=i % 60),
            "expected_at": START.replace(day=3, hour=i % 24, minute=i % 60),
        }
        for i in range(1, n)
    ]  # fmt: skip
    await town.world.db.write(lambda tx: tx.conn.execute(sa.insert(checks), rows).rowcount)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_other_pages_are_light(town: Town) -> None:
    owner = await town.owner()
    check = await town.world.check(START, name="Backup", slug="backup")
    for _ in range(30):
        await town.world.ping(check, START, PingKind.FAIL, body=b"pg_dump: error\n" * 50, body_size=750)
    await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    incident, channel = [
        re.findall(rf"/p/main/{what}/[0-9a-f-]{{36}}", (await owner.get(f"/p/main/{what}")).body.decode())[0]
        for what in ("incidents", "channels")
    ]

    for path in ("/sign-in", "/sign-in/reset"):
        assert await weight(town.nobody, path) <= SMALL, path
    for path in (
        "/p/main/checks/backup", "/p/main/checks/backup/events", "/p/main/checks/backup/schedule",
        "/p/main/checks/backup/events/1", "/p/main/checks/new", incident, channel, "/p/main/audit",
    ):  # fmt: skip
        assert await weight(owner, path) <= PAGE, path
