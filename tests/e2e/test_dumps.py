"""Whoever gets hold of a dump, or of the metrics, of a server that did all that it can can do nothing with them."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.models import attempts, deliveries
from heartfly.notify.channels import CHANNELS
from tests import canaries
from tests.dump import cells, files, found_in
from tests.notify.receivers import HttpReceiver
from tests.notify.test_channel_rules import CONFIGS
from tests.server_process import Server, get

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

PASSWORD = "correct horse battery"  # as Server.init says it
METRICS_TOKEN, HEARTBEAT = "canary-metrics-token-81", "canary-heartbeat-23"
MADE_BY_US: dict[str, dict[str, Any]] = {
    "webhook": {
        "headers": {"Authorization": "Bearer canary-header-77"},
        "secrets": [canaries.WEBHOOK_SECRET + "AAAAAAAAAAAAAAAA"],
    },
    "slack": {"url": canaries.SLACK_URL},
    "email": {"to": "ops@example.com"},
}
SPOKEN = {"url": "/c/anary-path-7fb2?auth=canary-query-91"}


async def test_no_secret_stands_in_a_dump_or_in_the_metrics(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    async with HttpReceiver() as receiver:
        settings = {
            "METRICS__TOKEN": METRICS_TOKEN,
            "HEARTBEAT__URL": f"{receiver.url}/{HEARTBEAT}",
            "MAIL__HOST": "127.0.0.1",
            "MAIL__PORT": "9",
            "MAIL__SECURITY": "none",
            "MAIL__FROM_ADDRESS": "heartfly@example.com",
        }
        server = Server(tmp_path, settings | ({"DATABASE__URL": database_url} if database_url else {}))
        request.addfinalizer(server.leave)
        keys = await asyncio.to_thread(server.init)
        await asyncio.to_thread(server.start)
        for _ in range(2):
            receiver.will_answer(500, body=b"not now")
        secrets, addresses = await asyncio.to_thread(_story, server, keys, receiver.url)
        assert 200 == await get(server.port, f"{addresses['ping address']}/fail")
        assert 201 == await get(server.port, f"/ping/{keys['ping_key']}/nightly?create=1")
        engine = sa.create_engine(_url(server))
        await _until_tried(engine, len(CHANNELS) - 1)
        assert any(one.target.startswith(SPOKEN["url"]) for one in receiver.requests)
        metrics = await asyncio.to_thread(_metrics, server)
        stopped = await asyncio.to_thread(server.stop)
    with engine.connect() as connection:
        dump = list(cells(connection))
    engine.dispose()
    if not database_url:
        usage = sa.create_engine(f"sqlite:///{server.folder}/heartfly-data/usage.db")
        with usage.connect() as connection:
            dump += cells(connection)
        usage.dispose()
        dump += files(server.folder / "heartfly-data")

    assert 0 == stopped
    assert set() == found_in(dump, secrets)
    assert "heartfly_pings_total" in metrics
    assert set() == found_in([("metrics", metrics)], secrets | addresses)
    # They are found by what they are, as docs/security.md says; and so the look finds what stands there.
    assert ("addresses.key", "ping UUID") in found_in(dump, {"ping UUID": addresses["ping address"].rpartition("/")[2]})


def _story(server: Server, keys: dict[str, str], receiver: str) -> tuple[dict[str, str | bytes], dict[str, str]]:
    """The secrets that came up, and the addresses that are some and are stored as they are."""
    key = keys["api_key"]

    def ask(method: str, path: str, body: object = None) -> Any:
        return server.api(method, path, key, body)

    secrets: dict[str, str | bytes] = {name: keys[name] for name in ("api_key", "read_key", "ping_key")}
    secrets |= {"password": PASSWORD, "metrics token": METRICS_TOKEN, "heartbeat": HEARTBEAT}
    check = ask("POST", "/v1/checks", {"name": "backup", "schedule": {"kind": "period", "period": 3600}})
    for kind, channel in CHANNELS.items():
        config = MADE_BY_US.get(kind, CONFIGS[kind])
        if kind == "webhook":
            config = {**config, "url": receiver + SPOKEN["url"]}
        with suppress(AssertionError):  # one that these settings do not allow
            made = ask("POST", "/v1/channels", {"kind": kind, "name": kind, "config": config})
            secrets |= {f"{kind}: {secret}": secret for secret in channel.secrets(config)}
            if kind == "webhook":
                secrets["webhook, made"] = ask("POST", f"/v1/channels/{made['id']}/rotate-secret", {"overlap": 600})[
                    "secret"
                ]
    worker = ask("POST", "/v1/keys", {"name": "worker", "scopes": ["read", "ingest"]})
    secrets["key"] = worker["secret"]
    secrets["key, rotated"] = ask("POST", f"/v1/keys/{worker['id']}/rotate", {"overlap": 600})["secret"]
    secrets["Apitally's key"] = ask("POST", "/v1/keys", {"name": "a", "scopes": ["ingest"], "form": "apitally"})[
        "secret"
    ]
    secrets["ping key, rotated"] = ask("POST", "/v1/project/rotate-ping-key", {"overlap": 600})["ping_key"]
    ask("POST", "/v1/invites", {"email": "joan@example.com", "role": "viewer"})  # by mail: its link is nobody's here
    with suppress(AssertionError):
        server.api("GET", "/v1/checks", canaries.API_KEY)
    secrets["key that is none"] = canaries.API_KEY
    path = check["ping_url"].removeprefix(server.url)
    return secrets, {"ping address": path}


def _url(server: Server) -> str:
    return server.settings.get("DATABASE__URL") or f"sqlite:///{server.folder}/heartfly-data/heartfly.db"


async def _until_tried(engine: sa.Engine, n_channels: int) -> None:
    """Each channel once at least: errors of receivers are stored, too."""

    def tried() -> int:
        query = sa.select(sa.func.count(sa.distinct(deliveries.c.channel_id)))
        with engine.connect() as connection:
            return int(connection.execute(query.join(attempts, attempts.c.delivery_id == deliveries.c.id)).scalar_one())

    async with asyncio.timeout(120):
        while await asyncio.to_thread(tried) < n_channels:  # noqa: ASYNC110 - another process's table
            await asyncio.sleep(0.2)  # noqa: TID251 - polls, bounded above


def _metrics(server: Server) -> str:
    request = urllib.request.Request(f"{server.url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        said: bytes = answer.read()
    return said.decode()
