"""Lanes of measures: of kinds of units that are too many those that come first by the alphabet."""

from __future__ import annotations

from heartfly.core.lanes import Layout


def test_kinds_that_are_not_too_many_stay_as_they_are() -> None:
    layout = Layout(2)
    layout.of_kind("a", "u:a")
    layout.of_kind("b", "u:b")
    layout.of("n")

    assert {0: 0, 1: 1, 2: 2} == dict(layout.narrow(["u"]))
