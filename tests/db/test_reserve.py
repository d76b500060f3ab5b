"""Room that is kept for alerts: made where there is plenty, let go where there is none, and made again."""

from __future__ import annotations

from pathlib import Path

import pytest
from typing_extensions import override

from heartfly.db.reserve import FILE, Reserve
from heartfly.errors import OverloadedError

MB = 1_000_000
SIZE = 2 * MB


class FullReserve(Reserve):
    """On a disk that takes nothing until its room is made."""

    has_room = False

    @override
    def _takes(self, size: int, keep_as: Path | None = None) -> bool:
        return self.has_room and super()._takes(size, keep_as)


def test_it_is_made_where_as_much_again_is_left(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE)

    reserve.renew(2 * SIZE - 1)
    assert not (tmp_path / FILE).exists()
    reserve.renew(2 * SIZE)
    assert SIZE == (tmp_path / FILE).stat().st_size
    assert SIZE <= (tmp_path / FILE).stat().st_blocks * 512, "its room is taken, not only promised"
    assert [FILE] == [path.name for path in tmp_path.iterdir()]
    reserve.demand()


def test_on_a_full_disk_it_is_let_go_and_what_comes_from_outside_refused_until_there_is_room(tmp_path: Path) -> None:
    Reserve(tmp_path, SIZE).renew(2 * SIZE)
    reserve = FullReserve(tmp_path, SIZE)
    reserve.relieve(MB - 1)

    assert reserve.is_let_go
    assert [] == list(tmp_path.iterdir())
    with pytest.raises(OverloadedError, match="the disk is full") as refused:
        reserve.demand()
    assert 30 == refused.value.retry_after

    reserve.renew(4 * SIZE)
    assert reserve.is_let_go, "room that others may have is none of ours"
    reserve.has_room = True
    reserve.renew(2 * SIZE - 1)
    assert reserve.is_let_go
    reserve.renew(2 * SIZE)
    reserve.demand()
    assert SIZE == (tmp_path / FILE).stat().st_size


def test_a_disk_that_takes_more_than_it_says_is_not_full(tmp_path: Path) -> None:
    """As root has room where nobody else has."""
    reserve = Reserve(tmp_path, SIZE)
    reserve.relieve(0)

    reserve.demand()
    assert [] == list(tmp_path.iterdir())


def test_without_one_nothing_is_kept_and_nothing_refused(tmp_path: Path) -> None:
    reserve = FullReserve(tmp_path, 0)
    reserve.renew(100 * MB)
    reserve.relieve(0)

    reserve.demand()
    assert [] == list(tmp_path.iterdir())
