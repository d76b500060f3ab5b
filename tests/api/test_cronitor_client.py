"""Cronitor's client, unmodified, whose monitors are checks here: its own requests, to its own host names, to a real
server that a certificate of our own and a proxy stand before.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cronitor
import pytest
import trustme
from cronitor import Monitor

from tests.server_process import Server

pytestmark = pytest.mark.e2e

CONFIG = """
jobs:
  nightly-backup:
    name: Nightly backup
    schedule: 30 2 * * *
    timezone: Europe/Berlin
    grace_seconds: 900
    assertions: [metric.duration < 5 min, metric.count > 0]
    notify: [default]
    tags: [etl, prod]
    note: See the runbook.
heartbeats:
  queue:
    schedule: every 5 minutes
"""


class Tunnel:
    """Ends the client's TLS, as whatever host it asks for, and hands on what is in it."""

    def __init__(self, port: int, identity: ssl.SSLContext) -> None:
        self._port = port
        self._identity = identity
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        with socket.create_connection(self._listening.getsockname()):
            pass  # wakes it
        self._thread.join(60)
        self._listening.close()

    def _listen(self) -> None:
        while True:
            client, _ = self._listening.accept()
            if self._ended.is_set():
                client.close()
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(30)
        with client, contextlib.suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with (
                self._identity.wrap_socket(client, server_side=True) as told,
                socket.create_connection(("127.0.0.1", self._port), timeout=30) as server,
            ):
                back = threading.Thread(target=_pump, args=(server, told), daemon=True)
                back.start()
                _pump(told, server)
                back.join(30)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def key(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The one key that the client knows, which both sets monitors and tells of runs."""
    authority = trustme.CA()
    identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("cronitor.io", "cronitor.link").configure_cert(identity)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tunnel = Tunnel(server.port, identity)
    monkeypatch.setenv("HTTPS_PROXY", tunnel.address)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    full = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    monkeypatch.setattr(cronitor, "api_key", full)
    yield full
    Monitor._req.close()
    tunnel.close()


def the_check(server: Server, key: str, slug: str) -> Any:
    (found,) = server.api("GET", f"/v1/checks?slug={slug}", key)["items"]
    return found


def test_a_monitor_that_is_put_is_a_check_whose_runs_it_tells(server: Server, key: str) -> None:
    made = Monitor.put(
        key="report", type="job", schedule="0 8 * * 1-5", timezone="Europe/Berlin", assertions=["metric.count > 0"],
        failure_tolerance=1,
    )  # fmt: skip

    made.ping(state="run", series="s-1")
    made.ping(state="complete", series="s-1", message="done", metrics={"count": 3, "duration": 0.25})
    made.ping(state="fail", series="s-2", message="no disk")
    made.ping(state="ok")

    check = the_check(server, key, "report")
    assert ("cron", "0 8 * * 1-5", "Europe/Berlin") == (
        check["schedule"]["kind"], check["schedule"]["expression"], check["schedule"]["zone"],
    )  # fmt: skip
    runs = server.api("GET", f"/v1/checks/{check['id']}/runs", key)["items"]
    assert ["failed", "failed", "ok"] == [one["outcome"] for one in runs]  # the last one told no count
    assert {"count": "3", "duration": "0.25"} == runs[-1]["metrics"]
    assert ("report", "0 8 * * 1-5", False) == (made.data.key, made.data.schedule, made.data.paused)
    assert (1, 2) == (made.data.failure_tolerance, check["tolerance"]["failures"])


def test_a_function_that_it_watches_is_a_run(server: Server, key: str) -> None:
    @cronitor.job("watched-job")  # type: ignore[untyped-decorator] # it has no types
    def job(*, fails: bool) -> str:
        if fails:
            raise RuntimeError("the disk is full")
        return "42 rows"

    assert "42 rows" == job(fails=False)
    with pytest.raises(RuntimeError):
        job(fails=True)

    check = the_check(server, key, "watched-job")
    runs = server.api("GET", f"/v1/checks/{check['id']}/runs", key)["items"]
    assert (["failed", "ok"], "down") == ([one["outcome"] for one in runs], check["status"])


def test_a_configuration_is_validated_applied_and_told_again(
    server: Server, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cronitor.yaml"
    path.write_text(CONFIG)
    cronitor.read_config(str(path))

    assert cronitor.validate_config()
    assert [] == server.api("GET", "/v1/checks?slug=nightly-backup", key)["items"]
    assert cronitor.apply_config()

    check = the_check(server, key, "nightly-backup")
    assert ("Nightly backup", "30 2 * * *", "Europe/Berlin", 900, ["etl", "prod"], "See the runbook.") == (
        check["name"], check["schedule"]["expression"], check["schedule"]["zone"], check["grace"], check["tags"],
        check["description"],
    )  # fmt: skip
    assert 300 == the_check(server, key, "queue")["schedule"]["period"]

    cronitor.generate_config()
    again = path.read_text()
    assert "nightly-backup:" in again
    assert cronitor.apply_config()
    cronitor.generate_config()
    assert (again, check) == (path.read_text(), the_check(server, key, "nightly-backup"))

    path.write_text(CONFIG.replace("every 5 minutes", "whenever"))
    assert not cronitor.apply_config()
    monkeypatch.setattr(cronitor, "config", None)


def test_monitors_are_listed_paused_and_removed(server: Server, key: str) -> None:
    Monitor.put([{"key": f"listed-{n}", "type": "heartbeat", "schedule": "every hour"} for n in range(3)])
    one = Monitor("listed-1")

    assert 3 == len(Monitor.list(type="heartbeat", search="listed-", pageSize=2, auto_paginate=True))
    assert 200 == one.pause(2).status_code
    assert Monitor("listed-1").data.paused
    assert "snooze" == server.api("GET", "/v1/silences", key)["items"][0]["kind"]
    assert 200 == one.unpause().status_code
    assert not Monitor("listed-1").data.paused
    assert one.delete()
    with pytest.raises(cronitor.MonitorNotFound):
        one.delete()
    with pytest.raises(cronitor.MonitorNotFound):
        _ = Monitor("listed-1").data
    assert ["listed-0", "listed-2"] == [each.key for each in Monitor.list(search="listed-")]
    assert [] == server.api("GET", "/v1/checks?slug=listed-1", key)["items"]


def test_what_is_wrong_or_not_supported_is_told_by_its_field(server: Server, key: str) -> None:
    with pytest.raises(cronitor.APIValidationError) as told:
        Monitor.put([
            {"key": "ok-job", "schedule": "every hour"},
            {"key": "bad-job", "schedule": "61 * * * *"},
            {"key": "site", "type": "check", "request": {"url": "https://example.org"}},
        ])  # fmt: skip
    with pytest.raises(cronitor.APIError) as unknown:
        Monitor.put(key="x", api_key="hf_nobody")

    assert "monitors[2].type: must be job or heartbeat" in str(told.value)
    assert "monitors[2].request: is not supported" in str(told.value)
    assert "the API key is not known" in str(unknown.value)
    assert [] == server.api("GET", "/v1/checks?slug=ok-job", key)["items"]
