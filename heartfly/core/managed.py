"""The tag by which a check says that a file as code manages it: `managed:` and the file's name. It deletes by that."""

from __future__ import annotations

from collections.abc import Iterable

MARK = "managed:"


def files_of(tags: Iterable[str]) -> list[str]:
    """The names of the files, in the order of the tags."""
    return [tag.removeprefix(MARK) for tag in tags if tag.startswith(MARK)]
