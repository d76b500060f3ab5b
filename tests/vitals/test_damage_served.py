"""A real server whose file is damaged: it does not start, or ends by itself, and starts on a restored backup."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from heartfly.db.damage import MARK
from tests.db.damaged import damage, fill, tear
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, get, typed

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

LIMIT_S = 120
HASTY = ("-c", "import heartfly.db.damage as d; d.START_LIMIT_S = 0; from heartfly.cli import main; main()")
"""A Heartfly that has no time at its start."""


def refused(server: Server) -> str:
    """What it says as it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "heartfly", "serve", "--port", "0"],
        cwd=server.folder, env=server.environment, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert 1 == done.returncode
    return done.stderr


@pytest.mark.parametrize("file", ["heartfly.db", "usage.db"])
def test_a_damaged_file_is_refused_until_a_backup_is_restored(server: Server, file: str) -> None:
    keys, data = server.init(), server.folder / "heartfly-data"
    server.command("backup", "--to", "backup.tar")
    damage(data / file)

    said = refused(server)
    examined = typed(server.folder, "doctor", env=server.own_settings)
    server.command("restore", "backup.tar", "--force")
    server.start()

    assert f"the database is damaged ({file}, table filler: " in said
    assert "heartfly restore FILE --force" in said
    assert "Traceback" not in said
    assert f"found damaged: {file}, table filler" in " ".join(examined.stdout.split())
    assert 201 == asyncio.run(get(server.port, f"/ping/{keys['ping_key']}/job?create=1"))
    assert not (data / MARK).exists()
    assert 0 == server.stop()


async def test_what_the_start_had_no_time_for_is_found_beside_the_server_and_ends_it(server: Server) -> None:
    server.init()
    server.program = HASTY
    damage(server.folder / "heartfly-data" / "usage.db", n_rows=1_000_000)

    server.start()
    assert server.process is not None
    status = await asyncio.to_thread(server.process.wait, LIMIT_S)

    assert 1 == status
    assert "the database is damaged (usage.db, table filler: " in (server.folder / "server.log").read_text()
    assert "table filler" in refused(server), "and it does not start again"


async def test_what_the_job_finds_is_told_to_people_and_ends_the_server(server: Server) -> None:
    server.settings["SERVER__DRAIN_S"] = "5"
    keys, data = server.init(), server.folder / "heartfly-data"
    fill(data / "heartfly.db", "filler")
    async with HttpReceiver() as receiver:
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(
            server.api, "POST", "/v1/channels", keys["api_key"],
            {"kind": "webhook", "name": "ops", "config": {"url": receiver.url}},
        )  # fmt: skip
        tear(data / "heartfly.db", "filler")
        env = server.own_settings | {"HEARTFLY_URL": server.url}
        ran = await asyncio.to_thread(typed, server.folder, "jobs", "run", "database-check", env=env)
        assert server.process is not None
        status = await asyncio.to_thread(server.process.wait, LIMIT_S)
        told = [json.loads(one.body) for one in receiver.requests]

    assert (1, 1) == (ran.returncode, status)
    assert ["check.down"] == [one["type"] for one in told]
    assert "table filler" in json.dumps(told)
    assert "table filler" in refused(server)
