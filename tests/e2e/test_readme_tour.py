"""The README's five minutes, word for word: only the two ports are others, so that tests can run side by side."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import free_port

pytestmark = pytest.mark.e2e

README = Path(__file__).resolve().parents[2] / "README.md"


def words(step: str) -> str:
    found = re.search(rf"<!-- tour: {step} -->\n```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, step
    return found.group(1)


class Terminal:
    """A shell that runs a step and whose lines are kept."""

    def __init__(self, folder: Path, script: str, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._grew = threading.Condition()
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec 2>&1; {script}"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._grew:
                self.lines.append(line)
                self._grew.notify_all()

    def wait_for(self, text: str, *, times: int = 1, seconds: float = 180) -> None:
        end = time.perf_counter() + seconds
        with self._grew:
            while sum(text in line for line in self.lines) < times:
                left = end - time.perf_counter()
                assert left > 0, f"{text!r} did not come {times} times:\n" + "".join(self.lines)
                self._grew.wait(left)

    def close(self) -> None:
        os.killpg(self._process.pid, 15)
        self._process.wait(30)
        self._reader.join(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_the_five_minutes_of_the_readme_go_as_it_says(tmp_path: Path, terminals: list[Terminal]) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    port, hook = free_port(), free_port()
    environment = os.environ | {"HEARTFLY_SERVER__PORT": str(port), "HEARTFLY_URL": f"http://127.0.0.1:{port}"}

    def say(step: str) -> str:
        return words(step).replace("9000", str(hook))

    server = Terminal(tmp_path, say("server"), environment)
    receiver = Terminal(tmp_path, say("receiver"), environment)
    terminals += [server, receiver]
    server.wait_for("listens on")
    job = subprocess.run(
        ["bash", "-ec", say("job") + 'echo; echo "PING=$PING"'],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert 0 == job.returncode, job.stdout + job.stderr
    ping = re.search(r"PING=(\S+)", job.stdout)
    assert ping is not None
    receiver.wait_for('"check.down"')
    done = subprocess.run(
        ["bash", "-ec", f"PING={ping.group(1)}\n" + say("repair")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "Nightly report" in done.stdout
    receiver.wait_for('"check.up"')
    used = subprocess.run(
        ["bash", "-ec", say("usage")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert 0 == used.returncode, used.stdout + used.stderr
    assert "2 events accepted, 0 known already." in used.stdout
    assert "0 events accepted, 2 known already." in used.stdout
    assert re.search(r"acme \(unknown\) +2 +0\.3 +300", used.stdout), used.stdout
    assert "Complete up to" in used.stdout
