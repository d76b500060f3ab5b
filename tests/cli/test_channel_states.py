"""How `heartfly channels list` says what a channel does."""

from __future__ import annotations

from typing import Any

import pytest

from heartfly.cli.channels import _state
from heartfly.cli.output import when

FIRST, LATER = "2026-03-02T10:00:00Z", "2026-03-02T10:02:00Z"


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ({"state": "ok"}, "ok"),
        (
            {"state": "retrying", "retrying_since": FIRST, "failing_since": None, "last_error": "no answer"},
            f"retrying since {when(FIRST)}: no answer",
        ),
        (
            {"state": "failing", "retrying_since": FIRST, "failing_since": LATER, "last_error": "no answer"},
            f"failing since {when(LATER)}: no answer",
        ),
        (
            {"state": "failing", "retrying_since": FIRST, "failing_since": LATER, "last_error": None},
            f"failing since {when(LATER)}: no reason known",
        ),
    ],
)
def test_a_channel_in_trouble_is_listed_with_since_when_and_why(channel: Any, expected: str) -> None:
    assert expected == _state(channel)
