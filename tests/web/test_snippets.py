"""The shown programs do what they say: run against a real server, by the interpreters that this machine has."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from heartfly.accounts.first_owner import SetupToken
from heartfly.config import Settings
from heartfly.config.smtp import Smtp
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.web.pages import pages
from heartfly.web.snippets import all_snippets
from tests.api.door import state_of
from tests.server_process import Server
from tests.sim_clock import SimClock
from tests.web.conftest import START, Town, state_with

pytestmark = pytest.mark.anyio

NAMES = ["curl", "crontab", "bash", "systemd", "Python", "Node", "Go", "PowerShell", "Kubernetes"]


async def test_the_page_shows_each_with_the_checks_own_address(town: Town) -> None:
    check = await town.world.check(START, name="one", slug="one")
    page = (await (await town.owner()).get("/p/main/checks/one/snippets")).body.decode()
    shown = [unescape(code) for code in re.findall(r"<pre [^>]*><code>(.*?)</code></pre>", page, re.DOTALL)]
    url = f"http://beat.example.org/ping/{check.ping_uuid}"

    assert NAMES == re.findall(r"<h2>([^<]+)</h2>", page)
    assert [url, *(one.code for one in all_snippets(url))] == shown
    assert all(url in code for code in shown)
    viewer = await (await town.viewer()).get("/p/main/checks/one/snippets")
    assert (403, False) == (viewer.status, check.ping_uuid in viewer.body.decode())


async def test_where_mails_are_taken_the_page_shows_the_address_for_them(
    town: Town, db: Database, usage_db: Database, ids: IdSource, clock: SimClock
) -> None:
    check = await town.world.check(START, name="one", slug="one")
    settings = Settings(smtp=Smtp(listen="127.0.0.1:2525", domain="ping.example.org"))
    served = pages(state_with(state_of(db, clock, ids, settings, usage=usage_db), SetupToken()))

    page = (await (await replace(town, served=served).owner()).get("/p/main/checks/one/snippets")).body.decode()

    assert f"{check.ping_uuid}@ping.example.org" in page
    assert "/docs/email-pings" in page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("snippets"))
    made.start()
    yield made
    made.kill()


class Job:
    """A check of the real server, and a snippet in a file."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
        self.check = server.api("POST", "/v1/checks", self.key, {"name": name})
        self.code = next(one.code for one in all_snippets(self.check["ping_url"]) if one.name == name)

    def file(self, name: str, code: str) -> Path:
        made = self.server.folder / name
        made.write_text(code)
        return made

    def came(self) -> list[tuple[Any, ...]]:
        """Kind, exit status and what was said, oldest first."""
        found = self.server.api("GET", f"/v1/checks/{self.check['id']}/pings", self.key)["items"]
        return [(one["kind"], one["exit_status"], self.said(one["n"])) for one in reversed(found) if one]

    def said(self, n: int) -> str:
        found = self.server.api("GET", f"/v1/checks/{self.check['id']}/pings", self.key)["items"]
        url = next(one["body_url"] for one in found if one["n"] == n)
        if url is None:
            return ""
        done = subprocess.run(
            ["curl", "-fsS", "-H", f"Authorization: Bearer {self.key}", url.replace(self.base, self.server.url)],
            check=True, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        return done.stdout

    @property
    def base(self) -> str:
        url: str = self.check["ping_url"]
        return url.partition("/ping/")[0]

    def runs(self) -> list[tuple[str, Any]]:
        found = self.server.api("GET", f"/v1/checks/{self.check['id']}/runs", self.key)["items"]
        return [(one["outcome"], one["exit_status"]) for one in reversed(found)]


def run(*command: str, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)} here")


@pytest.mark.e2e
@needs("curl", "bash")
def test_curl_tells_a_success(server: Server) -> None:
    job = Job(server, "curl")
    assert 0 == run("bash", "-c", job.code).returncode
    assert [("success", None, "")] == job.came()


@pytest.mark.e2e
@needs("curl", "bash")
@pytest.mark.parametrize(
    ("does", "status", "kind"),
    [
        ("(exit 0)", 0, "success"), ("(exit 3)", 3, "fail"), ("no-such-program 2>/dev/null", 127, "fail"),
        ("sh -c 'kill -TERM $$'", 143, "fail"),
    ],
)  # fmt: skip
def test_the_crontab_line_tells_how_it_ended(server: Server, does: str, status: int, kind: str) -> None:
    job = Job(server, "crontab")
    line = job.code.removeprefix("0 3 * * * ").replace("/path/to/job", does)
    run("/bin/sh", "-c", line)
    assert [(kind, status, "")] == job.came()


@pytest.mark.e2e
@needs("curl", "bash")
@pytest.mark.parametrize(("status", "outcome"), [(0, "ok"), (3, "failed"), (127, "failed")])
def test_the_bash_wrapper_keeps_the_exit_status_and_the_output(server: Server, status: int, outcome: str) -> None:
    job = Job(server, "bash")
    script = str(job.file("beat.sh", job.code))
    command = ["no-such-program"] if status == 127 else ["bash", "-c", f"echo said; exit {status}"]
    done = run("bash", script, *command)

    assert status == done.returncode
    start, ended = job.came()
    assert ("start", None, "") == start
    assert ("success" if status == 0 else "fail", status) == ended[:2]
    assert done.stdout == ended[2]
    assert ("no-such-program" if status == 127 else "said\n") in ended[2]
    assert [(outcome, status)] == job.runs()


@pytest.mark.e2e
@needs("curl", "bash")
def test_the_bash_wrapper_tells_of_a_job_that_was_ended_and_leaves_no_orphan(server: Server) -> None:
    job = Job(server, "bash")
    script = str(job.file("beat.sh", job.code))
    mark = server.folder / "begun"
    process = subprocess.Popen(
        ["bash", script, "bash", "-c", f"echo before; echo $$ >{mark}; exec sleep 60"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    begun(process, mark)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)

    assert (143, "before\n") == (process.returncode, said)
    assert [("start", None, ""), ("fail", 143, "before\n")] == job.came()
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()


def begun(process: subprocess.Popen[str], mark: Path) -> None:
    """Wait until the job has left its mark; waiting for its end is the one wait that cannot miss its death."""
    for _ in range(600):
        if mark.exists() and mark.read_text().strip():
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            raise AssertionError("it ended too early")
    raise AssertionError("it did not begin")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("line", "status", "wanted"),
    [
        ("print('done')", 0, ("success", None)),
        ("raise SystemExit(3)", 3, ("fail", 3)),
        ("raise SystemExit(0)", 0, ("success", 0)),
        ("raise SystemExit(127)", 127, ("fail", 127)),
        ("raise RuntimeError('no route to host')", 1, ("fail", None)),
    ],
)
def test_the_python_snippet_tells_how_it_ended(server: Server, line: str, status: int, wanted: tuple[Any, ...]) -> None:
    job = Job(server, "Python")
    script = job.file("job.py", re.sub(r"\.\.\.  # .*", line, job.code))
    done = run(sys.executable, str(script))

    assert status == done.returncode
    start, ended = job.came()
    assert "start" == start[0]
    assert wanted == ended[:2]
    if "RuntimeError" in line:
        assert "no route to host" in ended[2]
    assert 1 == len(job.runs())


@pytest.mark.e2e
def test_the_python_snippet_tells_of_a_job_that_was_ended(server: Server) -> None:
    job = Job(server, "Python")
    mark = server.folder / "python-begun"
    line = f"print('x', file=open({str(mark)!r}, 'w'), flush=True); time.sleep(60)"
    script = job.file("job.py", re.sub(r"\.\.\.  # .*", line, job.code))
    process = subprocess.Popen([sys.executable, "-u", str(script)], text=True)
    begun(process, mark)
    process.send_signal(signal.SIGTERM)

    assert 143 == process.wait(30)
    assert [("start", None), ("fail", 143)] == [one[:2] for one in job.came()]


@pytest.mark.e2e
def test_the_python_snippet_goes_on_if_nobody_answers(server: Server) -> None:
    job = Job(server, "Python")
    code = re.sub(r'URL = ".*"', 'URL = "http://127.0.0.1:9/ping/x"', job.code).replace("time.sleep(again)", "pass")
    done = run(sys.executable, str(job.file("job.py", re.sub(r"\.\.\.  # .*", "print('done')", code))))
    assert (0, "done\n") == (done.returncode, done.stdout)


if shutil.which("node"):  # no skip: where it is not, nothing is promised

    @pytest.mark.e2e
    @pytest.mark.parametrize(
        ("does", "status", "wanted"),
        [
            ("", 0, ("success", None)), ("process.exitCode = 3;", 3, ("fail", 3)),
            ("process.exitCode = 127;", 127, ("fail", 127)), ("throw new Error('no route');", 1, ("fail", None)),
        ],
    )  # fmt: skip
    def test_the_node_snippet_tells_how_it_ended(
        server: Server, does: str, status: int, wanted: tuple[Any, ...]
    ) -> None:
        job = Job(server, "Node")
        script = job.file("job.mjs", f"{job.code}\nawait watched(() => {{ {does} }});\n")
        assert status == run("node", str(script)).returncode
        start, ended = job.came()
        assert ("start", wanted) == (start[0], ended[:2])

    @pytest.mark.e2e
    def test_the_node_snippet_tells_of_a_job_that_was_ended(server: Server) -> None:
        job = Job(server, "Node")
        mark = server.folder / "node-begun"
        does = f"fs.writeFileSync({str(mark)!r}, 'x'); return new Promise((done) => setTimeout(done, 60000));"
        script = job.file("job.mjs", f'import fs from "node:fs";\n{job.code}\nawait watched(() => {{ {does} }});\n')
        process = subprocess.Popen(["node", str(script)], text=True)
        begun(process, mark)
        process.send_signal(signal.SIGTERM)
        assert 143 == process.wait(30)
        assert [("start", None), ("fail", 143)] == [one[:2] for one in job.came()]


if shutil.which("go"):  # likewise

    @pytest.mark.e2e
    def test_the_go_snippet_tells_how_it_ended(server: Server) -> None:
        does = """func job() error {
	switch os.Args[1] {
	case "sleep":
		os.WriteFile(os.Args[2], []byte("x"), 0o600)
		time.Sleep(time.Minute)
	case "error":
		return errors.New("no route")
	}
	return exec.Command("sh", "-c", "exit "+os.Args[1]).Run()
}"""
        job = Job(server, "Go")
        source = job.file("job.go", job.code.replace("func job() error { return nil }", does))
        program, mark = str(server.folder / "go-job"), server.folder / "go-begun"
        assert "" == run("go", "build", "-o", program, str(source), limit_s=600).stderr
        assert [0, 3, 127, 1] == [run(program, how).returncode for how in ("0", "3", "127", "error")]
        process = subprocess.Popen([program, "sleep", str(mark)], text=True)
        begun(process, mark)
        process.send_signal(signal.SIGTERM)
        assert 143 == process.wait(30)
        ends = [one[:2] for one in job.came() if one[0] != "start"]
        assert [("success", None), ("fail", 3), ("fail", 127), ("fail", None), ("fail", 143)] == ends


@pytest.mark.e2e
@needs("curl")
@pytest.mark.parametrize(
    ("ended", "wanted"), [("0", ("success", 0)), ("3", ("fail", 3)), ("127", ("fail", 127)), ("TERM", ("fail", None))]
)
def test_what_systemd_runs_after_the_job_tells_how_it_ended(
    server: Server, ended: str, wanted: tuple[str, Any]
) -> None:
    """Its shell command as systemd would give it to the shell, with the variable that systemd sets."""
    job = Job(server, "systemd")
    command = re.search(r"ExecStopPost=-/bin/sh -c '(.*)'$", job.code, re.DOTALL)
    assert command is not None
    curl = shutil.which("curl")
    assert curl is not None
    run("env", f"EXIT_STATUS={ended}", "/bin/sh", "-c", command[1].replace("/usr/bin/curl", curl))
    (came,) = job.came()
    assert wanted == came[:2]


if shutil.which("wget"):  # no skip: where it is not, nothing is promised

    @pytest.mark.e2e
    @pytest.mark.parametrize(("status", "kind"), [(0, "success"), (3, "fail"), (127, "fail")])
    def test_what_the_kubernetes_container_runs_tells_how_it_ended(server: Server, status: int, kind: str) -> None:
        job = Job(server, "Kubernetes")
        done = run("env", f"BEAT={job.check['ping_url']}", "/bin/sh", "-c", in_container(job, f"(exit {status})"))
        assert (status, "") == (done.returncode, done.stderr)
        assert [("start", None), (kind, status)] == [one[:2] for one in job.came()]

    @pytest.mark.e2e
    def test_a_kubernetes_container_that_is_ended_tells_so_and_ends_its_job(server: Server) -> None:
        job = Job(server, "Kubernetes")
        mark = server.folder / "container-begun"
        script = in_container(job, f"sh -c 'echo $$ >{mark}; exec sleep 60'")
        process = subprocess.Popen(["env", f"BEAT={job.check['ping_url']}", "/bin/sh", "-c", script], text=True)
        begun(process, mark)
        process.send_signal(signal.SIGTERM)
        assert 143 == process.wait(30)
        assert [("start", None), ("fail", 143)] == [one[:2] for one in job.came()]
        assert not Path(f"/proc/{mark.read_text().strip()}").exists()


def in_container(job: Job, command: str) -> str:
    return job.code.partition("- |\n")[2].replace("/path/to/job", command)


def test_the_kubernetes_snippet_is_yaml_with_the_schedule_as_text() -> None:
    yaml = pytest.importorskip("yaml")
    code = next(one.code for one in all_snippets("https://beat.example.org/ping/x") if one.name == "Kubernetes")
    assert "0 3 * * *" == yaml.safe_load(code)["spec"]["schedule"]
