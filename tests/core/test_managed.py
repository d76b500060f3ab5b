"""The tag of a file as code."""

from __future__ import annotations

from heartfly.core.managed import MARK, files_of


def test_files_are_named_by_their_tags_alone() -> None:
    assert ["team-a", "b"] == files_of(["db", f"{MARK}team-a", "managed", f"{MARK}b"])
    assert [] == files_of([])
