"""`heartfly serve --demo`, as somebody meets it who wants to see what Heartfly is like."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.cli.test_serve import heartfly
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def test_a_demo_tells_how_to_sign_in_and_leaves_what_is_there_alone(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start("--demo", limit_s=120)
    try:
        said = (tmp_path / "server.log").read_text()
        found = re.search(r"/sign-in\n    (\S+@\S+)\n    (\S+)\n", said)
        assert found is not None, said
        fields = urllib.parse.urlencode({"email": found[1], "password": found[2]}).encode()
        request = urllib.request.Request(f"{server.url}/sign-in", fields, {"Origin": server.url})
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(request) as page:
            shown = page.read().decode()
        key = (tmp_path / "heartfly-data" / "cli-key").read_text().strip()
        assert 50 == len(server.api("GET", "/v1/checks?limit=50", key)["items"])
        meters = server.api("GET", "/v1/meters", key)["items"]
    finally:
        server.kill()
    again = heartfly(tmp_path, "serve", "--demo", "--port", "0")

    assert "DB backup" in shown
    assert ["api-calls", "traffic", "latency-p95"] == [one["slug"] for one in meters]
    assert "Nobody can sign in yet" not in said
    assert 1 == again.returncode
    assert "in use" in again.stderr
    assert "--data ./heartfly-demo" in again.stderr
