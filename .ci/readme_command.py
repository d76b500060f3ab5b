# ruff: noqa: INP001 - a script of CI, not a package
"""Print one of the README's set-up commands, so that CI runs the very words that people read.

The README marks each with a comment (`<!-- command: test -->`) in front of its code block.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def command(name: str) -> str:
    """Return the words of the block, comments removed. Raises LookupError if there is none."""
    marked = rf"<!-- command: {re.escape(name)} -->\s*```\w*\n(.*?)```"
    found = re.search(marked, README.read_text(encoding="utf-8"), re.DOTALL)
    if not found:
        raise LookupError(f"README.md marks no command {name!r}")
    return "\n".join(text for text in found[1].splitlines() if text.strip() and not text.startswith("#"))


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1]) + "\n")
