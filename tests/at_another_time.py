"""`heartfly …` on a machine whose wall clock says another time: the first argument is what it says when this begins.

A script, so that it runs in any directory. Nothing else is changed: time passes as it does.
"""

from __future__ import annotations

import sys
from datetime import datetime

from heartfly.clock import SystemClock


def main() -> None:
    from heartfly.cli import main as heartfly  # noqa: PLC0415 - after the clock was set

    real = SystemClock.now
    ahead = datetime.fromisoformat(sys.argv.pop(1)) - real(SystemClock())

    def now(self: SystemClock) -> datetime:
        return real(self) + ahead

    SystemClock.now = now  # type: ignore[method-assign]
    heartfly()


if __name__ == "__main__":  # the process that folds imports this file, too
    main()
