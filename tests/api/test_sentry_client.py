"""Sentry's SDK, unmodified, whose monitors are checks here: its own transport to a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import sentry_sdk
from sentry_sdk.crons import monitor

from tests.server_process import Server

pytestmark = pytest.mark.e2e

CONFIG: Any = {
    "schedule": {"type": "interval", "value": 10, "unit": "minute"}, "checkin_margin": 5, "max_runtime": 30,
    "timezone": "Europe/Berlin",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


def test_a_job_that_its_monitor_watches_is_seen_to_begin_end_and_fail(server: Server) -> None:
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    ping_key = server.api("GET", "/v1/project", key)["ping_key"]
    sentry_sdk.init(dsn=f"http://{ping_key}@{urlsplit(server.url).netloc}/1", default_integrations=False)

    @monitor(monitor_slug="Nightly Report", monitor_config=CONFIG)
    def job(*, fails: bool) -> None:
        if fails:
            raise RuntimeError("the disk is full")

    job(fails=False)
    with pytest.raises(RuntimeError):
        job(fails=True)
    sentry_sdk.flush(timeout=10)
    sentry_sdk.get_client().close()

    (check,) = server.api("GET", "/v1/checks", key)["items"]
    told = server.api("GET", f"/v1/checks/{check['id']}/runs", key)["items"]
    assert ("nightly-report", "down", 600, 300, 1_800) == (
        check["slug"], check["status"], check["schedule"]["period"], check["grace"], check["max_run"],
    )  # fmt: skip
    assert ["failed", "ok"] == [run["outcome"] for run in told]
    assert all("duration" in run["metrics"] for run in told)
