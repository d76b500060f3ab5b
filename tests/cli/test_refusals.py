"""What the server refuses is told with the name that whoever typed the command knows it by."""

from __future__ import annotations

from pathlib import Path

import pytest
import rich_click as click
from click.testing import CliRunner

from heartfly.cli.channels import policy
from heartfly.cli.client import Refused
from heartfly.cli.serve import serve
from heartfly.errors import SettingsError


def _said(field: str) -> str:
    return Refused(422, {"errors": [{"field": field, "message": "must be less"}]}).message


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("policy.after", "--after: must be less"),
        ("policy.text", "--text: must be less"),
        ("policy.tags[3]", "policy.tags[3]: must be less"),
        ("policy.other", "policy.other: must be less"),
        ("config", "config: must be less"),
        ("channel", "channel: must be less"),
    ],
)
def test_a_field_that_is_an_option_of_the_command_is_called_so(field: str, said: str) -> None:
    with click.Context(policy):
        assert said == _said(field)


def test_without_a_command_a_field_keeps_its_name() -> None:
    assert "policy.after: must be less" == _said("policy.after")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--roles", "serve"], "missing: judge, send (given by --roles)"),
        (
            ["--roles", "serve,dance"],
            "server.roles[1]: Expected one of serve, judge, send, got 'dance' (given by --roles)",
        ),
        (
            ["--roles", "nothing"],
            "server.roles[0]: Expected one of serve, judge, send, got 'nothing' (given by --roles)",
        ),
        (["--roles", ""], "server.roles: Expected at least one of serve, judge, send (given by --roles)"),
        (["--port", "70000"], "server.port: Expected int <= 65535 (given by --port)"),
        (["--host", "no host"], "server.host: 'no host' is not an address of this machine"),
        (["--host", "no host"], "(given by --host)"),
        (["--fd", "999999"], "(given by --fd)"),
    ],
)
def test_a_setting_that_an_option_gave_is_told_with_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(serve, [*asked, *([] if "--port" in asked else ["--port", "0"])])

    assert isinstance(done.exception, SettingsError)
    assert said in str(done.exception)


def test_a_setting_that_a_variable_gave_is_told_with_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEARTFLY_SERVER__PORT", "70000")

    done = CliRunner().invoke(serve, ["--host", "127.0.0.1"])

    assert "(set by HEARTFLY_SERVER__PORT)" in str(done.exception)
