"""How `heartfly channels list` says what a channel does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from heartfly.cli.channels import _state

FIRST, LATER, NOW = "2026-03-02T10:00:00Z", "2026-03-02T10:02:00Z", datetime(2026, 3, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ({"state": "ok"}, "ok"),
        (
            {"state": "retrying", "retrying_since": FIRST, "failing_since": None, "last_error": "no answer"},
            "retrying since 1 h ago: no answer",
        ),
        (
            {"state": "failing", "retrying_since": FIRST, "failing_since": LATER, "last_error": "no answer"},
            "failing since 58 min ago: no answer",
        ),
        (
            {"state": "failing", "retrying_since": FIRST, "failing_since": LATER, "last_error": None},
            "failing since 58 min ago: no reason known",
        ),
    ],
)
def test_a_channel_in_trouble_is_listed_with_since_when_and_why(channel: Any, expected: str) -> None:
    assert expected == _state(channel, now=NOW)
