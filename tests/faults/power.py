"""What a disk may hold when the power fails: out of a trace of what a process really wrote and flushed.

What was flushed is there. Of what was written since, each write is there, is not, or is there in part, whatever its
order: that is all that a file system promises. The trace is strace's, one file a thread, so no line is cut by another.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

CALLS = "pwrite64,fdatasync,fsync,ftruncate"
FLUSHES = frozenset({"fdatasync", "fsync"})
_CALL = re.compile(r'^(\d+\.\d+) (\w+)\(\d+<([^>]*)>(?:, "((?:\\x[0-9a-f]{2})*)", \d+)?(?:, (\d+))?\) = 0*(\d+)$')
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Call:
    at: float
    """When it began, by the clock of the machine."""
    name: str
    file: str
    data: bytes = b""
    offset: int = 0
    """Of a truncation: the new length."""


@dataclass
class Content:
    """One file: what is on the disk for sure, and what is on its way."""

    flushed: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)

    def take(self, call: Call) -> None:
        if call.name in FLUSHES:
            for each in self.pending:
                _apply(self.flushed, each, each.data)
            self.pending = []
        else:
            self.pending.append(call)

    def after_a_cut(self, random: Random) -> bytes:
        content = bytearray(self.flushed)
        for call in random.sample(self.pending, len(self.pending)):
            fate = random.random()
            if fate < 0.4:
                _apply(content, call, call.data)
            elif fate < 0.6 and len(call.data) > _SECTOR:
                _apply(content, call, call.data[: random.randrange(1, len(call.data) // _SECTOR + 1) * _SECTOR])
        return bytes(content)


def _apply(content: bytearray, call: Call, data: bytes) -> None:
    if call.name == "ftruncate":
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
        return
    content.extend(bytes(max(0, call.offset - len(content))))
    content[call.offset : call.offset + len(data)] = data


def read_trace(folder: Path, files: Sequence[str]) -> list[Call]:
    """Of these files, in the order in which the calls began. LookupError: a line of theirs that cannot be read."""
    found: list[Call] = []
    written = {"<" + "".join(f"\\x{byte:02x}" for byte in file.encode()) + ">": file for file in files}
    for path in folder.iterdir():
        with path.open(encoding="ascii", errors="replace") as lines:  # one by one: a trace is hundreds of megabytes
            found += [call for line in lines if (call := _read_line(line.rstrip("\n"), written)) is not None]
    return sorted(found, key=lambda call: call.at)


def _read_line(line: str, written: Mapping[str, str]) -> Call | None:
    named = next((name for name in written if name in line), None)
    if named is None or line.endswith("<unfinished ...>"):  # the last, as the process was killed in it
        return None
    call = _CALL.match(line.replace(named, f"<{written[named]}>"))
    if call is None:
        raise LookupError(line[:200])
    at, name, file, data, number, _ = call.groups()
    content = bytes.fromhex((data or "").replace("\\x", ""))
    return Call(float(at), name, file, content, int(number or 0))


class Disk:
    """Files as they were when the trace began, and each moment since at which the power may fail."""

    def __init__(
        self, began: dict[str, bytes], trace: Sequence[Call], *, deaf: Callable[[str], bool] = lambda _: False
    ) -> None:
        """`deaf`: of which files it flushes nothing from the first cut on, to see that somebody notices."""
        self._began = began
        self._trace = trace
        self._deaf = deaf
        self._times = [call.at for call in trace]

    def cuts(
        self, moments: Sequence[int], random: Random, *, sure_until: int
    ) -> Iterator[tuple[dict[str, bytes], float]]:
        """For each moment, in their order: the files after a cut just before that call, and until when somebody may
        have been answered by then.

        `sure_until`: all before that call has long been on the disk.
        """
        files = {name: Content(bytearray(content)) for name, content in self._began.items()}
        done = 0
        for moment in sorted(moments):
            for number in range(done, moment):
                self._go_on(files, number, sure_until)
            done = max(done, moment)
            at = self._times[moment] if moment < len(self._times) else float("inf")
            yield {name: content.after_a_cut(random) for name, content in files.items()}, at

    def _go_on(self, files: dict[str, Content], number: int, sure_until: int) -> None:
        call = self._trace[number]
        content = files.setdefault(call.file, Content())
        if call.name not in FLUSHES or number < sure_until or not self._deaf(call.file):
            content.take(call)
        if number == sure_until:
            for each in files.values():
                each.take(Call(call.at, "fsync", call.file))

    def moment_of(self, at: float) -> int:
        return bisect_right(self._times, at)

    def written(self, file: str, *, first: int) -> int:
        """How often somebody brought what he wrote to this file to the disk, from that call on: of a file beside which
        a log lies that is once each time when the log is carried over.
        """
        n, is_written = 0, False
        for call in self._trace[first:]:
            if call.file != file:
                continue
            if call.name in FLUSHES:
                n, is_written = n + is_written, False
            else:
                is_written = True
        return n

    def __len__(self) -> int:
        return len(self._trace)
