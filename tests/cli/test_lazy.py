"""Commands that ask a server wait for nothing that only a server needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from heartfly.cli import main
from heartfly.config.settings import NIGHTLY
from heartfly.core.schedule import Kind, parse

ASK_A_SERVER = (
    *("audit", "checks", "incidents", "invites", "keys", "members", "notifications", "project"),
    *("usage_days", "usage_events", "usage_meters", "usage_send"),
)
A_SERVERS = {"sqlalchemy", "litestar", "uvicorn", "httpx", "jinja2", "croniter", "alembic", "asyncio", "rich.console"}


def test_a_command_that_asks_a_server_imports_nothing_of_the_servers() -> None:
    code = (
        f"import sys; {'; '.join(f'import heartfly.cli.{name}' for name in ASK_A_SERVER)}; "
        "from heartfly.config import load; load(None, {}); "
        f"print(sorted({A_SERVERS!r} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("group", [(), ("usage",)], ids=["heartfly", "usage"])
def test_each_command_of_a_group_is_where_the_group_says(group: tuple[str, ...]) -> None:
    listed = CliRunner().invoke(main, [*group, "--help"])
    assert listed.exit_code == 0, listed.output
    wrong = CliRunner().invoke(main, [*group, "no-such-command"])
    assert (2, True) == (wrong.exit_code, "No such command" in wrong.output)


def test_the_schedule_of_backups_that_nobody_set_is_one() -> None:
    parse(Kind.CRON, expression=NIGHTLY)
