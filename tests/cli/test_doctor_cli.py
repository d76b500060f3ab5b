"""`heartfly doctor` as a person and a script meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_serve import heartfly
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def test_a_server_in_order_has_no_error_and_is_not_disturbed(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.init()
    server.start()
    done = heartfly(tmp_path, "doctor", "--json")
    server.stop()

    told = json.loads(done.stdout)
    assert (0, "") == (done.returncode, done.stderr)
    by_name = {one["name"]: one for one in told["findings"]}
    assert ("ok", "ok") == (by_name["server"]["level"], by_name["alerts"]["level"])
    assert told["level"] in {"ok", "warning"}


def test_an_error_ends_with_1_and_says_what_to_do(tmp_path: Path) -> None:
    Server(tmp_path).init()
    (tmp_path / "heartfly-data" / "secret.key").chmod(0o644)

    done = heartfly(tmp_path, "doctor")

    assert 1 == done.returncode
    assert "secret key: Run chmod 600 heartfly-data/secret.key" in done.stdout
    assert "Traceback" not in done.stderr


def test_before_the_first_start_nothing_is_made(tmp_path: Path) -> None:
    assert 0 == heartfly(tmp_path, "doctor").returncode
    assert [] == list(tmp_path.iterdir())
