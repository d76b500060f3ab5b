"""Whether a colour can be read, by figures that WCAG's own tools give."""

from __future__ import annotations

import pytest

from heartfly.core.contrast import colour, contrast
from heartfly.errors import InvalidValueError


@pytest.mark.parametrize(
    ("one", "other", "is_about"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#0000ff", "#ffffff", 8.59),
        ("#ff0000", "#ffffff", 4.0),
        ("#0a0a0a", "#000000", 1.06),
        ("#4a48d4", "#4a48d4", 1.0),
    ],
)
def test_contrast_is_that_of_wcag_whichever_stands_on_which(one: str, other: str, is_about: float) -> None:
    assert is_about == pytest.approx(contrast(one, other), abs=0.01)
    assert contrast(one, other) == contrast(other, one)


def test_a_colour_is_six_digits_or_none_at_all() -> None:
    assert ("#a5abff", "") == (colour(" #A5ABFF ", field="accent"), colour("", field="accent"))
    for wrong in ("red", "#fff", "#12345g", "4a48d4", "#4a48d4;}", "#\u0661\u0661\u0661\u0661\u0661\u0661"):
        with pytest.raises(InvalidValueError) as refused:
            colour(wrong, field="accent")
        assert "accent" == refused.value.field
