"""How `heartfly usage report` spells figures."""

from __future__ import annotations

import pytest

from heartfly.cli.usage_report import in_ms


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "-"),
        (0.0, "0"),
        (1.234, "1.23"),
        (999.4, "999"),
        (999.5, "1,000"),
        (999.9, "1,000"),
        (12_345.6, "12,346"),
    ],
)
def test_milliseconds_are_told_without_an_exponent(value: float | None, words: str) -> None:
    assert words == in_ms(value)
