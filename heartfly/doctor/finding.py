"""One thing that was looked at: how it is, and one sentence what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    name: str
    level: Level
    found: str
    advice: str = ""
    """Empty: nothing is to be done."""


def ok(name: str, found: str) -> Finding:
    return Finding(name=name, level=Level.OK, found=found)


def warning(name: str, found: str, advice: str) -> Finding:
    return Finding(name=name, level=Level.WARNING, found=found, advice=advice)


def error(name: str, found: str, advice: str) -> Finding:
    return Finding(name=name, level=Level.ERROR, found=found, advice=advice)


def worst(findings: Sequence[Finding]) -> Level:
    order = list(Level)
    return max((one.level for one in findings), key=order.index, default=Level.OK)
