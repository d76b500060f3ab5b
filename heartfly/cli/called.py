"""How the command that runs was called, for commands that somebody shall type after it: `.venv/bin/heartfly`, say."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "heartfly"


def as_called(argv0: str | None = None, *, cwd: Path | None = None) -> str:
    """The shortest that starts the same program from this directory, for a shell. `argv0`: sys.argv[0]."""
    script = Path(sys.argv[0] if argv0 is None else argv0)
    here = Path.cwd() if cwd is None else cwd
    if script.name == "__main__.py":
        return f"{_short(Path(sys.executable), here)} -m {NAME}"
    if script.name != NAME:
        return NAME  # somebody else's program has called us: what he calls himself starts no command of ours
    found = shutil.which(NAME)
    if found is not None and _same(Path(found), here / script):
        return NAME
    return _short(script, here)


def _short(program: Path, here: Path) -> str:
    whole = Path(os.path.normpath(here / program))  # not resolved: a venv's python is a link, and is meant
    if not whole.is_relative_to(here):
        return shlex.quote(str(whole))
    inside = str(whole.relative_to(here))
    return shlex.quote(inside if "/" in inside else f"./{inside}")


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
