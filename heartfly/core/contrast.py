"""Whether text in a colour can be read: the contrast of WCAG 2.2, by its definition of relative luminance."""

from __future__ import annotations

import re

from heartfly.errors import InvalidValueError

AA = 4.5
"""Of text to what it stands on (success criterion 1.4.3)."""

_COLOUR = re.compile(r"#[0-9a-f]{6}")


def colour(text: str, *, field: str) -> str:
    """`#rrggbb`, in small letters; empty stays empty."""
    known = text.strip().lower()
    if known and not _COLOUR.fullmatch(known):
        raise InvalidValueError(field, "must be a colour such as #4a48d4")
    return known


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black and white)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
