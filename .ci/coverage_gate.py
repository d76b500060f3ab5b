# ruff: noqa: INP001 - a script of CI, not a package
"""Fail when a file on which the promises stand has a line or a branch that no test has taken.

Reads the report of `coverage json`. Elsewhere it is neither demanded nor measured whole.
"""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

WHOLE = (
    "heartfly/core/*.py",
    "heartfly/monitor/*.py",
    "heartfly/net/*.py",
    "heartfly/notify/outbox.py",
    "heartfly/notify/dispatch.py",
    "heartfly/db/group_commit.py",
)


def gaps(report: dict[str, Any]) -> list[str]:
    """Return a sentence for each file of WHOLE that is not covered whole, and for each that is missing."""
    measured: dict[str, Any] = report["files"]
    root = Path(__file__).resolve().parent.parent
    wanted = sorted(str(p.relative_to(root)) for pattern in WHOLE for p in root.glob(pattern))
    found = [f"{name}: never loaded by any test" for name in wanted if name not in measured]
    for name, facts in sorted(measured.items()):
        if any(fnmatch(name, pattern) for pattern in WHOLE) and facts["summary"]["percent_covered"] < 100:
            lines = [str(n) for n in facts["missing_lines"]]
            branches = [f"{a}->{b}" for a, b in facts.get("missing_branches", [])]
            found.append(f"{name}: not taken: lines {_short(lines)}; branches {_short(branches)}")
    return found


def _short(places: list[str], shown: int = 12) -> str:
    more = f" and {len(places) - shown} more" if len(places) > shown else ""
    return (" ".join(places[:shown]) or "none") + more


if __name__ == "__main__":
    if sys.argv[1] == "--names":  # as `coverage report --include` takes them
        sys.stdout.write(",".join(WHOLE) + "\n")
        sys.exit()
    missing = gaps(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.stdout.write("".join(f"coverage: {sentence}\n" for sentence in missing))
    sys.exit(1 if missing else 0)
