"""The one file that runs jobs, alone and as it is copied, with real jobs and a server that may be away."""

from __future__ import annotations

import ast
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typing_extensions import override

from heartfly.cli import heartfly_run
from heartfly.clock import SystemClock
from tests.cli.conftest import Run, ok
from tests.server_process import Server, free_port

pytestmark = pytest.mark.e2e

FILE = Path(heartfly_run.__file__)
CLOCK = SystemClock()
UUID = "c4b3f2a0-0000-4000-8000-00000000000a"


@dataclass
class Heard:
    """What a server heard: the path behind the check, its query, and what was said."""

    action: str
    query: dict[str, list[str]]
    body: bytes

    @property
    def figures(self) -> dict[str, float]:
        return {name: float(value) for name, _, value in (one.partition(":") for one in self.query.get("metric", ()))}


@dataclass
class Ear:
    """A server of pings. `status`: what it answers."""

    port: int = 0
    status: int = 200
    heard: list[Heard] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def listen(self) -> None:
        ear = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers["content-length"]))
                ear.heard.append(Heard(url.path.removeprefix(f"/ping/{UUID}"), parse_qs(url.query), body))
                self.send_response(ear.status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"OK")

            @override
            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Door)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def leave(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ping/{UUID}"

    @property
    def actions(self) -> list[str]:
        return [one.action for one in self.heard]


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    made.listen()
    yield made
    made.leave()


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """The file by itself, where nothing of Heartfly is."""
    copied = tmp_path / "bin" / "heartfly-run"
    copied.parent.mkdir()
    shutil.copy(FILE, copied)
    return copied


def begun(alone: Path, *arguments: str, env: Mapping[str, str] | None = None, **rest: Any) -> subprocess.Popen[bytes]:
    given = {"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(alone.parent / "state"), **(env or {})}
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | rest
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [sys.executable, "-I", alone, *arguments], env=given, cwd=alone.parent, **streams
    )
    return process


def ran(alone: Path, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, bytes, bytes]:
    process = begun(alone, *arguments, env=env)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def kept(alone: Path) -> list[Path]:
    return sorted((alone.parent / "state" / "heartfly-run").glob("*.json"))


def test_a_job_is_told_from_its_start_to_its_end_with_what_it_said(alone: Path, ear: Ear) -> None:
    status, out, err = ran(alone, "--check", ear.url, "--", "sh", "-c", "echo out; echo rows=5 >&2")

    start, end = ear.heard
    assert (0, b"out\n", b"rows=5\n") == (status, out, err)
    assert ("/start", "/0", b"") == (start.action, end.action, start.body)
    assert start.query["rid"] == end.query["rid"]
    assert [[socket.gethostname()]] * 2 == [one.query["host"] for one in ear.heard]
    assert sorted(b"out\nrows=5\n") == sorted(end.body)
    assert ["cpu_seconds", "duration_seconds", "max_rss_bytes"] == sorted(end.figures)
    assert end.figures["max_rss_bytes"] > 100_000
    assert [] == kept(alone)


@pytest.mark.parametrize(("host", "told"), [("db-1 & co", ["db-1 & co"]), ("", None)])
def test_the_machine_that_is_told_can_be_another_or_none(
    alone: Path, ear: Ear, host: str, told: list[str] | None
) -> None:
    ran(alone, "--check", ear.url, "--host", host, "--", "true")

    assert [told] * 2 == [one.query.get("host") for one in ear.heard]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "exit 255"], 255),
        (["no-such-command"], 127),
        (["/"], 126),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["sh", "-c", "kill -KILL $$"], 137),
    ],
)
def test_the_exit_status_of_the_job_is_ours_and_is_told(alone: Path, ear: Ear, command: list[str], status: int) -> None:
    told, _, _ = ran(alone, "--check", ear.url, "--", *command)

    assert (status, ["/start", f"/{status}"]) == (told, ear.actions)


def test_how_it_ended_is_said_where_the_status_alone_does_not(alone: Path, ear: Ear) -> None:
    ran(alone, "--check", ear.url, "--", "sh", "-c", "echo last words; kill -KILL $$")
    ran(alone, "--check", ear.url, "--", "no-such-command")

    assert b"last words\n\nit was ended by SIGKILL" == ear.heard[1].body
    assert b"no-such-command: No such file or directory" == ear.heard[3].body


def test_options_of_the_job_are_its_own(alone: Path, ear: Ear) -> None:
    _, out, _ = ran(alone, "--check", ear.url, "--", "echo", "--check", "-n", "--", "x")

    assert b"--check -n -- x\n" == out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_signals_reach_the_job(alone: Path, ear: Ear, number: signal.Signals) -> None:
    script = f"trap 'echo caught; exit 9' {number.name.removeprefix('SIG')}; echo ready; while :; do sleep 0.05; done"
    process = begun(alone, "--check", ear.url, "--", "sh", "-c", script)
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()

    process.send_signal(number)
    out, _ = process.communicate(timeout=30)

    assert (9, b"caught\n", "/9") == (process.returncode, out, ear.actions[-1])


def test_a_job_that_takes_too_long_is_ended_with_all_that_it_began(alone: Path, ear: Ear) -> None:
    begun_at = CLOCK.monotonic()
    status, out, _ = ran(alone, "--check", ear.url, "--timeout", "0.5s", "--", "sh", "-c", "sleep 60 & echo on; wait")

    assert (124, b"on\n", "/124") == (status, out, ear.actions[-1])
    assert b"on\n\nit took longer than 0.5 s and was ended" == ear.heard[-1].body
    assert CLOCK.monotonic() - begun_at < 30


def test_a_job_that_will_not_end_is_killed(alone: Path, ear: Ear) -> None:
    script = "trap '' TERM; while :; do sleep 0.05; done"

    assert 124 == ran(alone, "--timeout", "0.3", "--kill-after", "0.3", "--", "sh", "-c", script)[0]


def test_what_holds_its_output_open_in_the_background_is_not_waited_for(alone: Path, ear: Ear) -> None:
    begun_at = CLOCK.monotonic()
    process = begun(
        alone, "--check", ear.url, "--", "sh", "-c", "sleep 60 & echo done", stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip

    assert 0 == process.wait(50)
    assert CLOCK.monotonic() - begun_at < 50
    assert b"done\n" == ear.heard[-1].body


def test_one_at_a_time_holds_a_lock_and_the_other_does_not_run(alone: Path, ear: Ear, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        status, out, err = ran(alone, "--check", ear.url, "--lock", str(lock), "--", "echo", "ran")
        assert (75, b"", True) == (status, out, b"another job holds" in err)
    assert (0, b"ran\n") == ran(alone, "--check", ear.url, "--lock", str(lock), "--", "echo", "ran")[:2]

    assert ["/log", "/start", "/0"] == ear.actions


def test_secrets_are_passed_on_and_not_sent(alone: Path, ear: Ear) -> None:
    said = "hunter2hunter2 and-mine Authorization: Bearer abc.def postgres://u:pa55@h/db password=qwerty plain"
    env = {"DB_PASSWORD": "hunter2hunter2", "SHELL_NAME": "plain"}

    _, out, _ = ran(alone, "--check", ear.url, "--mask", "and-mine", "--", "echo", said, env=env)

    assert f"{said}\n".encode() == out
    assert b"*** *** Authorization: Bearer *** postgres://u:***@h/db password=*** plain\n" == ear.heard[-1].body


def test_of_a_long_output_the_end_is_sent_and_all_is_passed_on(alone: Path, ear: Ear) -> None:
    script = "import sys; sys.stdout.write('x' * 3_000_000 + 'the end')"

    _, out, _ = ran(alone, "--check", ear.url, "--", sys.executable, "-c", script)

    assert 3_000_007 == len(out)
    assert (10_000, True) == (len(ear.heard[-1].body), ear.heard[-1].body.endswith(b"xthe end"))


def test_a_reader_that_hangs_up_does_not_stop_the_job(alone: Path, ear: Ear) -> None:
    script = "echo one; sleep 0.3; echo two; exit 4"
    process = begun(alone, "--check", ear.url, "--", "sh", "-c", script, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.close()

    assert 4 == process.wait(30)
    assert b"one\ntwo\n" == ear.heard[-1].body


def test_what_cannot_be_sent_is_kept_and_sent_with_its_time_by_the_next_run(alone: Path, ear: Ear) -> None:
    ear.leave()
    begun_at = CLOCK.now().timestamp()
    status, out, err = ran(alone, "--check", ear.url, "--", "sh", "-c", "echo said; exit 2")

    assert (2, b"said\n", True) == (status, out, b"Heartfly does not hear" in err)
    assert 2 == len(kept(alone))
    assert 0o700 == (alone.parent / "state" / "heartfly-run").stat().st_mode & 0o777
    assert {0o600} == {path.stat().st_mode & 0o777 for path in kept(alone)}

    ear.listen()
    assert 0 == ran(alone, "--check", ear.url, "--", "true")[0]

    # Of what was kept the end goes first, so that its run does not hang until it comes.
    assert ["/2", "/start", "/start", "/0"] == ear.actions
    assert b"said\n" == ear.heard[0].body
    assert ear.heard[0].query["rid"] == ear.heard[1].query["rid"]
    assert ["took" in one.query for one in ear.heard] == [True, False, False, True]
    assert float(ear.heard[0].query["took"][0]) == ear.heard[0].figures["duration_seconds"]
    ago = [float(one.query["ago"][0]) for one in ear.heard[:2]]
    assert ago[1] >= ago[0]
    assert CLOCK.now().timestamp() - begun_at + 1 > ago[1] > 0
    assert "ago" not in ear.heard[2].query
    assert [] == kept(alone)


@pytest.mark.parametrize(("status", "n_kept"), [(503, 2), (429, 2), (404, 0), (400, 0)])
def test_a_server_that_may_take_it_later_is_asked_again_and_one_that_will_not_is_not(
    alone: Path, ear: Ear, status: int, n_kept: int
) -> None:
    ear.status = status

    assert 0 == ran(alone, "--check", ear.url, "--", "true")[0]

    assert n_kept == len(kept(alone))


def test_what_is_kept_for_another_server_holds_up_nobody(alone: Path, ear: Ear) -> None:
    away = f"http://127.0.0.1:{free_port()}/ping/{UUID}"
    ran(alone, "--check", away, "--", "true")

    ran(alone, "--check", ear.url, "--", "true")

    assert (["/start", "/0"], 2) == (ear.actions, len(kept(alone)))


def test_a_file_that_is_broken_is_set_aside(alone: Path, ear: Ear) -> None:
    folder = alone.parent / "state" / "heartfly-run"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text("{")
    (folder / "2.json").write_text(json.dumps({"url": 5}))

    assert 0 == ran(alone, "--check", ear.url, "--", "true")[0]

    assert (["/start", "/0"], ["1.broken", "2.broken"]) == (
        ear.actions, sorted(path.name for path in folder.glob("*.broken"))
    )  # fmt: skip


def test_a_disk_that_takes_nothing_breaks_no_job(alone: Path, ear: Ear) -> None:
    ear.leave()
    (alone.parent / "state").write_text("no directory")

    status, _, err = ran(alone, "--check", ear.url, "--", "sh", "-c", "exit 6")

    assert (6, True) == (status, b"nothing can be kept" in err)


@pytest.mark.parametrize("check", ["", "http://[", "no-address"])
def test_without_an_address_the_job_runs_and_it_is_said(alone: Path, check: str) -> None:
    status, out, err = ran(alone, "--check", check, "--", "echo", "ran")

    assert (0, b"ran\n", True) == (status, out, b"nobody is told" in err)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], b"there is no command to run"),
        (["--"], b"there is no command to run"),
        (["--timeout", "soon", "--", "true"], b"is not a duration"),
    ],
)
def test_what_cannot_be_meant_is_told_before_anything_runs(alone: Path, arguments: list[str], sentence: bytes) -> None:
    status, _, err = ran(alone, *arguments)

    assert (2, True) == (status, sentence in err)


@pytest.mark.parametrize(
    ("check", "environment", "address"),
    [
        ("", {"HEARTFLY_PING_URL": "https://h.example/ping/x"}, "https://h.example/ping/x"),
        (UUID, {"HEARTFLY_URL": "https://h.example/"}, f"https://h.example/ping/{UUID}"),
        (
            "nightly",
            {"HEARTFLY_URL": "https://h.example", "HEARTFLY_PING_KEY": "k"},
            "https://h.example/ping/k/nightly",
        ),
        ("nightly", {"HEARTFLY_URL": "https://h.example"}, ""),
        (UUID, {}, ""),
        ("http://h.example:8000/under/ping/x?create=1", {}, "http://h.example:8000/under/ping/x?create=1"),
        ("https://user@h.example/x", {}, ""),
    ],
)
def test_a_check_is_named_by_address_uuid_or_slug(check: str, environment: dict[str, str], address: str) -> None:
    assert address == heartfly_run.address_of(check, environment)


def test_the_same_file_is_a_command_and_a_real_server_hears_it(run: Run, server: Server, tmp_path: Path) -> None:
    check = json.loads(ok(run("checks", "create", "Run by us", "--gate", "rows > 4", "--json")))
    job = [sys.executable, "-m", "heartfly", "run", "--spool", str(tmp_path), "--check", check["ping_url"], "--"]

    for command, status in ((["echo", "rows=5"], 0), (["sh", "-c", "exit 3"], 3)):
        assert status == subprocess.run([*job, *command], timeout=120, check=False, capture_output=True).returncode

    seen = json.loads(ok(run("checks", "show", "run-by-us", "--json")))
    failed, went_well = seen["runs"]
    assert ("down", "failed", 3, "ok") == (
        seen["status"],
        failed["outcome"],
        failed["exit_status"],
        went_well["outcome"],
    )
    assert {"rows", "max_rss_bytes", "cpu_seconds", "duration_seconds"} == set(went_well["metrics"])
    assert went_well["started_at"] is not None


def pythons() -> list[str]:
    """Those that are here, of the versions that the file promises to run with."""
    found = [shutil.which(f"python3.{minor}") for minor in range(8, 16)]
    return [
        path
        for path in found
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0
    ]


@pytest.mark.parametrize("python", pythons())
def test_the_file_runs_with_each_python_that_is_here(python: str, ear: Ear, tmp_path: Path) -> None:
    check = f"http://127.0.0.1:{ear.port}/ping/{UUID}"
    command = [python, str(FILE), "--spool", str(tmp_path), "--check", check, "--", "sh", "-c", "echo rows=5; exit 3"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (3, "rows=5\n", "") == (done.returncode, done.stdout, done.stderr)
    assert ["/start", "/3"] == [one.action for one in ear.heard]


def test_the_file_is_written_in_the_python_that_it_promises() -> None:
    ast.parse(FILE.read_text(), feature_version=(3, 8))
    assert "Python 3.8" in FILE.read_text()
