"""`heartfly rotate-key` as an operator meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import Server

pytestmark = pytest.mark.e2e


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, settings={"MONITOR__CANARY_S": "0"})
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def test_a_key_is_changed_while_nobody_serves_and_channels_work_on(server: Server) -> None:
    keys = server.init()
    server.start()
    hook = {"kind": "webhook", "name": "ops", "config": {"url": "https://hooks.example.net/canary-path"}}
    made = server.api("POST", "/v1/channels", keys["api_key"], hook)
    key_file = server.folder / "heartfly-data" / "secret.key"
    before = key_file.read_bytes()
    with pytest.raises(AssertionError, match="another Heartfly is using"):
        server.command("rotate-key")
    assert before == key_file.read_bytes()
    assert 0 == server.stop()

    said = json.loads(server.command("rotate-key", "--json"))
    again = server.command("rotate-key")

    assert {"secrets": 2, "resealed": 2, "resumed": False} == said
    assert "2 secrets sealed with a new key" in again
    assert before != key_file.read_bytes()
    server.start()
    assert made["config"] == server.api("GET", f"/v1/channels/{made['id']}", keys["api_key"])["config"]
    assert keys["ping_key"] == server.api("GET", "/v1/project", keys["api_key"])["ping_key"]
    assert 0 == server.stop()
