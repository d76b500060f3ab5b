"""What a disk may hold when the power fails: out of a trace of what a process really wrote and flushed.

What was flushed is there. Of what was written since, each write is there, is not, or is there in part, whatever its
order: that is all that a file system promises. The trace is strace's, one file a thread, so no line is cut by another.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

CALLS = "pwrite64,fdatasync,fsync,ftruncate"
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
        if call.name in {"fdatasync", "fsync"}:
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
    found = []
    written = {"<" + "".join(f"\\x{byte:02x}" for byte in file.encode()) + ">": file for file in files}
    for path in folder.iterdir():
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            named = next((name for name in written if name in line), None)
            if named is None or line.endswith("<unfinished ...>"):  # the last, as the process was killed in it
                continue
            call = _CALL.match(line.replace(named, f"<{written[named]}>"))
            if call is None:
                raise LookupError(line[:200])
            at, name, file, data, number, _ = call.groups()
            content = bytes.fromhex((data or "").replace("\\x", ""))
            found.append(Call(float(at), name, file, content, int(number or 0)))
    return sorted(found, key=lambda call: call.at)


class Disk:
    """Files as they were when the trace began, and each moment since at which the power may fail."""

    def __init__(self, began: dict[str, bytes], trace: Sequence[Call], *, without_flushes: bool = False) -> None:
        """`without_flushes`: a disk that flushes nothing from the first cut on, to see that somebody notices."""
        self._began = began
        self._trace = trace
        self._without = without_flushes
        self._times = [call.at for call in trace]

    def cut(self, moment: int, random: Random, *, sure_until: int) -> tuple[dict[str, bytes], float]:
        """The files after a cut just before that call, and until when somebody may have been answered by then.

        `sure_until`: all before that call has long been on the disk.
        """
        files = {name: Content(bytearray(content)) for name, content in self._began.items()}
        for number, call in enumerate(self._trace[:moment]):
            content = files.setdefault(call.file, Content())
            is_flush = call.name in {"fdatasync", "fsync"}
            if not (is_flush and self._without and number >= sure_until):
                content.take(call)
            if number == sure_until:
                for each in files.values():
                    each.take(Call(call.at, "fsync", call.file))
        at = self._times[moment] if moment < len(self._times) else float("inf")
        return {name: content.after_a_cut(random) for name, content in files.items()}, at

    def moment_of(self, at: float) -> int:
        return bisect_right(self._times, at)

    def __len__(self) -> int:
        return len(self._trace)
