"""Where a process can be killed so that it matters: at each system call by which it writes, flushes, cuts or removes a
file, answers somebody, or calls out. strace kills it as it enters the N-th of a kind, so that this one is not made.

strace counts the calls of each thread by themselves, and a file's calls alone if it is told the file. So a kind is what
one thread does: the main one, which is traced without the others, or, by its file, the one that writes the database.
That no thread does anything else to the data is seen in a trace of all calls of all threads (`strange`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

CHANGING = (
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "fdatasync", "fsync", "sync_file_range", "msync"),
    *("ftruncate", "truncate", "fallocate", "copy_file_range", "sendfile"),
    *("unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "mkdir", "rmdir"),
)
MEMORY = "-shm"
"""Files with this end are memory that is shared; whoever opens a database first makes them anew."""
_REFUSED = re.compile(r" = -1 E(?!INPROGRESS)")
_CALL = re.compile(r'^(\w+)\((?:\d+<([^>]*)>|"([^"]*)")')


@dataclass(frozen=True, slots=True)
class Kind:
    """`file`: in the directory of the data, which is "." itself; None: whatever the main thread calls so, or anybody.

    `about`: a story has at least so many of them.
    """

    call: str
    file: str | None
    about: int
    of_main: bool = False

    @override
    def __str__(self) -> str:
        return f"{self.call} {'of the main thread' if self.of_main else self.file or ''}".rstrip()

    def covers(self, call: str, file: str, *, of_main: bool) -> bool:
        return (call, of_main) == (self.call, self.of_main) and self.file in {None, file}


KINDS = (
    Kind("pwrite64", "heartfly.db-wal", about=120),
    Kind("fdatasync", "heartfly.db-wal", about=10),
    Kind("pwrite64", "heartfly.db", about=3),
    Kind("ftruncate", "heartfly.db", about=1),
    Kind("fdatasync", "heartfly.db", about=1),
    Kind("fdatasync", ".", about=1),
    Kind("connect", None, about=4),
    Kind("write", None, about=20, of_main=True),
    Kind("pwrite64", None, about=20, of_main=True),
    Kind("fdatasync", None, about=2, of_main=True),
    Kind("ftruncate", None, about=3, of_main=True),
    Kind("unlink", None, about=4, of_main=True),
)
"""The one that writes, whom it calls, and the main thread: it answers, and puts all in order at a start and an end."""


@dataclass(frozen=True, slots=True)
class Point:
    kind: Kind
    n: int

    @override
    def __str__(self) -> str:
        return f"{self.kind} no. {self.n}"

    def tracer(self, data: Path, log: Path) -> Sequence[str]:
        """What runs a program so that it is killed there. -D: the program is our own child, and strace is its."""
        which = [] if self.kind.file is None else ["-P", str(data / self.kind.file)]
        # Not with --seccomp-bpf: what stops a call then takes no signal, and nobody would be killed.
        threads = [] if self.kind.of_main else ["-f"]
        kill = f"inject={self.kind.call}:signal=KILL:when={self.n}"
        return ["strace", "-D", "-y", *threads, "-o", str(log), *which, "-e", f"trace={self.kind.call}", "-e", kill]


def recorder(folder: Path) -> Sequence[str]:
    """What runs a program so that `strange` can be asked: a file for each thread."""
    calls = ",".join(sorted({*CHANGING, *(kind.call for kind in KINDS)}))
    return ["strace", "-D", "-ff", "-y", "--seccomp-bpf", "-o", str(folder / "t"), "-e", f"trace={calls}"]


@dataclass(frozen=True)
class Recorded:
    """By thread; of each kind also by file, which is "" elsewhere than among the data."""

    calls: dict[int, Counter[tuple[str, str]]]
    main: int

    @classmethod
    def of(cls, folder: Path, data: Path, main: int) -> Recorded:
        calls = {int(file.suffix[1:]): _calls(file, data) for file in folder.glob("t.*")}
        return cls(calls, main)

    def most(self, kind: Kind) -> int:
        """How often the thread that does it most does it."""
        return max(
            sum(n for (call, file), n in of_one.items() if kind.covers(call, file, of_main=thread == self.main))
            for thread, of_one in self.calls.items()
        )

    def strange(self) -> list[str]:
        """What is done to the data and of no kind; and how many threads write beside the main one, if several do."""
        found, writing = [], set()
        for thread, of_one in self.calls.items():
            of_main = thread == self.main
            for call, file in of_one:
                if not file or file.endswith(MEMORY):
                    continue
                if not of_main:
                    writing.add(thread)
                if not any(kind.covers(call, file, of_main=of_main) for kind in KINDS):
                    found.append(f"{call} {file} by {'the main thread' if of_main else 'another'}")
        return [*found, *([f"{len(writing)} threads write beside the main one"] if len(writing) > 1 else [])]


def _calls(trace: Path, data: Path) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for line in trace.read_text(errors="replace").splitlines():
        if (call := _CALL.match(line)) is None or _REFUSED.search(line):
            continue
        name, path = call[1], Path(call[2] or call[3] or "")
        found[name, str(path.relative_to(data)) if path.is_relative_to(data) else ""] += 1
    return found
