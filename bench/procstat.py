"""What processes and the whole machine used, read from /proc (Linux).

CPU seconds are a process tree's, with those of its children that have ended. Memory is proportional: a page
that two processes share counts once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PSS = re.compile(r"^Pss:\s+(\d+)", re.MULTILINE)


def family(root: int) -> list[int]:
    """The process and all its living descendants."""
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:  # a thread that has ended
                continue
    return found


def cpu_s(roots: Iterable[int]) -> float:
    ticks = 0
    for root in roots:
        for pid in family(root):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended; its parent counts it from now on
                continue
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS_PER_S


def megabytes(roots: Iterable[int]) -> float:
    kilobytes = 0
    for root in roots:
        for pid in family(root):
            try:
                found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
            except OSError:
                continue
            kilobytes += int(found[1]) if found else 0
    return kilobytes / 1024


def machine() -> tuple[float, float]:
    """(busy, all) CPU seconds of the machine since it started; what a host took away counts as busy."""
    first = Path("/proc/stat").read_text().partition("\n")[0]
    ticks = [int(field) for field in first.split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / _TICKS_PER_S, sum(ticks) / _TICKS_PER_S


@dataclass(frozen=True, slots=True)
class Used:
    """`others`: the share of the machine that programs outside this measurement took."""

    cpu_s: float
    extra_cpu_s: float
    others: float


class Meter:
    """From its making to `read`: what the server used, what its database did, and what all others did.

    This process and its children are part of the measurement; a database server that detached itself is `extra`.
    """

    def __init__(self, server: int, extra: Iterable[int] = ()) -> None:
        self._server = server
        self._extra = tuple(extra)
        self._before = self._now()

    def _now(self) -> tuple[float, float, float, float, float]:
        busy, total = machine()
        return cpu_s([self._server]), cpu_s(self._extra), cpu_s([os.getpid()]), busy, total

    def read(self) -> Used:
        server, extra, ours, busy, total = (b - a for a, b in zip(self._before, self._now(), strict=True))
        return Used(server, extra, others=max(0.0, busy - ours - extra) / max(total, 1 / _TICKS_PER_S))
