"""What the server refuses is told with the name that whoever typed the command knows it by."""

from __future__ import annotations

import pytest
import rich_click as click

from heartfly.cli.channels import policy
from heartfly.cli.client import Refused


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
