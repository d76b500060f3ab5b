"""A Debian's own crontabs and timers become checks; its jobs run on while Heartfly dies, and nothing of it is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heartfly.cli import heartfly_run
from tests.core.test_crontab_text import DEBIAN
from tests.e2e.test_run_away import Network, until
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
UNITS, WANTS = "usr/lib/systemd/system", "etc/systemd/system/timers.target.wants"
TIMER = "[Timer]\nOnCalendar=*-*-* 6,18:00\nRandomizedDelaySec=12h\nPersistent=true\n"


def machine(root: Path) -> Path:
    """This one's own files, as far as it has them, with the names that Debian gives them."""
    for folder in ("etc/cron.d", UNITS, WANTS):
        (root / folder).mkdir(parents=True)
    (root / "etc/crontab").write_text(Path("/etc/crontab").read_text() if Path("/etc/crontab").exists() else DEBIAN)
    for path in Path("/etc/cron.d").glob("*") if Path("/etc/cron.d").is_dir() else ():
        shutil.copy(path, root / "etc/cron.d")
    for path in (Path("/") / UNITS).glob("*.timer"):
        shutil.copy(path, root / UNITS)
    (root / UNITS / "heartbeat-test.timer").write_text(TIMER)
    (root / UNITS / "heartbeat-test.service").write_text("[Service]\nExecStart=/bin/true\n")
    for path in (root / UNITS).glob("*.timer"):
        (root / WANTS / path.name).symlink_to(f"/{UNITS}/{path.name}")
    (root / "etc/hostname").write_text("debian\n")
    (root / "etc/timezone").write_text("Europe/Berlin\n")
    return root


def test_a_debian_is_imported_and_its_jobs_lose_nothing_while_heartfly_is_killed(tmp_path: Path) -> None:
    server = Server(tmp_path)
    network = Network(server)
    server.settings["SERVER__BASE_URL"] = f"http://127.0.0.1:{network.port}"
    server.start()
    network.up()
    root = machine(tmp_path / "debian")
    said, spool = tmp_path / "said", tmp_path / "spool"
    job = root / "etc/cron.d/often"
    job.write_text(f"* * * * * root cat {said}; test ! -e {tmp_path}/broken || exit 3 # 1\\%\n")
    try:
        _is_imported(server, root, program=f"{sys.executable} {heartfly_run.__file__} --spool {spool}")
        line = job.read_text().removeprefix("* * * * * root ").removesuffix("\n").replace("\\%", "%")

        def run(word: str) -> None:
            said.write_text(word)
            done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
            assert (0, word) == (done.returncode, done.stdout)

        check = json.loads(server.command("checks", "edit", "debian-cat", "--period", "8s", "--grace", "12s", "--json"))
        _is_killed_and_loses_nothing(server, run, spool)
        _false_alarm_is_taken_back(server, run, network, check["id"])
        bodies = server.command("checks", "show", "debian-cat", "--json")
        assert 10 == json.loads(bodies)["n_pings"]  # five starts and five ends
    finally:
        network.down()
        server.kill()
    assert [] == list(spool.glob("*.json"))


def _is_imported(server: Server, root: Path, *, program: str) -> None:
    where = ("--root", str(root))
    first = json.loads(
        server.command("import", "crontab", *where, "--apply", "--edit", "--program", program, "--json")
    )  # fmt: skip
    timers = json.loads(server.command("import", "systemd", *where, "--apply", "--edit", "--json"))
    slugs = [one["check"]["slug"] for found in (first, timers) for one in found["jobs"] if one["check"]]

    assert {"debian-cron-daily", "debian-cat", "debian-heartbeat-test-timer"} <= set(slugs)
    assert len(slugs) == len(set(slugs))
    assert {"made"} == {one["done"] for one in first["jobs"]}
    assert "no drift." in server.command("drift", *where)
    assert "heartfly_run.py" in (root / "etc/crontab").read_text()

    crontab = root / "etc/crontab"
    as_it_was = crontab.read_text()
    crontab.write_text(as_it_was.replace("25 6", "25 7") + "0 5 * * * root /opt/new\n")
    drift = _drift(server, *where)
    assert {("debian-cron-daily", "schedule_differs"), ("debian-new", "no_check")} == drift
    crontab.write_text("".join(one for one in as_it_was.splitlines(keepends=True) if "cron.daily" not in one))
    assert {("debian-cron-daily", "no_job")} == _drift(server, *where)
    crontab.write_text(as_it_was)


def _drift(server: Server, *where: str) -> set[tuple[str, str]]:
    from tests.server_process import typed  # noqa: PLC0415 - its exit status is what is asked for

    done = typed(server.folder, "drift", *where, "--json", env=server.own_settings | {"HEARTFLY_URL": server.url})
    assert 3 == done.returncode
    jobs: list[dict[str, Any]] = json.loads(done.stdout)["jobs"]
    return {
        ((one["check"] or one["proposal"])["slug"], one["outcome"]) for one in jobs if one["outcome"] != "same"
    }  # fmt: skip


def _is_killed_and_loses_nothing(server: Server, run: Any, spool: Path) -> None:
    run("before")
    server.kill()
    run("while it was dead")
    assert 2 == len(list(spool.glob("*.json")))
    server.start()
    run("after")
    assert [] == list(spool.glob("*.json"))


def _false_alarm_is_taken_back(server: Server, run: Any, network: Network, check_id: str) -> None:
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    of_check = f"/v1/checks/{check_id}"
    until(lambda: server.api("GET", of_check, key)["late"])
    network.down()
    run("swallowed")
    until(lambda: server.api("GET", of_check, key)["status"] == "down")
    network.up()
    run("at last")
    flips = [one["reason"] for one in server.api("GET", f"{of_check}/flips", key)["items"]]
    incidents = server.api("GET", f"/v1/incidents?check={check_id}", key)["items"]
    assert ["retracted", "missed"] == flips[:2]
    assert ("retracted", True) == (incidents[0]["ended_by"], incidents[0]["disproved"])
