"""The units of docs/systemd.md, as one pastes them, judged by systemd itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "systemd.md").read_text(encoding="utf-8")
UNITS = dict(re.findall(r"`/etc/systemd/system/([\w.-]+)`:\n\n```ini\n(.*?)```", PAGE, re.DOTALL))
MOST_EXPOSED = 30
"""In tenths of what `systemd-analyze security` gives: of 10.0 it calls up to 4.9 OK, and what sets nothing has 9.6."""


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside each other, with programs that are on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: apt-get install systemd")
    folder = tmp_path_factory.mktemp("units")
    program = shutil.which("true")
    for name, text in UNITS.items():
        here = re.sub(r"(?<==)/(?:opt/heartfly/bin/heartfly|usr/bin/curl)", str(program), text)
        (folder / name).write_text(here, encoding="utf-8")
    return folder


def analyzed(*words: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_server_socket_watcher_and_backup_are_there() -> None:
    assert [
        "heartfly.service", "heartfly.socket", "heartfly-watch.service", "heartfly-backup.service",
        "heartfly-backup.timer",
    ] == list(UNITS)  # fmt: skip


def test_systemd_takes_each_unit_as_it_stands(units: Path) -> None:
    assert (0, "") == analyzed("verify", "--man=no", *(units / name for name in UNITS))


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_a_service_can_do_little_to_its_machine(units: Path, name: str) -> None:
    code, said = analyzed("security", "--offline=true", f"--threshold={MOST_EXPOSED}", units / name)

    assert 0 == code, said
