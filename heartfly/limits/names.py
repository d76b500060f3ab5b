"""What a reservation is called outside: `lr_` and its number, in hexadecimal digits."""

from __future__ import annotations

import re

_NAME = re.compile(r"lr_([0-9a-f]{1,16})", re.ASCII)


def name_of(number: int) -> str:
    return f"lr_{number:x}"


def number_of(name: str) -> int | None:
    """None: nothing is called so."""
    found = _NAME.fullmatch(name)
    number = int(found[1], 16) if found else None
    return number if number is not None and number < 1 << 63 else None
