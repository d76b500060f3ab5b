"""What CI measures with coverage: the tests of the rooms that must be covered whole, and no others.

Tracing takes as long as the code that it traces. `coverage` is started with the interpreter (see .ci/run), so that
it sees each file's own lines; here it is stopped for the tests that it is not for, and for the processes they start.

Python 3.11 may spin for ever where it is traced: what another thread asks the main one to call (`Py_AddPendingCall`,
as greenlet does for each thread that ends) runs a line of Python while a second such call waits; at the entry of a
function it sees that calls wait, may make none within one, and looks again. Signals are heard and spin, too. That took
one of five workers in two of some ten runs; .ci/run then begins once more.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from importlib import import_module
from pathlib import Path

ROOMS = {"core", "monitor", "net", "notify", "db", "pings"}
OF_OTHERS = {
    "calls/test_call_tally.py",
    "doctor/test_proxy.py",
    "test_config.py",
    "usage/test_litellm_prices.py",
    "usage/test_prices.py",
}
"""They go through a measured room from its door: lists of prices as files are, lanes as events fill them, and a forward
proxy as it is set and as it is looked for."""
AS_WELL_BY_OTHERS = {"test_check_machine.py", "test_cron_zones.py", "test_net_ssrf.py"}
"""They go the ways that the rest of their room goes, thousands of times."""
_STARTS_IT = "COVERAGE_PROCESS_START"
_here = Path(__file__).parent


class Measuring:
    def __init__(self) -> None:
        started = sys.modules["coverage"].Coverage.current() if "coverage" in sys.modules else None
        self._coverage, self._config = started, os.environ.get(_STARTS_IT)
        self._runs = started is not None
        if started is not None:
            _load_whole("heartfly.core", "heartfly.monitor", "heartfly.net")

    @property
    def is_on(self) -> bool:
        return self._coverage is not None

    def is_for(self, test: Path) -> bool:
        if not test.is_relative_to(_here) or test.name in AS_WELL_BY_OTHERS:
            return False
        of_tests = test.relative_to(_here)
        return of_tests.parts[0] in ROOMS or of_tests.as_posix() in OF_OTHERS

    def switch(self, test: Path) -> None:
        """Before a test in the file `test`. Those of a room come in rows, so this is rarely more than a look."""
        on = self.is_for(test)
        if self._coverage is None or on == self._runs:
            return
        self._runs = on
        if on:
            self._coverage.start()
        else:
            self._coverage.stop()
        if self._config is not None:
            os.environ.pop(_STARTS_IT, None)
            os.environ.update({_STARTS_IT: self._config} if on else {})


def _load_whole(*packages: str) -> None:
    """While it is measured: what a test loads first that is not, would have lines that nobody ran."""
    for name in packages:
        for module in pkgutil.iter_modules(import_module(name).__path__):
            import_module(f"{name}.{module.name}")
