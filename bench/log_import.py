"""A log from its file into the database, end to end, beside GoAccess on the same file in the same run.

What counts is CPU: of `heartfly usage import-logs`, and of all that the server does until the last line is answered.
GoAccess reads the same lines into its own tables in memory, and also sorts agents and referrers, which we do not; it
keeps no line, which we do. Its own time is told without a goal.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.procstat import cpu_s
from bench.report import Figure
from bench.seed import seed
from bench.served import ROOT, Served, Stores, heartfly
from bench.usage import make_keys

_TENTH = 10


async def measure(made: Stores, lines: Iterator[str], *, n_lines: int) -> list[Figure]:
    """`lines`: of the combined format, `n_lines` of them and no two alike."""
    store = made.fresh()
    log, part = store.folder / "access.log", store.folder / "part.log"
    _write(lines, log, part, n_part=n_lines // _TENTH)
    seeded = seed(store, 10)
    (key,) = make_keys(store, seeded, 1)
    unlimited = {"HEARTFLY_LIMITS__EVENTS_PER_MINUTE": "1000000000"}
    async with heartfly(store, "/healthz", settings=unlimited) as served:
        await _imported(served, key, part, n=n_lines // _TENTH)
        early = await asyncio.to_thread(_peak_mb, served.pid)
        before = cpu_s([served.pid])
        client_s, client_mb = await _imported(served, key, log, n=n_lines)
        server_s = cpu_s([served.pid]) - before
        late = await asyncio.to_thread(_peak_mb, served.pid)
    ours = n_lines / (client_s + server_s)
    note = f"{n_lines:,} lines; reading {1e6 * client_s / n_lines:.1f}, server {1e6 * server_s / n_lines:.1f} us a line"
    figures = [
        Figure(name="lines of a log, into the database", value=ours, unit="/CPU s", note=note),
        Figure(name="memory of the import", value=client_mb, unit="MB", at_most=150, note="its peak"),
        Figure(name="memory of the server, more than for a tenth", value=late - early, unit="MB", at_most=60),
    ]
    theirs = await asyncio.to_thread(_goaccess, log, n_lines)
    if theirs is None:
        return figures
    rate, memory = theirs
    ratio = Figure(
        name="lines of a log, as GoAccess's", value=ours / rate, unit="times", at_least=1,
        note=f"GoAccess: {rate:,.0f} lines/CPU s, {memory:.0f} MB",
    )  # fmt: skip
    return [*figures, ratio]


def _write(lines: Iterator[str], log: Path, part: Path, *, n_part: int) -> None:
    """The part has another ending, so that none of its lines is known later."""
    with log.open("w") as whole, part.open("w") as first:
        for n, line in enumerate(lines):
            whole.write(f"{line}\n")
            if n < n_part:
                first.write(f"{line} part\n")


async def _imported(served: Served, key: str, log: Path, *, n: int) -> tuple[float, float]:
    """CPU seconds and the peak of its memory in MB."""
    command = [sys.executable, "-m", "heartfly", "usage", "import-logs", str(log), "--json"]
    environment = os.environ | {"HEARTFLY_URL": f"http://127.0.0.1:{served.port}", "HEARTFLY_API_KEY": key}
    said, used = await asyncio.to_thread(_run, command, environment)
    told = json.loads(said)
    if told["sent"]["accepted"] != n:
        raise RuntimeError(f"of {n} lines {told['sent']} were accepted")
    return used.cpu_s, used.peak_mb


@dataclass(frozen=True, slots=True)
class _Used:
    cpu_s: float
    peak_mb: float


_APART = """
import os, resource, sys
status = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(2, f"\\n{used.ru_utime + used.ru_stime} {used.ru_maxrss}".encode())
sys.exit(status)
"""
"""Between us and what is measured, as a process begins with the peak of its parent's memory for its own."""


def _run(command: list[str], environment: dict[str, str]) -> tuple[bytes, _Used]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _APART, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[:5]} ended with {done.returncode}: {done.stderr[-500:]!r}")
    cpu, kilobytes = done.stderr.rpartition(b"\n")[2].split()
    return done.stdout, _Used(float(cpu), int(kilobytes) / 1024)


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def _goaccess(log: Path, n_lines: int) -> tuple[float, float] | None:
    """Lines a CPU second, and MB. None: there is none here."""
    program = shutil.which("goaccess")
    if program is None:
        return None
    out = log.with_name("goaccess.json")
    command = [program, str(log), "--log-format=COMBINED", "--no-global-config", "--no-progress", "-o", str(out)]
    _, used = _run(command, dict(os.environ))
    counted = json.loads(out.read_text(encoding="utf-8", errors="replace"))["general"]["valid_requests"]
    if counted != n_lines:
        raise RuntimeError(f"GoAccess counts {counted} of {n_lines} lines")
    return n_lines / used.cpu_s, used.peak_mb
