"""How tests are shared out: whole files, the longest ones first, and what is measured before all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import dealing

ROOT = Path(__file__).resolve().parent.parent
GATES, LONG, SHORT = dealing.APART[0], dealing.LONGEST[1], "tests/test_units.py"


def test_what_is_measured_comes_first_then_what_takes_longest() -> None:
    files = [(SHORT, False), (LONG, False), (GATES, False), ("tests/core/test_cron.py", True)]
    files.sort(key=lambda one: dealing.place(one[0], is_measured=one[1]))

    assert ["tests/core/test_cron.py", GATES, LONG, SHORT] == [name for name, _ in files]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (f"{SHORT}::test_a", SHORT),
        (f"{SHORT}::TestA::test_a[x::y]", SHORT),
        (f"{GATES}::test_a[b]", f"{GATES}::test_a[b]"),
    ],
)
def test_a_worker_takes_a_file_whole_unless_its_tests_take_minutes_each(test: str, expected: str) -> None:
    assert expected == dealing.unit_of(test)


def test_every_file_that_is_named_is_there() -> None:
    assert [] == [name for name in {*dealing.APART, *dealing.LONGEST} if not (ROOT / name).is_file()]


def test_what_all_workers_share_is_made_by_the_first_of_them_and_again_if_that_fails(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        dealing.made_once(tmp_path / "shared", fail)
    makers = [lambda folder, n=n: (folder / str(n)).touch() for n in range(8)]
    with ThreadPoolExecutor() as workers:
        made = list(workers.map(lambda make: dealing.made_once(tmp_path / "shared", make), makers))

    assert {tmp_path / "shared"} == set(made)
    assert 1 == len(list((tmp_path / "shared").iterdir()))


def test_a_report_tells_how_long_files_took(tmp_path: Path) -> None:
    cases = [("tests.core.test_cron", 2), ("tests.core.test_cron.TestZones", 1.5), ("tests.test_units", 0.5)]
    told = "".join(f'<testcase classname="{name}" name="test" time="{seconds}"/>' for name, seconds in cases)
    (tmp_path / "tests.xml").write_text(f"<testsuites><testsuite>{told}</testsuite></testsuites>")

    expected = {"tests/core/test_cron.py": 3.5, "tests/test_units.py": 0.5}
    assert expected == dealing.seconds_by_file(tmp_path / "tests.xml")
