"""What a request costs the server that answers it: seconds of computing and bytes of memory, as the kernel counts them.

Of the whole process, all of its threads, and the processes that it started. What is too much is said elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024
_OF_PROCESSES = 2
"""CPUCLOCK_SCHED: what all threads of a process have computed, those that ended as well: clock_getcpuclockid(3)."""
_OF_GONE = slice(13, 15)
"""In /proc/PID/stat, behind the name: cutime and cstime, of children that are gone."""
_STILL_S, _STILL = 0.1, 0.1


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_s: float
    peak: int
    """Bytes above what was there before."""


class Purse:
    """Of one process. Call `open` before something is asked, `spent` after it is answered."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._cpu_s, self._there = 0.0, 0

    def open(self) -> None:
        pids = self._all()
        for pid in pids:
            with contextlib.suppress(OSError):  # one that has just ended
                Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew: proc(5)
        self._there = sum(_bytes(pid, "VmRSS") for pid in pids)
        self._cpu_s = self.computed_s()

    def spent(self) -> Cost:
        computed_s = self.computed_s()
        return Cost(computed_s - self._cpu_s, max(0, sum(_bytes(pid, "VmHWM") for pid in self._all()) - self._there))

    def computed_s(self) -> float:
        """Since the process began, with the children that it has and had."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        found = sum(int(ticks) for ticks in fields[_OF_GONE]) / os.sysconf("SC_CLK_TCK")
        for pid in self._all():
            with contextlib.suppress(OSError):
                found += time.clock_gettime(~pid << 3 | _OF_PROCESSES)
        return found

    def settle(self, limit_s: float) -> None:
        """Until next to nothing is computed: what was begun for a request may go on behind its answer."""
        waiting, end = threading.Event(), time.perf_counter() + limit_s
        before = self.computed_s()
        while time.perf_counter() < end:
            waiting.wait(_STILL_S)
            now = self.computed_s()
            if now - before < _STILL * _STILL_S:
                return
            before = now

    def _all(self) -> list[int]:
        found = [self._pid]
        for task in Path(f"/proc/{self._pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has just ended
                found += map(int, (task / "children").read_text().split())
        return found


def _bytes(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) * _KIB for line in lines if line.startswith(f"{name}:")), 0)
    return 0
