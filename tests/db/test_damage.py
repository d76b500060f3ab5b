"""A damaged file is not served: what the start looks at, what it leaves for later, and what a mark means."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartfly.clock import SystemClock
from heartfly.config import Settings
from heartfly.config.settings import Data
from heartfly.db.damage import MARK, DamagedError, look_before_start, mark_damaged
from heartfly.db.parts import PARTS
from heartfly.ground import open_ground
from tests.db.damaged import damage

CLOCK = SystemClock()
AMPLE_S = 120.0


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    open_ground(Settings(data=Data(dir=tmp_path))).close()
    return [tmp_path / part.file for part in PARTS]


def test_whole_files_are_looked_at_to_the_end(paths: list[Path]) -> None:
    assert [] == look_before_start(paths, CLOCK, limit_s=AMPLE_S)
    assert not paths[0].with_name(MARK).exists()


def test_what_there_was_no_time_for_is_left_and_no_reason_to_refuse(paths: list[Path]) -> None:
    damage(paths[1])

    assert paths == look_before_start(paths, CLOCK, limit_s=0)


def test_files_that_are_not_there_yet_are_none_to_look_at(tmp_path: Path) -> None:
    empty = [tmp_path / part.file for part in PARTS]
    for path in empty:
        path.touch()

    assert [] == look_before_start(empty, CLOCK, limit_s=AMPLE_S)


def test_what_was_found_is_found_by_each_start_until_it_is_gone(paths: list[Path]) -> None:
    """However little time there is: what was marked is looked at as a whole."""
    sound = paths[1].read_bytes()
    damage(paths[1])
    for limit_s in (AMPLE_S, 0, 0):
        with pytest.raises(DamagedError, match=r"usage\.db, table filler"):
            look_before_start(paths, CLOCK, limit_s=limit_s)
    paths[1].write_bytes(sound)

    assert [] == look_before_start(paths, CLOCK, limit_s=0)
    assert not paths[0].with_name(MARK).exists()


def test_a_file_that_is_no_database_is_refused(paths: list[Path]) -> None:
    paths[1].write_bytes(b"noise" * 1000)

    with pytest.raises(DamagedError, match=r"usage\.db: file is not a database"):
        look_before_start(paths, CLOCK, limit_s=AMPLE_S)


def test_many_findings_are_told_in_a_few_words(paths: list[Path]) -> None:
    told = str(mark_damaged(paths[0], [f"finding {n};" for n in range(9)]))

    assert "finding 4" in told
    assert "finding 5" not in told
    assert "and 4 more" in told
