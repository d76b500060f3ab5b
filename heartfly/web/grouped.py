"""The list of checks by tags: each check stands once, under its first tag, so that a row is found where it was.

Groups come as their worst check would, and those without a tag last of their like; within a group the list's order
stays. What a filter says is decided in checks/filters.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Tagged(Protocol):
    @property
    def tags(self) -> Sequence[str]: ...

    @property
    def shown(self) -> str: ...


One = TypeVar("One", bound=Tagged)


@dataclass(slots=True)
class Group(Generic[One]):
    """`tag` empty: of those that have none."""

    tag: str
    lines: list[One] = field(default_factory=list)


def grouped(lines: Sequence[One], order: Mapping[str, int]) -> Sequence[Group[One]]:
    """`order`: of statuses as they are shown, the worst first."""
    found: dict[str, Group[One]] = {}
    for line in lines:
        tag = line.tags[0] if line.tags else ""
        found.setdefault(tag, Group(tag)).lines.append(line)
    return sorted(
        found.values(),
        key=lambda group: (min(order[line.shown] for line in group.lines), not group.tag, group.tag.casefold()),
    )
