"""The commands of the pages in docs/ do what the pages say: each page's blocks run in one shell, in order.

Against a server that has just been started; only its port is another one, so that tests can run side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.server_process import START_LIMIT_S, Server, get

pytestmark = pytest.mark.e2e

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^<!-- run -->\n```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SAYS = re.compile(r"^<!-- says -->\n```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted(page.name for page in DOCS.glob("*.md") if "<!-- run -->" in page.read_text(encoding="utf-8"))


def until_ready(server: Server) -> None:
    """It hears before it has looked at its checks for the first time, which on a busy machine takes some seconds."""
    ends = time.perf_counter() + START_LIMIT_S
    while HTTPStatus.OK != asyncio.run(get(server.port, "/readyz")):
        assert time.perf_counter() < ends
        assert server.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that ends meanwhile is asked no more
            raise AssertionError(f"it ended with {server.process.wait(0.2)}")


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(page: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks, told = _BLOCK.findall(text), [line for block in _SAYS.findall(text) for line in block.splitlines()]
    assert (text.count("<!-- run -->"), True) == (len(blocks), text.count("<!-- says -->") == len(_SAYS.findall(text)))
    (tmp_path / ".venv").symlink_to(sys.prefix)
    server = Server(tmp_path)
    server.start()
    try:
        until_ready(server)
        script = "".join(blocks).replace("http://127.0.0.1:8000", server.url)
        path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=server.environment | {"HEARTFLY_URL": server.url, "PATH": path},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        server.kill()

    assert 0 == done.returncode, done.stdout + done.stderr
    rest = done.stdout
    for line in told:
        assert line in rest, f"{line!r} is not said after the lines before it:\n{done.stdout}"
        rest = rest.partition(line)[2]
