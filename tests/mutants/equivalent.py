"""Changes that nobody can notice, as the changed code does the same: each with the reason, for who doubts it.

Told apart by the lines that go and come, as mutmut's numbers move with the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent:
    file: str
    """As the diff names it."""
    old: str
    new: str
    """Lines without their indentation."""
    why: str


EQUIVALENT: tuple[Equivalent, ...] = ()


def why_equivalent(diff: str, known: Sequence[Equivalent] = EQUIVALENT) -> str | None:
    """The reason why this change changes nothing; None: it changes something."""
    lines = diff.splitlines()
    file = next((line[4:].strip() for line in lines if line.startswith("--- ")), "")
    old = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    new = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    return next(
        (one.why for one in known if (one.file, [one.old], [one.new]) == (file, old, new)),
        None,
    )
