"""What counts of wall time, as the kernel tells it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.fair_time import Stopwatch, waited_s


def test_time_in_which_somebody_waited_for_a_processor_is_left_out(tmp_path: Path) -> None:
    pressure, stat = tmp_path / "pressure", tmp_path / "stat"
    pressure.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 total=9\n")
    stolen = 3 * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
    stat.write_text(f"cpu  1 2 3 4 5 6 7 {stolen} 9 10\ncpu0 0 0\n")

    assert 5.5 == waited_s(pressure, stat)
    assert 0.0 == waited_s(tmp_path / "none", tmp_path / "none")


def test_no_more_counts_than_has_passed() -> None:
    began, watch = time.perf_counter(), Stopwatch()

    sum(range(100_000))

    assert 0.0 <= watch.fair_s() <= time.perf_counter() - began
