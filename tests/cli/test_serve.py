"""`heartfly serve` and its neighbours as a person meets them: the first start, the keys, the end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from heartfly import __version__
from heartfly.config import load
from heartfly.db.migrate import HEAD
from tests.server_process import Server, typed

pytestmark = pytest.mark.e2e


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def heartfly(folder: Path, *arguments: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """In this process, but for what would change it: a server waits for signals, a backup steps back behind others."""
    if arguments[0] not in {"serve", "backup"}:
        return typed(folder, *arguments, given=given, env=variables)
    return subprocess.run(
        [sys.executable, "-m", "heartfly", *arguments],
        cwd=folder,
        env=os.environ | variables,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_first_start_prints_a_ping_address_that_works(server: Server) -> None:
    server.start()
    said = (server.folder / "server.log").read_text()
    address = re.search(r"http://127\.0\.0\.1:\d+/ping/\w{22}/my-job\?create=1", said)

    assert address is not None, said
    with urllib.request.urlopen(address.group()) as reply:
        assert 201 == reply.status
    # As it stands, in the shell of another terminal:
    (listing,) = re.findall(r"^    (\S.* checks list) ", said, re.MULTILINE)
    ran = subprocess.run(
        ["sh", "-c", listing], cwd=server.folder, env=os.environ | {"HEARTFLY_URL": server.url},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (0, True) == (ran.returncode, "my-job" in ran.stdout), ran.stderr
    assert f"    export HEARTFLY_URL=http://127.0.0.1:{server.port}\n" in said
    assert "HEARTFLY_DATA__DIR" not in said
    key = server.folder / "heartfly-data" / "cli-key"
    assert 0o600 == stat.S_IMODE(key.stat().st_mode)
    (check,) = server.api("GET", "/v1/checks", key.read_text().strip())["items"]
    assert ("my-job", "up") == (check["slug"], check["status"])
    server.kill()  # the first greeting is for the terminal, not for a log: it may show the address


def test_what_it_prints_to_do_next_works_in_another_terminal(tmp_path: Path) -> None:
    server = Server(tmp_path, {"DATA__DIR": "our data"})
    server.start()
    try:
        said = (tmp_path / "server.log").read_text()
        next_steps = re.search(r"another terminal:\n\n(.*?)\n\n", said, re.DOTALL)
        assert next_steps is not None, said
        lines = next_steps[1].replace("    heartfly", f"    {sys.executable} -m heartfly").splitlines()
        script = "\n".join(line.partition("   see the job")[0].strip() for line in lines)
        done = subprocess.run(
            ["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        server.kill()

    assert 0 == done.returncode, script + done.stdout + done.stderr
    assert "Nightly backup: expected at 02:30 (Europe/Berlin)" in done.stdout
    assert f"export HEARTFLY_URL=http://127.0.0.1:{server.port}\nexport HEARTFLY_DATA__DIR='our data'\n" in script


def test_a_node_that_serves_nobody_shows_no_address_that_would_lead_nowhere(tmp_path: Path, postgres_url: str) -> None:
    server = Server(tmp_path, {"DATABASE__URL": postgres_url})
    server.start("--roles", "judge,send")
    try:
        said = (tmp_path / "server.log").read_text()
    finally:
        server.kill()

    assert [] == [address for address in ("/setup", "/ping/") if address in said]
    assert "its roles leave them out. The API key is in heartfly-data/cli-key." in said
    assert "set server.base_url" in said
    assert (tmp_path / "heartfly-data" / "cli-key").is_file()


def test_what_init_made_is_what_serve_serves(server: Server) -> None:
    keys = server.init()
    server.start()

    assert {"project", "api_key", "read_key", "ping_key"} == set(keys)
    with urllib.request.urlopen(f"{server.url}/ping/{keys['ping_key']}/job?create=1") as reply:
        assert 201 == reply.status
    assert 1 == len(server.api("GET", "/v1/checks", keys["read_key"])["items"])
    assert "/ping/" not in (server.folder / "server.log").read_text()
    assert 0 == server.stop()


def test_what_it_makes_is_its_owners_alone_whatever_the_umask(server: Server) -> None:
    before = os.umask(0)
    try:
        server.init()
        server.start()
    finally:
        os.umask(before)
    data = server.folder / "heartfly-data"
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in data.iterdir()}

    files = {f"{name}{end}" for name in ("heartfly.db", "usage.db") for end in ("", "-wal", "-shm")}
    assert files | {"lock", "secret.key", "cli-key"} == set(modes)
    assert {0o600} == set(modes.values()), modes
    assert 0o700 == stat.S_IMODE(data.stat().st_mode)
    assert 0 == server.stop()


def test_a_second_init_is_refused(server: Server) -> None:
    server.init()

    again = heartfly(
        server.folder, "init", "--email", "b@example.com", "--password-stdin", "--project", "two", given="correct horse"
    )
    assert 1 == again.returncode
    assert "there are users already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "given", "names"),
    [
        (["--email", "nobody", "--project", "one"], "correct horse", "email"),
        (["--email", "a@example.com", "--project", "One Two"], "correct horse", "project"),
        (["--email", "a@example.com", "--project", "v1"], "correct horse", "project"),
        (["--email", "a@example.com", "--project", "one", "--zone", "Mars/Base"], "correct horse", "zone"),
        (["--email", "a@example.com", "--project", "one"], "short", "password"),
    ],
)
def test_init_names_what_is_wrong(tmp_path: Path, arguments: list[str], given: str, names: str) -> None:
    done = heartfly(tmp_path, "init", "--password-stdin", *arguments, given=given)

    assert 1 == done.returncode
    assert names in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_server_in_the_same_place_says_why_not(server: Server) -> None:
    server.start()

    second = heartfly(server.folder, "serve", "--port", "0")
    assert 1 == second.returncode
    assert "another Heartfly is using" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: (data / "secret.key").write_bytes(Fernet.generate_key()), "secret.key file is not the one"),
        (lambda data: (data / "secret.key").unlink(), "secret.key file is not the one"),
        (lambda data: (data / "secret.key").write_text("no key"), "secret.key holds something else"),
        (lambda data: (data / "heartfly.db").write_bytes(b"no database" * 1000), "is damaged (heartfly.db"),
        (lambda data: (data / "lock").unlink() or (data / "lock").mkdir(), "lock: Is a directory"),
    ],
)
def test_a_start_that_cannot_be_says_why_in_a_sentence(tmp_path: Path, spoil: Any, says: str) -> None:
    arguments = ("--password-stdin", "--email", "a@example.com", "--project", "one")
    assert 0 == heartfly(tmp_path, "init", *arguments, given="correct horse").returncode
    for journal in ("heartfly.db-wal", "heartfly.db-shm"):
        (tmp_path / "heartfly-data" / journal).unlink(missing_ok=True)

    spoil(tmp_path / "heartfly-data")
    done = heartfly(tmp_path, "serve", "--port", "0")

    assert 1 == done.returncode
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_sigterm_ends_it_cleanly_and_the_next_start_is_not_blind(server: Server) -> None:
    keys = server.init()
    server.start()
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)

    assert 0 == server.process.wait(120)
    assert 0.0 < server.start()
    assert [] == server.api("GET", "/v1/checks", keys["api_key"])["items"]


def test_an_idle_server_stops_at_once_and_says_when_it_came_and_went(server: Server) -> None:
    server.init()
    server.settings["SERVER__DRAIN_S"] = "600"
    server.start()
    assert server.process is not None
    begun = time.perf_counter()
    server.process.send_signal(signal.SIGTERM)

    assert 0 == server.process.wait(500)
    assert time.perf_counter() - begun < 500, "it does not wait out the minutes of draining"
    told = [json.loads(row) for row in (server.folder / "server.log").read_text().splitlines() if row.startswith("{")]
    start, stop = (next(each for each in told if each["event"] == name) for name in ("start", "stop"))
    assert (__version__, "sqlite", server.url) == (start["version"], start["database"], start["address"])
    assert "optional" == start["second_step"]
    assert (__version__, False) == (stop["version"], stop["failed"])
    assert stop["ran_s"] < 600


def test_the_schema_can_be_made_before_anything_serves(tmp_path: Path) -> None:
    first, second = heartfly(tmp_path, "migrate"), heartfly(tmp_path, "migrate")

    assert (0, 0) == (first.returncode, second.returncode)
    assert f"version {HEAD}" in first.stdout


def test_the_configuration_can_be_checked_without_serving(tmp_path: Path) -> None:
    good = heartfly(tmp_path, "check-config", HEARTFLY_MAIL__HOST="mx", HEARTFLY_MAIL__FROM_ADDRESS="a@example.com",
                    HEARTFLY_MAIL__USERNAME="u", HEARTFLY_MAIL__PASSWORD="hunter2hunter2",
                    HEARTFLY_OUTGOING__PROXY="http://hf:hunter2hunter2@10.0.0.1:3128")  # fmt: skip
    bad = heartfly(tmp_path, "check-config", HEARTFLY_SERVER__PORT="70000")
    unknown = heartfly(tmp_path, "check-config", HEARTFLY_SERVER__PROT="80")

    assert 0 == good.returncode
    assert "hunter2" not in good.stdout
    assert 'proxy = "http://***@10.0.0.1:3128"' in good.stdout
    (tmp_path / "said.toml").write_text(good.stdout.replace('password = "***"', 'password = "p"'))
    assert "mx" == load(tmp_path / "said.toml", {}).mail.host  # what it prints is a configuration, every setting known
    assert (1, True) == (bad.returncode, "server.port" in bad.stderr)
    assert (1, True) == (unknown.returncode, "HEARTFLY_SERVER__PROT" in unknown.stderr)


def test_help_lists_every_command(tmp_path: Path) -> None:
    said = heartfly(tmp_path, "--help").stdout

    assert [] == [
        name
        for name in (
            "serve",
            "init",
            "migrate",
            "check-config",
            "checks",
            "channels",
            "keys",
            "project",
            "user",
            "next",
        )
        if name not in said
    ]


def test_a_second_ctrl_c_ends_it_at_once_and_loses_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path, {"SERVER__DRAIN_S": "60", "SERVER__FINISH_S": "60"})
    server.start()
    assert server.process is not None
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    server.api("POST", "/v1/checks", key, {"name": "kept"})
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\n")  # its end is on the way, so the first one waits
        server.process.send_signal(signal.SIGINT)
        said = server.folder / "server.log"
        give_up_at = time.perf_counter() + 120
        while "Press Ctrl-C again" not in said.read_text():
            assert time.perf_counter() < give_up_at
            assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)

        assert 130 == server.process.wait(50)
    (stop,) = [json.loads(line) for line in said.read_text().splitlines() if '"event":"stop"' in line]
    assert stop["at_once"]
    server.start()
    assert ["kept"] == [check["name"] for check in server.api("GET", "/v1/checks", key)["items"]]
    server.kill()
