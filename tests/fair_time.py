"""Wall time but for that in which somebody here waited for a processor: what a promise in seconds is held to.

On a crowded machine a server takes its turn late, and says nothing about itself by that. The kernel tells how long any
task was ready and none ran it; on a machine that has nothing else to do that is next to nothing. Where it does not
tell, all time counts.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_PRESSURE = Path("/proc/pressure/cpu")
_STAT = Path("/proc/stat")
_STEAL = 8
"""The column of /proc/stat that says how long whoever runs this virtual machine let it wait."""


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._began_s, self._waited_s = time.perf_counter(), waited_s()

    def crowded_s(self) -> float:
        """Seconds so far in which somebody waited."""
        return waited_s() - self._waited_s

    def fair_s(self) -> float:
        """Seconds so far, those left out."""
        return max(0.0, time.perf_counter() - self._began_s - self.crowded_s())


def waited_s(pressure: Path = _PRESSURE, stat: Path = _STAT) -> float:
    """Since the machine began, for a processor."""
    some = pressure.read_text().splitlines()[0] if pressure.exists() else "some total=0"
    stolen = stat.read_text().split()[_STEAL] if stat.exists() else "0"
    of_all = (os.cpu_count() or 1) * os.sysconf("SC_CLK_TCK")
    return int(some.rpartition("=")[2]) / 1e6 + int(stolen) / of_all
