"""Which addresses a node knows by heart: as many as it may, those that were called last."""

from __future__ import annotations

import uuid

import pytest

from heartfly.pings.known import KnownAddresses
from heartfly.pings.request import BySlug, ByUuid

A, B, C = (ByUuid(str(uuid.UUID(int=n))) for n in range(3))


def test_who_was_called_longest_ago_is_forgotten_first() -> None:
    known = KnownAddresses(most=2)
    for target in (A, B, A, C):
        known.learn(target)

    assert [True, False, True] == [target in known for target in (A, B, C)]
    assert 2 == len(known)


def test_what_was_only_read_takes_nobodys_place() -> None:
    known = KnownAddresses(most=2)
    known.learn(A)
    for target in (B, C):
        known.hear_of(target)

    assert [True, True, False] == [target in known for target in (A, B, C)]


def test_what_is_gone_is_forgotten() -> None:
    known = KnownAddresses(most=2)
    known.learn(A)
    known.forget(A)
    known.forget(B)

    assert A not in known


@pytest.mark.parametrize("other", [BySlug("key", "other"), BySlug("another", "job"), A])
def test_a_slug_is_of_its_key_and_whether_it_makes_a_check_is_no_part_of_it(other: BySlug | ByUuid) -> None:
    known = KnownAddresses(most=2)
    known.learn(BySlug("key", "job", create=True))

    assert BySlug("key", "job") in known
    assert other not in known
